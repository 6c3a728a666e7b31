"""Whether reports and service say the same: live token by token against offline at once.

Everything that is reported rests on readings of whole answers and replayed scores. Here
some of these answers are fed to the model one token after another, as if it were writing
them, through what the service is made of: reader, bank and monitor.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from transformers import DynamicCache

from probing.estimates import rate
from probing.golden import TOLERANCE, allowed
from probing.monitor import Monitor, replay
from probing.policy import Action, Decision
from probing.probe import Probe, ProbeSet
from probing.prompt import Rendered
from probing.reader import Inputs, Reader
from probing.step_bank import StepBank
from training.collect import Collected
from training.evaluation.claim import told
from training.evaluation.subject import Section, Subject
from training.progress import Advance, progress
from training.score import answer_lengths, answer_scores

ANSWERS = 40
"""Over all test sets."""

Scores = Float[NDArray[np.float32], "tokens channels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One answer, read both ways."""

    example: str
    """Its id."""
    live: int | None
    """Token, from 0, at which it is halted live; None where it is not."""
    offline: int | None
    """The same, of the replay."""
    scores: Scores
    """Offline, of every token."""
    difference: float
    """Largest difference of a live score from its offline one."""

    @property
    def same(self) -> bool:
        """Whether both halt it at the same token, or neither does."""
        return self.live == self.offline


def online_offline(subject: Subject) -> Section:
    """Decisions and scores of answers that are read token by token, beside the replayed ones."""
    if not subject.tests:
        return Section(
            name="replay",
            title="Live and offline",
            findings=[],
            figures={},
            refusals=["there is no test set to replay; give one with --test-data"],
        )
    samples = _samples(subject)
    count = sum(len(chosen) for _, chosen in samples)
    with progress(subject.console, "replaying", count, "answers") as advance:
        answers = [one for sample in samples for one in _compared(subject, *sample, advance)]
    tolerance = allowed(TOLERANCE[subject.loaded.spec.dtype], [one.scores for one in answers])
    score_largest = max(float(np.abs(one.scores).max()) for one in answers)
    tokens = sum(len(one.scores) for one in answers)
    largest = max(one.difference for one in answers)
    same = rate(sum(one.same for one in answers), len(answers)).as_json()
    differing = [one for one in answers if not one.same]
    differing += [one for one in answers if one.same and not one.difference <= tolerance]
    return Section(
        name="replay",
        title="Live and offline",
        findings=[
            f"Read token by token, {told(same)} of answers are decided as offline.",
            f"Over {tokens:,} tokens scores differ by at most {largest:.1e}; of up to "
            f"{score_largest:.1f} in size, they may by {tolerance:.1e}.",
            *(_difference(one) for one in differing[:1]),
        ],
        figures={
            "decisions_same": same,
            "halted": rate(sum(one.live is not None for one in answers), len(answers)).as_json(),
            "difference_largest": largest,
            "tolerance": tolerance,
            "score_largest": score_largest,
            "tokens": tokens,
            "agree": not differing,
            "differing": [one.example for one in differing],
        },
    )


def live(reader: Reader, probe: Probe, rendered: Rendered) -> tuple[Scores, int | None]:
    """One answer as the service would read it: the prompt at once, then token after token.

    Returns:
        The probe's channels for every token of the answer, and the token at which the
        monitor says that it is to be halted. It is read to its end all the same.
    """
    probe_set = ProbeSet((probe.as_role("champion"),))
    bank, monitor = StepBank(probe_set, reader.loaded.device), Monitor(probe_set, streams_max=1)
    monitor.open(Action.HALT)
    cache = DynamicCache(config=reader.loaded.model.config)
    ids = torch.tensor([rendered.token_ids], device=reader.loaded.device)
    start, length = rendered.response_start, len(rendered.token_ids)
    if start:
        reader.forward(Inputs(input_ids=ids[:, :start], cache=cache), last_logits_only=True)
    scores, halted = [], None
    for at in range(start, length):
        step = Inputs(input_ids=ids[:, at : at + 1], cache=cache)
        readings = reader.forward(step, last_logits_only=True).readings
        channels = bank.score(readings, rows=1)
        judged = monitor.push(channels)
        scores.append(channels[0])
        if halted is None and judged.decisions[0] is Decision.HALT:
            halted = at - start
    return np.stack(scores), halted


def _samples(subject: Subject) -> list[tuple[Collected, list[int]]]:
    """Each test set, and which of its answers are read again."""
    rng = random.Random(f"replay {subject.seed}")
    samples = []
    for test in subject.tests:
        share = math.ceil(ANSWERS / len(subject.tests))
        chosen = rng.sample(range(len(test.dataset)), min(share, len(test.dataset)))
        samples.append((test, sorted(chosen)))
    return samples


def _compared(
    subject: Subject, test: Collected, chosen: Sequence[int], advance: Advance
) -> Iterator[Compared]:
    """Some answers of a test set, read once more and held against what was reported of them."""
    ends = np.cumsum(answer_lengths(test))[:-1]
    offline: Sequence[Scores] = np.split(answer_scores(test, [subject.probe]), ends)
    with Reader(subject.loaded, subject.probe.sites) as reader:
        for number in chosen:
            scores = offline[number]
            own, halted = live(reader, subject.probe, test.rendered[number])
            yield Compared(
                example=test.dataset.examples[number].id,
                live=halted,
                offline=replay(subject.probe, scores).tripped_at,
                scores=scores,
                difference=float(np.abs(own - scores).max()),
            )
            advance(1)


def _difference(one: Compared) -> str:
    return (
        f"The first answer that differs is {one.example}: live it is {_told_halt(one.live)}, "
        f"offline {_told_halt(one.offline)}, and its scores differ by up to {one.difference:.1e}."
    )


def _told_halt(token: int | None) -> str:
    return "never halted" if token is None else f"halted at token {token + 1}"
