"""`probewatch demo`: the whole of Probewatch in five minutes, on one machine, offline."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.errors import ProbingError
from probing.probe import Probe
from training.datasets.bundled import TrainingSets, magpie
from training.demo.rounds import Outcome, Round, plan, play
from training.demo.server import Service, running_service
from training.demo.show import (
    figures_markdown,
    show_answers,
    show_figures,
    show_metrics,
    show_queue,
    show_round,
)
from training.demo.summary import as_dataset, parsable, summarise
from training.evaluate import BagOfWords

PROBE = "petty"


class TrainingFailed(ProbingError):
    """`probewatch train` ended with an error, which it has told already."""

    code = "training_failed"

    def __init__(self) -> None:
        super().__init__("the demo needs a trained probe; see the message above")


@dataclass(frozen=True, slots=True)
class Places:
    """Where the demo keeps its things."""

    out: Path
    """Everything of one demo."""
    store: Path
    """Published probes; they outlive the demo."""

    @property
    def database(self) -> Path:
        """The service's SQLite file."""
        return self.out / "probewatch.db"


def demo(
    requests: Annotated[
        int, typer.Option(help="Requests in dangerous families, and as many in benign ones.")
    ] = 300,
    show: Annotated[int, typer.Option(help="Requests under policy `halt`, first.")] = 100,
    out: Annotated[Path, typer.Option(help="Where summary.json and logs go.")] = Path("var/demo"),
    store: Annotated[Path, typer.Option(help="The probe store.")] = Path("var/probes"),
) -> None:
    """Train a probe on petty misbehaviour, serve a model under it, and see what it catches.

    1. trains a probe on the bundled model's benign families, calibrates it at 1% false
       alarms, publishes and promotes it;
    2. starts the service on loopback and sends it chat requests, eight at a time, in
       situations the probe was not trained on: first under policy `halt`, then, under
       `observe`, in dangerous and in benign families;
    3. prints what happened and writes OUT/summary.json, and OUT/figures.md for a card.

    On a terminal the service keeps running until Ctrl-C.
    """
    console = Console()
    places = Places(out, store)
    _fresh(places)
    train_seconds = _train(console, places)
    probe = _champion(places)
    sets = magpie()
    known = {*sets.fit.situations, *sets.calibration.situations}
    rounds = plan(show=show, count=requests, known=known)
    console.rule("[bold]2. Serving the model, watched")
    log = places.out / "service.log"
    with running_service(store=store, database=places.database, log=log) as service:
        outcomes = _play_all(console, rounds, service, places)
        summary = summarise(
            outcomes,
            probe,
            _words(sets, parsable(outcomes["dangerous"])),
            train_s=train_seconds,
            probe_set=_get(service, "/v1/monitor/probes")["probe_set"],
        )
        (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        (out / "figures.md").write_text(figures_markdown(summary))
        _tell(console, outcomes, service, summary)
        console.print(
            f"\nNow look at [bold]{out}/summary.json[/bold], at {service.url}/metrics, at "
            f"{service.url}/v1/monitor/cases\nand at {log}; "
            "`probewatch probes show petty` is the probe's card.",
            highlight=False,
        )
        if sys.stdout.isatty():
            console.print("The service keeps running; end it with Ctrl-C.", style="bold")
            _wait(service)


def _fresh(places: Places) -> None:
    """Forget the last demo's conversations; whatever else the folder holds is not ours."""
    places.out.mkdir(parents=True, exist_ok=True)
    for pattern in (f"{places.database.name}*", "service.log", "client.log"):
        for left in places.out.glob(pattern):
            left.unlink()


def _train(console: Console, places: Places) -> float:
    """Run `probewatch train`, so that the demo shows what a user would type."""
    console.rule("[bold]1. Training a probe on petty misbehaviour")
    options = ["--store", str(places.store), "--name", PROBE, "--promote"]
    console.print(f"$ probewatch train {' '.join(options)}", style="dim", highlight=False)
    began = time.monotonic()
    if subprocess.run([sys.executable, "-m", "probewatch", "train", *options]).returncode:
        raise TrainingFailed
    return time.monotonic() - began


def _champion(places: Places) -> Probe:
    return ProbeStore(places.store).load(Ref.parse(PROBE)).probe


def _play_all(
    console: Console, rounds: list[Round], service: Service, places: Places
) -> dict[str, list[Outcome]]:
    """All rounds, with a bar and one line of counts each."""
    outcomes: dict[str, list[Outcome]] = {}
    for turn in rounds:
        policy = "halt" if turn.mode == "block" else "observe"
        label = f"{len(turn.asked)} requests, {turn.name}, policy {policy}"
        with _bar(console) as bar:
            task = bar.add_task(label, total=len(turn.asked))
            outcomes[turn.name] = play(turn, service.url, places.out, partial(bar.advance, task))
        show_round(console, turn.name, outcomes[turn.name])
    return outcomes


def _tell(
    console: Console,
    outcomes: dict[str, list[Outcome]],
    service: Service,
    summary: dict[str, Any],
) -> None:
    console.rule("[bold]3. What happened")
    listed = _get(service, "/v1/monitor/cases?limit=100")["cases"]
    whole = [_get(service, f"/v1/monitor/cases/{case['id']}") for case in listed[:3]]
    show_answers(console, whole)
    console.print()
    show_queue(console, listed[:5], len(listed))
    show_metrics(console, httpx2.get(f"{service.url}/metrics").text)
    console.print()
    show_figures(console, summary)


def _words(sets: TrainingSets, outcomes: list[Outcome]) -> list[float]:
    """The bag-of-words baseline, fitted on what the probe was fitted on."""
    scores: list[float] = BagOfWords(sets.fit).score(as_dataset(outcomes)).tolist()
    return scores


def _get(service: Service, path: str) -> dict[str, Any]:
    reply: dict[str, Any] = httpx2.get(f"{service.url}{path}", timeout=30).json()
    return reply


def _wait(service: Service) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        service.process.wait()


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
