"""One HTTP response made of gated answers, as a stream or whole.

The work runs in a supervised task that the connection cannot tear down; the
response itself only waits for it, and for the client to leave. Nothing is sent
before the first text may leave, so a failure until then is still a status code.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.gate import Release, Run, place_of
from service.ledger import Answer
from service.metrics import Metrics
from service.reasons import Unscored, Withheld
from service.refusals import Refusal, refusal_of
from service.replies import Head, as_json, failure_event
from service.supervisor import Supervisor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request that was read and rendered, ready to be answered."""

    head: Head
    """What its response begins with."""
    runs: tuple[Run, ...]
    """One per choice."""
    prompt_tokens: int
    """Length of the prompt."""
    streaming: bool
    """Whether chunks were asked for."""


class AnswerResponse(Response):
    """Starts a job and stays until it has ended or its client is gone."""

    def __init__(self, job: Job, supervisor: Supervisor, metrics: Metrics) -> None:
        super().__init__()
        self._job = job
        self._supervisor = supervisor
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; on a disconnect cancel the runs, which then put themselves on record."""
        deliver = self._stream if self._job.streaming else self._whole
        work = self._supervisor.start(deliver(send), self._job.runs)
        leaving = asyncio.create_task(_disconnect(receive))
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._cancel(Unscored.CLIENT_DISCONNECTED)
            raise
        if not work.done():
            self._cancel(Unscored.CLIENT_DISCONNECTED)
            await asyncio.wait({work})
        leaving.cancel()

    def _cancel(self, reason: Unscored) -> None:
        for run in self._job.runs:
            run.cancel(reason)

    async def _stream(self, send: Send) -> None:
        events = _Events(send, self._job.head)
        try:
            answers = await self._answers(events.choice, events.finish)
            await events.close(self._job.prompt_tokens, answers)
        except Exception as error:
            await events.fail(self._refusal(error))

    async def _whole(self, send: Send) -> None:
        job = self._job
        texts: list[list[str]] = [[] for _ in job.runs]

        def collect(index: int) -> Release:
            async def keep(text: str) -> None:
                texts[index].append(text)

            return keep

        try:
            answers = await self._answers(collect, None)
            reply = job.head.whole(job.prompt_tokens, ["".join(parts) for parts in texts], answers)
        except Exception as error:
            await _send_refusal(send, job.head.id, self._refusal(error))
            return
        await _send_json(send, 200, job.head.id, {}, reply)

    async def _answers(
        self,
        release_of: Callable[[int], Release],
        finish: Callable[[int, Answer], Awaitable[None]] | None,
    ) -> list[Answer]:
        """Run all choices; one that fails ends the others, and its failure is the whole's."""

        async def one(index: int, run: Run) -> Answer:
            try:
                answer = await run.answer(release_of(index))
            except Exception:
                self._cancel(Unscored.SIBLING_FAILED)
                raise
            if finish is not None:
                await finish(index, answer)
            return answer

        runs = enumerate(self._job.runs)
        ends = await asyncio.gather(*[one(i, run) for i, run in runs], return_exceptions=True)
        answers = [end for end in ends if isinstance(end, Answer)]
        if len(answers) < len(ends):
            raise _cause([end for end in ends if isinstance(end, BaseException)])
        return answers

    def _refusal(self, error: Exception) -> Refusal:
        refusal = refusal_of(error)
        if not isinstance(error, Withheld):
            self._metrics.refused.labels(refusal.code).inc()
        if refusal.status == 500:
            log.error("answer %s failed after the gate: %s", self._job.head.id, place_of(error))
        return refusal


class _Events:
    """Server-sent events over one connection."""

    def __init__(self, send: Send, head: Head) -> None:
        self._send = send
        self._head = head
        self._begun = False
        self._named: set[int] = set()

    def choice(self, index: int) -> Release:
        """What sends text of one choice."""
        before, after = self._head.text_frame(index)

        async def release(text: str) -> None:
            if index not in self._named:
                await self._name(index)
            body = before + json.dumps(text).encode() + after
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

        return release

    async def finish(self, index: int, answer: Answer) -> None:
        """End one choice."""
        if index not in self._named:
            await self._name(index)
        await self._write(self._head.last_chunk(index, answer))

    async def close(self, prompt_tokens: int, answers: Sequence[Answer]) -> None:
        """End the stream when all choices have ended."""
        await self._write(self._head.closing_chunks(prompt_tokens, answers), more=False)

    async def fail(self, refusal: Refusal) -> None:
        """Say what went wrong: by status while nothing was sent, else as the last event."""
        if self._begun:
            await self._write(failure_event(refusal), more=False)
        else:
            await _send_refusal(self._send, self._head.id, refusal)

    async def _name(self, index: int) -> None:
        self._named.add(index)
        await self._write(self._head.first_chunk(index))

    async def _write(self, body: bytes, *, more: bool = True) -> None:
        if not self._begun:
            self._begun = True
            await self._send(_start(200, self._head.id, _EVENT_STREAM))
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


_EVENT_STREAM = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}


def _cause(faults: Sequence[BaseException]) -> BaseException:
    """The failure that the others followed from."""
    followed = [
        fault
        for fault in faults
        if not (isinstance(fault, Withheld) and fault.reason is Unscored.SIBLING_FAILED)
    ]
    return (followed or list(faults))[0]


def _start(status: int, request_id: str, headers: dict[str, str]) -> Message:
    pairs = {"x-request-id": request_id, **headers}.items()
    encoded = [(name.encode(), value.encode()) for name, value in pairs]
    return {"type": "http.response.start", "status": status, "headers": encoded}


async def _send_refusal(send: Send, request_id: str, refusal: Refusal) -> None:
    await _send_json(send, refusal.status, request_id, refusal.headers, refusal.as_openai())


async def _send_json(
    send: Send, status: int, request_id: str, headers: dict[str, str], data: dict[str, object]
) -> None:
    body = as_json(data)
    described = {"content-type": "application/json", "content-length": str(len(body))}
    await send(_start(status, request_id, {**described, **headers}))
    await send({"type": "http.response.body", "body": body})


async def _disconnect(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
