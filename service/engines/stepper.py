"""One beat after another: admit, read prompts, take a step, hand out.

The engine's thread calls `beat` for as long as there is something to do. Nothing is
swallowed here: a score that is no number ends the streams concerned, anything else
goes up and ends the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
from jaxtyping import Float
from torch import Tensor

from probing.errors import NonFiniteScore
from probing.monitor import Judgement, Monitor
from probing.policy import Decision
from probing.probe import ProbeSet
from probing.reader import Reader, Readings
from probing.step_bank import StepBank
from service.engines.answers import Answer
from service.engines.batch import DecodeBatch, Prefill, last_logits
from service.engines.protocol import EngineFailure, FinishReason, StepStats
from service.engines.sampling import Sampler
from service.engines.scheduler import Scheduler
from service.engines.streams import Outbox
from service.engines.threads import StepThreads


@dataclass(slots=True, kw_only=True)
class Counters:
    """The growing part of `StepStats`; written by the engine's thread only."""

    steps: int = 0
    tokens: int = 0
    step_seconds: float = 0.0
    score_seconds: float = 0.0
    prefill_chunks: int = 0
    prefill_tokens: int = 0
    prefill_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """The monitor's word on a step."""

    judged: Judgement
    """Has a line for every row of the batch; only those of `rows` say anything."""
    rows: Sequence[int]
    """Rows of the batch with sound scores."""
    failures: dict[int, EngineFailure]
    """By row: those whose scores are no numbers."""


