"""`probewatch calibrate`: set a probe's threshold on traffic that its operator has seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from probes_store.draft import Artifact
from probes_store.ref import Ref
from probes_store.store import DEFAULT_ROOT, ProbeStore
from probing.model import load_model
from training.calibrate import require_enough
from training.collect import DEFAULT_CACHE, collect
from training.datasets.schema import Dataset
from training.errors import OptionWithoutEffect
from training.options import CacheOption, DeviceOption, RateOption, StoreOption
from training.score import live_peaks
from training.tables import share
from training.thresholds.rates import caution
from training.thresholds.recalibrate import Recalibrated, recalibrate, republish
from training.thresholds.traffic import (
    File,
    Traffic,
    read_file,
    recorded,
    replayed,
    transcripts,
)

ProbeArgument = Annotated[str, typer.Argument(help="NAME or NAME@VERSION.")]
TrafficArgument = Annotated[
    Path,
    typer.Argument(
        help='JSON lines: {"messages": [...]}, {"peak": 1.25}, or what '
        "/v1/monitor/requests/ID returns; each may have a label, honest or misbehaving."
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Reads the transcripts; the one that it was trained on."),
]
PublishOption = Annotated[
    bool,
    typer.Option("--publish", help="Publish a new version with the new threshold."),
]


def calibrate(
    probe: ProbeArgument,
    traffic: TrafficArgument,
    fpr: RateOption = 0.01,
    publish: PublishOption = False,
    store: StoreOption = DEFAULT_ROOT,
    model: ModelOption = None,
    device: DeviceOption = "cpu",
    cache: CacheOption = DEFAULT_CACHE,
) -> None:
    """Set a probe's threshold on traffic of your own, and see how the shipped one does on it.

    Answers without a label are assumed to be honest. A misbehaving one among them raises the
    threshold, so label those you know. Transcripts are read again through the probe's model;
    recorded peaks are taken as they are, and have to be of the version that is named.

    Try it, with requests that a service recorded:

    (curl -s localhost:8700/v1/monitor/requests/ID; echo) >> peaks.jsonl

    probewatch calibrate petty@1 peaks.jsonl --fpr 0.01
    """
    console = Console()
    probes = ProbeStore(store)
    artifact = probes.load(Ref.parse(probe))
    file = read_file(traffic)
    if file.has_transcripts:
        dataset = transcripts(file)
        require_enough(dataset.only("honest"), fpr)
        observed = _read_again(file, dataset, artifact, model, device, cache, console)
    elif model is not None:
        raise OptionWithoutEffect("--model", "on recorded peaks, which no model reads again")
    else:
        observed = recorded(file, artifact.ref, artifact.probe)
    found = recalibrate(artifact, observed, fpr=fpr)
    for sentence in _told(artifact, observed, found):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    if publish:
        ref = republish(probes, artifact, observed, found)
        console.print(
            f"published [bold]{ref}[/] in {store}, parent {artifact.ref}; "
            f"`probewatch probes promote {ref}` lets it decide",
            highlight=False,
            soft_wrap=True,
        )


def _read_again(
    file: File,
    dataset: Dataset,
    artifact: Artifact,
    model: str | None,
    device: str,
    cache: Path,
    console: Console,
) -> Traffic:
    """Transcripts through the probe's own model; another one is refused."""
    probe, manifest = artifact.probe, artifact.manifest
    source = model or manifest.provenance.path or manifest.provenance.name
    with console.status(f"loading {source}"):
        loaded = load_model(source, dtype=manifest.reading.dtype, device=device)
    probe.require(loaded.spec)
    collected = collect(
        loaded, dataset, probe.sites, cache=cache, console=console, whole=probe.span.reads_prompt
    )
    return replayed(file, dataset, live_peaks(collected, probe))


def _told(artifact: Artifact, traffic: Traffic, found: Recalibrated) -> Iterator[str]:
    """What was found, a sentence a line."""
    n, least = found.achieved.n, artifact.probe.tokens_min
    yield (
        f"{artifact.ref} on {traffic.source.name}: {n:,} honest answers, {traffic.assumed:,} of "
        f"them without a label, {found.too_short:,} too short to trip (under {least} tokens)"
    )
    if traffic.unscored:
        yield f"left out because they ended unscored: {traffic.unscored:,} requests"
    yield (
        f"threshold {found.threshold:.4f}: asked for {found.fpr:.2%} false alarms, "
        f"got {share(found.achieved)} of {n:,}"
    )
    warning = caution(found.achieved, found.fpr)
    if warning:
        yield warning
    yield (
        f"the shipped threshold {artifact.probe.threshold:.4f} trips {share(found.shipped)} of "
        "the same answers"
    )
    if found.caught is not None:
        yield (
            f"of {found.caught.n:,} misbehaving answers the new threshold catches "
            f"{share(found.caught)}, the shipped one {share(found.caught_shipped)}"
        )
