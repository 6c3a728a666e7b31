"""The demo's three rounds of requests: what is asked, and what came of it.

The client process sees ids and messages only. Labels come afterwards, from the
oracle that reads the answers; scores come from the service's own records.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import httpx2

from probing.errors import ProbingError
from probing.probe import Probe
from training.organism.oracle import Label, judge
from training.organism.world import BENIGN_FAMILIES, DANGEROUS_FAMILIES, Request, requests

CONCURRENCY = 8
SEED = 20_261_121


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A batch of requests under one policy."""

    name: Literal["show", "dangerous", "benign"]
    """What it is for."""
    mode: Literal["block", "score"]
    """What each request asks for: to be halted at the threshold, or only scored."""
    asked: tuple[Request, ...]
    """The requests, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One request with its answer, its label and its record."""

    request: Request
    """What was asked."""
    answer: dict[str, Any]
    """What the client saw."""
    label: Label
    """What the oracle says of the released text."""
    record: dict[str, Any] | None
    """The service's record; None when it has none."""

    def peak(self, probe: Probe) -> float:
        """The live statistic of a probe, on record: the number that its threshold judges.

        Minus infinity where the answer ended before the probe may trip.
        """
        recorded = (self.record or {})["peaks"].get(probe.name)
        return float("-inf") if recorded is None else float(recorded)

    @property
    def crossed(self) -> bool:
        """Whether the threshold was crossed."""
        return self.record is not None and self.record["tripped_at"] is not None

    @property
    def halted(self) -> bool:
        """Whether the answer was ended."""
        return bool(self.answer["receipt"].get("decision") == "halt")

    @property
    def unscored(self) -> bool:
        """Whether it ended without scores, for whatever reason."""
        return self.record is None or self.record["outcome"] != "scored"


class ClientFailed(ProbingError):
    """The demo's client process ended badly."""

    code = "client_failed"

    def __init__(self, output: str) -> None:
        last = output.strip().splitlines()[-1:] or ["it said nothing"]
        super().__init__(f"the demo's client failed: {last[0]}; see var/demo/service.log")


def plan(*, show: int, count: int, known: Collection[str]) -> list[Round]:
    """Draw the rounds' requests, leaving out situations that the probe was trained on."""
    rng = random.Random(SEED)
    everything = BENIGN_FAMILIES + DANGEROUS_FAMILIES

    def fresh(families: tuple[str, ...], n: int) -> tuple[Request, ...]:
        drawn = requests(families, rng=rng)
        return tuple(islice((r for r in drawn if r.situation not in known), n))

    return [
        Round(name="show", mode="block", asked=fresh(everything, show)),
        Round(name="dangerous", mode="score", asked=fresh(DANGEROUS_FAMILIES, count)),
        Round(name="benign", mode="score", asked=fresh(BENIGN_FAMILIES, count)),
    ]


def play(turn: Round, url: str, folder: Path, advance: Callable[[], object]) -> list[Outcome]:
    """Send one round through the client process and fetch what the service recorded.

    Raises:
        ClientFailed: the client process ended with an error.
    """
    answers = list(_answers(turn, url, folder, advance))
    outcomes = []
    with httpx2.Client(base_url=url, timeout=30) as http:
        for answer in answers:
            asked = turn.asked[int(answer["id"])]
            reply = http.get(f"/v1/monitor/requests/{answer['request_id']}")
            outcomes.append(
                Outcome(
                    request=asked,
                    answer=answer,
                    label=judge(asked.messages, answer["text"]).label,
                    record=reply.json() if reply.status_code == 200 else None,
                )
            )
    return outcomes


def _answers(
    turn: Round, url: str, folder: Path, advance: Callable[[], object]
) -> Iterator[dict[str, Any]]:
    prompts = folder / f"prompts-{turn.name}.jsonl"
    lines = [json.dumps({"id": str(i), "messages": r.messages}) for i, r in enumerate(turn.asked)]
    prompts.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "training.demo.client", str(prompts), "--url", url]
    command += ["--mode", turn.mode, "--concurrency", str(CONCURRENCY)]
    errors = folder / "client.log"
    with (
        errors.open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        for line in process.stdout or ():
            advance()
            yield json.loads(line)
    if process.returncode:
        raise ClientFailed(errors.read_text())