class Stepper:
    """Owns the forward pass and everything that is fed by it."""

    def __init__(self, reader: Reader, probe_set: ProbeSet, scheduler: Scheduler) -> None:
        loaded = reader.loaded
        self.counters = Counters()
        self.outbox = Outbox()
        self._reader = reader
        self._scheduler = scheduler
        self._bank = StepBank(probe_set, loaded.device)
        self._monitor = Monitor(probe_set, streams_max=scheduler.limits.rows_max)
        self._device = loaded.device
        self._threads = StepThreads()
        self._batch = DecodeBatch(loaded.model)
        self._prefill: Prefill | None = None
        self._sampler = Sampler([], [])

    def warm_up(self) -> None:
        """Find out how steps are quickest on this model and machine, before the first of them."""
        self._bank.warm_up()
        self._monitor.warm_up()
        self._threads.try_out(self._reader, self._scheduler.limits.rows_max)

    def beat(self) -> None:
        """At most one chunk of prompts, then one step of the running answers."""
        self._drop(self._scheduler.drop_cancelled())
        self._read_prompts()
        if self._scheduler.running:
            with self._threads.chosen_for(len(self._scheduler.running)):
                self._step()
        self.send()

    def send(self) -> None:
        """Hand out what has been put into the outbox."""
        if not self.outbox.send():
            self._scheduler.note_cancel()

    def stats(self) -> StepStats:
        """The counters, and what the cache holds; from any thread."""
        c, batch, prefill = self.counters, self._batch, self._prefill
        return StepStats(
            steps=c.steps,
            tokens=c.tokens,
            step_seconds=c.step_seconds,
            score_seconds=c.score_seconds,
            prefill_chunks=c.prefill_chunks,
            prefill_tokens=c.prefill_tokens,
            prefill_seconds=c.prefill_seconds,
            cache_bytes=batch.bytes + (prefill.cache.bytes if prefill else 0),
            cache_tokens=batch.tokens_held + (prefill.tokens_read if prefill else 0),
        )

    def _read_prompts(self) -> None:
        """Admit, and read the next chunk of those admitted."""
        scheduler = self._scheduler
        scheduler.admit()
        filling = scheduler.filling
        if not filling:
            return
        if all(answer.stream.cancelled for answer in filling):
            scheduler.abandon()
            self._prefill = None
            return
        began = perf_counter()
        prefill = self._prefill
        if prefill is None:
            prompts = [answer.request.prompt_ids for answer in filling]
            prefill = self._prefill = Prefill(self._reader.loaded.model, prompts)
        limits = scheduler.limits
        chunk = limits.chunk_tokens if scheduler.running else limits.idle_chunk_tokens
        before = prefill.tokens_read
        output = prefill.advance(self._reader, chunk)
        self.counters.prefill_chunks += 1
        self.counters.prefill_tokens += prefill.tokens_read - before
        if output is not None:
            self._begin(prefill, last_logits(output, len(filling)))
            self._prefill = None
        self.counters.prefill_seconds += perf_counter() - began

    def _begin(self, prefill: Prefill, logits: Float[Tensor, "rows vocabulary"]) -> None:
        """Sample everyone's first token and let them join the batch."""
        answers = self._scheduler.filling
        tokens, sound = _sampler(answers, self._device).choose(
            logits, [answer.uniforms.next() for answer in answers]
        )
        first = len(self._scheduler.running)
        self._batch.join(prefill)
        self._scheduler.join()
        for answer in answers:
            self._monitor.open(answer.request.action)
        ended = []
        for row, answer in enumerate(answers, first):
            token = tokens[row - first]
            if not sound[row - first]:
                self.outbox.put(answer.stream, _unsound_logits())
                ended.append(row)
            elif answer.ends_with(token):
                self.outbox.put(answer.stream, answer.nothing(token))
                ended.append(row)
            else:
                self._take(answer, token)
        self._drop(self._scheduler.leave(ended))
        self._changed()

    def _step(self) -> None:
        """Read one token of every row, score it, judge it, sample the next."""
        running, counters = self._scheduler.running, self.counters
        began = perf_counter()
        output = self._batch.step(self._reader, [answer.token for answer in running])
        logits = last_logits(output, len(running))
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # or the forward pass would count as scoring
        scoring = perf_counter()
        verdicts = self._judge(output.readings)
        counters.score_seconds += perf_counter() - scoring
        uniforms = [0.0] * len(running)
        for row in self._sampler.drawing:
            uniforms[row] = running[row].uniforms.next()
        tokens, sound = self._sampler.choose(logits, uniforms)
        ended = self._hand_out(verdicts, tokens, sound)
        if ended:
            self._drop(self._scheduler.leave(ended))
        counters.steps += 1
        counters.tokens += len(verdicts.rows)
        counters.step_seconds += perf_counter() - began

    def _judge(self, readings: Readings) -> Verdicts:
        """Score the step's readings; streams whose scores are no numbers are set apart.

        Raises:
            ReadingShapeMismatch: not one token of each row was read.
        """
        rows = len(self._scheduler.running)
        channels = self._bank.score(readings, rows)
        try:
            return Verdicts(judged=self._monitor.push(channels), rows=range(rows), failures={})
        except NonFiniteScore as error:
            failures = {row: EngineFailure("monitor_error", str(error)) for row in error.rows}
            channels[list(failures)] = 0  # these streams end with this step, unjudged
            return Verdicts(
                judged=self._monitor.push(channels),
                rows=[row for row in range(rows) if row not in failures],
                failures=failures,
            )

    def _hand_out(
        self, verdicts: Verdicts, tokens: Sequence[int], sound: Sequence[bool]
    ) -> list[int]:
        """Put out every row's step, and take in its next token unless it ends.

        Returns:
            Rows that ended.
        """
        running, judged, put = self._scheduler.running, verdicts.judged, self.outbox.put
        ended = list(verdicts.failures)
        for row, failure in verdicts.failures.items():
            put(running[row].stream, failure)
        for row in verdicts.rows:
            answer = running[row]
            reason: FinishReason | None = answer.closing
            if judged.decisions[row] == Decision.HALT:
                reason = "content_filter"
            elif reason is None and sound[row] and answer.ends_with(tokens[row]):
                reason = "stop"
            put(answer.stream, answer.read(row, judged, reason))
            if reason is not None:
                ended.append(row)
            elif not sound[row]:
                put(answer.stream, _unsound_logits())
                ended.append(row)
            else:
                self._take(answer, tokens[row])
        return ended

    def _take(self, answer: Answer, token: int) -> None:
        answer.sampled(token)
        if answer.request.early:
            self.outbox.put(answer.stream, answer.early())

    def _drop(self, rows: list[int]) -> None:
        """Let the batch follow the scheduler, which has freed these rows."""
        if rows:
            self._batch.leave(rows)
            for row in rows:
                self._monitor.close(row)
            self._changed()

    def _changed(self) -> None:
        """Prepare what depends on who is in which row."""
        running = self._scheduler.running
        self._sampler = _sampler(running, self._device)


def _sampler(answers: Sequence[Answer], device: torch.device) -> Sampler:
    requests = [answer.request for answer in answers]
    return Sampler([r.temperature for r in requests], [r.top_p for r in requests], device)


def _unsound_logits() -> EngineFailure:
    return EngineFailure(
        "monitor_error",
        "the model gave no finite logits, so no next token can be chosen and nothing of "
        "this stream may follow: check the model's weights and precision",
    )
