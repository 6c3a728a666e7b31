"""The engine that runs a model in this process, all requests in one batch.

One thread owns the forward pass; a request joins at the next step and leaves after
its last. Event loops submit through a bounded queue and get their steps back in one
call per step.

Invariant: this module and what it is made of import neither fastapi nor sqlalchemy.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence

import torch

from probing.errors import PromptTooLong
from probing.model import LoadedModel
from probing.probe import ProbeSet
from probing.prompt import encode_text, render_prompt
from probing.reader import Reader
from service.engines.answers import Answer
from service.engines.detokenize import Detokenizer
from service.engines.layout import require_sound_layout
from service.engines.protocol import (
    EngineCard,
    EngineFailure,
    EngineHealth,
    GenerationRequest,
    RequestRefused,
    StepStats,
)
from service.engines.scheduler import Limits, Scheduler
from service.engines.stepper import Stepper
from service.engines.streams import LocalStream

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.02
_JOIN_SECONDS_MAX = 30.0
_GRACE_SECONDS = 2.0
"""After a drain's time is up, for the running step to end and the rest to be told."""
DEFAULT_LIMITS = Limits()


class LocalEngine:
    """Serves one model under one probe set; see `protocol.Engine`."""

    def __init__(
        self,
        loaded: LoadedModel,
        probe_set: ProbeSet,
        *,
        model_name: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            loaded: the model; while the engine runs nobody else may call it.
            probe_set: what watches it.
            model_name: what clients call it; the model's own name where None.
            limits: how much it takes on.

        Raises:
            ReadingMismatch: a probe was trained on other readings than this model gives.
            UnknownSite: a probe reads a site that this model does not have.
        """
        probe_set.require(loaded.spec)
        self._loaded = loaded
        self._probe_set = probe_set
        self._scheduler = Scheduler(limits)
        self._reader = Reader(loaded, probe_set.sites)
        self._stepper = Stepper(self._reader, probe_set, self._scheduler)
        self._detokenizer = Detokenizer(loaded.tokenizer)
        self._vocabulary = int(loaded.model.get_input_embeddings().weight.shape[0])
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._over = False
        self._emptying: EngineFailure | None = None
        self._progress_at = time.monotonic()
        self.card = EngineCard(
            model_name=model_name or loaded.provenance.name,
            context=loaded.context,
            fingerprint=loaded.spec.fingerprint,
            probe_set=probe_set.digest,
            probes=probe_set.names,
            versions=tuple(probe.version for probe in probe_set.probes),
            thresholds=tuple(probe.threshold for probe in probe_set.probes),
            deciding=tuple(probe.role == "champion" for probe in probe_set.probes),
        )

    def start(self) -> None:
        """Attach the hooks, try the batch's layout on this model, and begin to take requests.

        Raises:
            EngineFailure: `layout_mismatch` where padded rows read otherwise than alone;
                `engine_dead` where it ran before.
            SitesDoNotAdd: see `Reader`.
        """
        if self._thread is not None:
            raise EngineFailure("engine_dead", "an engine starts once; make another")
        with self._reader:
            require_sound_layout(self._reader)
        self._thread = threading.Thread(target=self._run, name="probewatch-engine", daemon=True)
        self._scheduler.open()
        self._thread.start()

    def submit(self, request: GenerationRequest) -> LocalStream:
        """Queue a request; see `protocol.Engine`."""
        self._require_possible(request)
        stream = LocalStream(asyncio.get_running_loop(), self._scheduler.note_cancel)
        decoder = self._detokenizer.decoder()
        context, end_ids = self._loaded.context, self._loaded.end_ids
        if not self._scheduler.busy:
            self._progress_at = time.monotonic()
        self._scheduler.submit(Answer(request, stream, decoder, end_ids, context))
        return stream

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> tuple[int, ...]:
        """Token ids of a conversation; see `protocol.Engine`."""
        return tuple(render_prompt(self._loaded.tokenizer, messages))

    def render_text(self, text: str) -> tuple[int, ...]:
        """Token ids of a raw prompt."""
        return tuple(encode_text(self._loaded.tokenizer, text))

    def health(self) -> EngineHealth:
        """Cheap, from any thread, also while a step hangs."""
        scheduler, refusal = self._scheduler, self._scheduler.refusal
        age = time.monotonic() - self._progress_at if scheduler.busy else 0.0
        return EngineHealth(
            alive=self._alive,
            last_step_age_seconds=age,
            reading=len(scheduler.filling),
            running=len(scheduler.running) + len(scheduler.filling),
            waiting=scheduler.waiting,
            reason=None if refusal is None else str(refusal),
        )

    def step_stats(self) -> StepStats:
        """Cheap, from any thread."""
        return self._stepper.stats()

    async def drain(self, timeout_seconds: float) -> None:
        """Refuse new requests, let the rest finish, then fail what is left."""
        if not self._alive:
            return
        self._scheduler.refuse(EngineFailure("draining", "the engine is draining"))
        if not await self._emptied(timeout_seconds):
            self._emptying = EngineFailure("draining", "the engine shut down before the end")
            self._scheduler.wake()
            await self._emptied(_GRACE_SECONDS)

    def close(self) -> None:
        """Stop the thread and wait for it; what still runs fails."""
        self._stopping = True
        self._scheduler.wake()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS_MAX)

    @property
    def _alive(self) -> bool:
        """Not once a stream was told otherwise, though the thread may take a moment to end."""
        thread = self._thread
        return thread is not None and thread.is_alive() and not (self._stopping or self._over)

    async def _emptied(self, timeout_seconds: float) -> bool:
        """Wait for the last answer's end."""
        until = time.monotonic() + timeout_seconds
        while self._scheduler.busy:
            if time.monotonic() >= until or not self._alive:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def _require_possible(self, request: GenerationRequest) -> None:
        prompt = request.prompt_ids
        if not prompt:
            raise RequestRefused("empty_prompt", "the prompt has no tokens; send at least one")
        if len(prompt) >= self._loaded.context:
            raise PromptTooLong(len(prompt), self._loaded.context)
        if min(prompt) < 0 or max(prompt) >= self._vocabulary:
            # It would end the forward pass of everyone else's answers too.
            raise RequestRefused(
                "unknown_token", f"token ids must lie between 0 and {self._vocabulary - 1}"
            )

    def _run(self) -> None:
        """The thread: beats until told to stop. Whatever goes wrong fails every stream."""
        failure = EngineFailure("engine_dead", "the engine was closed")
        try:
            with torch.inference_mode(), self._reader:
                self._stepper.warm_up()
                while not self._stopping:
                    self._scheduler.wait_for_work()
                    self._progress_at = time.monotonic()
                    if self._emptying is not None:
                        failure = self._emptying
                        break
                    self._stepper.beat()
        except BaseException as error:
            _LOG.critical("the engine died and fails all its streams", exc_info=error)
            failure = EngineFailure("engine_dead", f"{type(error).__name__}: {error}")
        finally:
            self._over = True
            self._scheduler.refuse(failure)
            self._fail_all(failure)

    def _fail_all(self, failure: EngineFailure) -> None:
        for answer in self._scheduler.everyone():
            own = EngineFailure(failure.code, str(failure))
            self._stepper.outbox.put(answer.stream, own)
        self._stepper.send()
