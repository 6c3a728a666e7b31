"""Family 5: what the cache takes, against the tokens that it holds.

Bytes are counted by the engine and not measured, so nothing here is noise: the
"rounds" of a row are points, each compared with the first one. Linear means that
bytes grow no faster than tokens. Streams of very unequal length share a rectangle
of the longest one's width; that row has no target and says what it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from bench.contest import Contest, Sides
from bench.driving import Driver, Prompts, drive
from bench.rows import AGAIN, Figures, Row, Samples, paired
from bench.subjects import Subject, cache_bytes_per_token, watched

FAMILY = "memory against tokens held"
PROBES = 8
TARGET = 1.05
"""Growth of bytes against growth of tokens; above 1 only as far as blocks round up."""
LENGTHS = tuple(range(56, 449, 56))
"""Tokens of one stream."""
STREAMS = tuple(range(4, 33, 4))
STREAM_TOKENS = 128
MIXED = (448, *[32] * 7)


def contest(subject: Callable[[], Subject], name: str, seconds: float) -> Contest:
    """The same engine and a second one at rising lengths, numbers of streams, and mixed."""
    needed: list[int] = []

    def prepare(stack: ExitStack) -> Sides:
        model = subject()
        needed.append(cache_bytes_per_token(model.loaded))
        return _prepare(model, stack)

    return Contest(
        name=f"memory, {name}",
        prepare=prepare,
        rows=lambda samples: _rows(name, needed[0], samples),
        rounds=1,
        seconds=seconds,
    )


def _prepare(model: Subject, stack: ExitStack) -> Sides:
    driver, second = drive(stack, watched(model, PROBES)), drive(stack, watched(model, PROBES))
    sides = {}
    for length in LENGTHS:
        prompts = model.prompts([length])
        sides[f"length {length}"] = partial(_measure, driver, prompts)
        sides[f"again {length}"] = partial(_measure, second, prompts)
    for streams in STREAMS:
        prompts = model.prompts([STREAM_TOKENS] * streams)
        sides[f"streams {streams}"] = partial(_measure, driver, prompts)
    sides["mixed"] = partial(_measure, driver, model.prompts(MIXED))
    return sides


def _measure(driver: Driver, prompts: Prompts) -> Figures:
    return driver.window(prompts, 1).as_figures()


def _rows(name: str, needed: int, samples: Samples) -> list[Row]:
    lengths = [samples[f"length {n}"][0] for n in LENGTHS]
    again = [samples[f"again {n}"][0] for n in LENGTHS]
    streams = [samples[f"streams {n}"][0] for n in STREAMS]
    return [
        _growth(f"{name}, 1 stream from {LENGTHS[0]} to {LENGTHS[-1]} tokens", lengths),
        _growth(f"{name}, {STREAMS[0]} to {STREAMS[-1]} streams of {STREAM_TOKENS}", streams),
        _overhead(f"{name}, {STREAMS[-1]} streams of {STREAM_TOKENS}", needed, streams[-1:]),
        _overhead(f"{name}, 1 stream of {LENGTHS[-1]}", needed, lengths[-1:]),
        _overhead(f"{name}, 1 stream of {MIXED[0]} and 7 of {MIXED[1]}", needed, samples["mixed"]),
        paired(
            f"{AGAIN} {name}, 1 stream",
            [f["cache_bytes"] for f in lengths],
            [f["cache_bytes"] for f in again],
            family=FAMILY,
            unit="bytes",
            note="two engines at the same points",
        ),
    ]


def _growth(label: str, points: Sequence[Figures]) -> Row:
    first, later = points[0], points[1:]
    return paired(
        f"{label}, growth of bytes against tokens",
        [f["cache_bytes"] / first["cache_bytes"] for f in later],
        [f["cache_tokens"] / first["cache_tokens"] for f in later],
        family=FAMILY,
        unit="times",
        target=TARGET,
        note=f"each point against the smallest; {TARGET} leaves room for rounding up to blocks",
    )


def _overhead(label: str, needed: int, points: Sequence[Figures]) -> Row:
    return paired(
        f"{label}, bytes a token",
        [f["cache_bytes"] / f["cache_tokens"] for f in points],
        [needed] * len(points),
        family=FAMILY,
        unit="bytes",
        note="allocated against what keys and values of one token take",
    )
