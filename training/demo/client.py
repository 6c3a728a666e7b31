"""The demo's client: a process of its own that holds no labels.

It reads prompts from a file, sends them to the service as any user would,
streaming and several at a time, and prints one JSON line per answer. Run as
`python -m training.demo.client --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx2

TOKENS_MAX = 96


@dataclass(slots=True, kw_only=True)
class Answer:
    """What came back for one prompt."""

    id: str
    """The prompt's id."""
    request_id: str = ""
    """The service's id of the request."""
    status: int = 0
    """HTTP status."""
    text: str = ""
    """Everything that was released."""
    finish_reason: str | None = None
    """Why it ended."""
    receipt: dict[str, Any] = field(default_factory=dict)
    """The service's receipt."""
    error: str | None = None
    """Code of a failure in mid-stream."""
    ttft_ms: float | None = None
    """From sending to the first text."""
    gaps_ms: list[float] = field(default_factory=list)
    """Between one piece of text and the next."""


async def ask(
    http: httpx2.AsyncClient, model: str, prompt: dict[str, Any], seed: int, mode: str
) -> Answer:
    """Send one chat request and take its stream apart."""
    body = {
        "model": model,
        "messages": prompt["messages"],
        "max_tokens": TOKENS_MAX,
        "temperature": 1.0,
        "seed": seed,
        "stream": True,
    }
    if mode == "block":
        body["moderation"] = {"model": "probewatch", "policy": {"output": {"mode": "block"}}}
    answer = Answer(id=prompt["id"])
    sent = last = time.perf_counter()
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        answer.status = response.status_code
        answer.request_id = response.headers.get("x-request-id", "")
        async for line in response.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            now = time.perf_counter()
            if _take(answer, json.loads(line[6:])):
                if answer.ttft_ms is None:
                    answer.ttft_ms = (now - sent) * 1e3
                else:
                    answer.gaps_ms.append((now - last) * 1e3)
                last = now
    return answer


def _take(answer: Answer, chunk: dict[str, Any]) -> bool:
    """Fold one chunk into the answer; True when it brought text."""
    if "error" in chunk:
        answer.error = str(chunk["error"].get("code"))
        return False
    for choice in chunk.get("choices", []):
        answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
        answer.receipt = choice.get("probewatch") or answer.receipt
        piece = choice.get("delta", {}).get("content")
        if piece:
            answer.text += piece
            return True
    return False


async def ask_all(url: str, prompts: list[dict[str, Any]], mode: str, concurrency: int) -> None:
    """Send all prompts, `concurrency` at a time, printing each answer as it is complete."""
    free = asyncio.Semaphore(concurrency)
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        model = (await http.get("/v1/models")).json()["data"][0]["id"]

        async def one(number: int, prompt: dict[str, Any]) -> None:
            async with free:
                answer = await ask(http, model, prompt, number, mode)
            sys.stdout.write(json.dumps(asdict(answer)) + "\n")
            sys.stdout.flush()

        async with asyncio.TaskGroup() as group:
            for number, prompt in enumerate(prompts):
                group.create_task(one(number, prompt))


def main() -> None:
    """Read the command line and ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path, help="JSON lines with `id` and `messages`")
    parser.add_argument("--url", required=True, help="where the service listens")
    parser.add_argument("--mode", choices=["score", "block"], default="score")
    parser.add_argument("--concurrency", type=int, default=8)
    chosen = parser.parse_args()
    prompts = [json.loads(line) for line in chosen.prompts.read_text().splitlines()]
    asyncio.run(ask_all(chosen.url, prompts, chosen.mode, chosen.concurrency))


if __name__ == "__main__":
    main()
