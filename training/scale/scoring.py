"""A published probe applied to transcripts, as it would have judged them live.

Whoever scores, in this process or in another, first does what a service does at its
start: checks every byte of the probe, that the model is the one it knows, and that its
golden readings come out as they did in training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probes_store.draft import Artifact
from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.bank import ProbeBank
from probing.errors import ProbingError, TemplateError
from probing.golden import check_golden
from probing.model import LoadedModel
from probing.monitor import replay
from probing.probe import ProbeSet
from probing.prompt import Rendered
from probing.reader import Reader, read_exchanges
from training.datasets.schema import Dataset
from training.errors import NonFiniteReading, NothingToRead, TextTooLong
from training.scale.archive import Chunk, Line, transcript
from training.scale.errors import TranscriptUnusable
from training.scale.model_source import ModelSource
from training.shards import TOKENS_MAX
from training.texts import render

FIELDS = frozenset({"id", "peak", "tripped_at", "tripped", "tokens", "probe"})
"""Of a line of the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a probe says of one transcript."""

    id: str
    """The archive's own."""
    peak: float | None
    """The live statistic that the threshold judges; None for an answer that ends before the
    probe may trip."""
    tripped_at: int | None
    """Token of the answer, from 0, at which it would have tripped."""
    tokens: int
    """Tokens of the answer; each was scored."""

    @property
    def tripped(self) -> bool:
        """Whether it would have tripped."""
        return self.tripped_at is not None

    def as_json(self, probe: Ref) -> dict[str, Any]:
        """A line of the output; its names are `FIELDS`."""
        return {
            "id": self.id,
            "peak": self.peak,
            "tripped_at": self.tripped_at,
            "tripped": self.tripped,
            "tokens": self.tokens,
            "probe": str(probe),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A line that cannot be scored."""

    where: str
    """File and line."""
    problem: str
    """What is wrong with it."""


Outcome = Scored | Unusable


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A transcript as the model reads it."""

    id: str
    """The archive's own."""
    where: str
    """File and line."""
    rendered: Rendered
    """Its tokens."""


class Scorer:
    """Holds a model and a probe; scores chunk after chunk."""

    def __init__(self, loaded: LoadedModel, artifact: Artifact) -> None:
        """Make sure that the two belong together.

        Raises:
            ReadingMismatch: the probe was trained on another model's readings.
            GoldenMismatch: this machine reads other numbers than training did.
        """
        self.ref = artifact.ref
        self._loaded, self._probe = loaded, artifact.probe
        self._probe.require(loaded.spec)
        self._reader = Reader(loaded, self._probe.sites)
        self._bank = ProbeBank(ProbeSet((self._probe,)), loaded.device)
        with self._reader:
            check_golden(
                self._reader, self._probe, artifact.golden, artifact.manifest.golden_tolerance
            )

    def __call__(self, chunk: Chunk) -> list[Outcome]:
        """One outcome for each line that is not blank, in order.

        Raises:
            NonFiniteReading: a score is NaN or infinite; such a text must not pass for a low one.
        """
        outcomes: dict[int, Outcome] = {}
        texts: dict[int, Text] = {}
        for line in chunk.read():
            try:
                texts[line.number] = self.text_of(line, chunk.archive)
            except TranscriptUnusable as error:
                outcomes[line.number] = Unusable(where=error.where, problem=error.problem)
        outcomes.update(zip(texts, self._scored(list(texts.values())), strict=True))
        return [outcomes[number] for number in sorted(outcomes)]

    def text_of(self, line: Line, archive: Path) -> Text:
        """A line as the model reads it.

        Raises:
            TranscriptUnusable: its form is wrong, or this model cannot read it.
        """
        example = transcript(line, archive)
        try:
            (rendered,) = render(self._loaded, Dataset(name="", sha256="", examples=(example,)))
        except (TextTooLong, NothingToRead, TemplateError) as error:
            raise TranscriptUnusable(example.where, _without(example.where, error)) from error
        return Text(id=example.id, where=example.where, rendered=rendered)

    def _scored(self, texts: Sequence[Text]) -> list[Scored]:
        found: dict[int, Scored] = {}
        exchanges = [text.rendered for text in texts]
        with self._reader:
            for i, readings in read_exchanges(self._reader, exchanges, tokens_max=TOKENS_MAX):
                scores = self._bank.score(readings)[exchanges[i].response_start :]
                found[i] = self._judged(texts[i], scores.cpu().numpy())
        return [found[i] for i in range(len(texts))]

    def _judged(self, text: Text, scores: NDArray[np.float32]) -> Scored:
        if not np.isfinite(scores).all():
            raise NonFiniteReading(text.where, ", ".join(map(str, self._probe.sites)))
        judged = replay(self._probe, scores)
        return Scored(
            id=text.id,
            peak=judged.peak if math.isfinite(judged.peak) else None,
            tripped_at=judged.tripped_at,
            tokens=len(scores),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """Score chunks with a model and a probe of one's own; see `Task`."""

    source: ModelSource
    """The model."""
    store: Path
    """The probe's store, by its whole path."""
    ref: Ref
    """The probe, with its version."""

    def open(self) -> Scorer:
        """Load both and make sure of them; raises as `Scorer` does."""
        return Scorer(self.source.load(), ProbeStore(self.store).load(self.ref))


def _without(where: str, error: ProbingError) -> str:
    """An error's sentence without the place that it begins with."""
    return str(error).removeprefix(f"{where}: ")
