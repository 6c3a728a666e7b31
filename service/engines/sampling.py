"""The next token of every row at once.

One uniform number per token, drawn from the stream's own seeded generator and laid
on its own distribution: what a seed gives does not depend on what runs beside it.
(Logits of a row differ in their last bits between batch sizes, so that once in some
hundred thousand tokens a number may fall on the other side of a boundary.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

TEMPERATURE_MIN = 1e-5
"""Below this, sampling is taking the likeliest token."""
_CANDIDATES = 128
"""Tokens among which a nucleus is sought before the whole vocabulary is sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    rows: Int[Tensor, " own"]
    temperature: Float[Tensor, "own 1"]
    top_p: Float[Tensor, "own 1"] | None


class Sampler:
    """How each row of a batch is sampled; made anew when rows join or leave."""

    def __init__(
        self,
        temperatures: Sequence[float],
        top_ps: Sequence[float],
        device: torch.device | str = "cpu",
    ) -> None:
        warm = [row for row, t in enumerate(temperatures) if t >= TEMPERATURE_MIN]
        self.drawing = tuple(warm)
        """Rows that need a uniform number, in ascending order."""
        self._groups = []
        for nucleus in (False, True):
            rows = [row for row in warm if (top_ps[row] < 1) == nucleus]
            if rows:
                self._groups.append(
                    _Group(
                        rows=torch.tensor(rows, device=device),
                        temperature=_column([temperatures[row] for row in rows], device),
                        top_p=_column([top_ps[row] for row in rows], device) if nucleus else None,
                    )
                )

    def choose(
        self, logits: Float[Tensor, "rows vocabulary"], uniforms: Sequence[float]
    ) -> tuple[list[int], list[bool]]:
        """One token per row, and whether its logits were sound.

        Args:
            logits: float32, shape [rows, vocabulary].
            uniforms: a number in (0, 1] for each row; those of greedy rows are not looked at.

        Returns:
            Tokens, and False for each row whose largest logit is NaN or infinite, whose token
            means nothing then.
        """
        highest, chosen = logits.max(dim=-1)
        if self._groups:
            numbers = _column(uniforms, logits.device)
            for group in self._groups:
                own = logits if len(group.rows) == len(logits) else logits[group.rows]
                heat = (own - highest[group.rows, None]) / group.temperature
                number = numbers[group.rows]
                chosen[group.rows] = _drawn(torch.softmax(heat, dim=-1), group.top_p, number)
        return chosen.tolist(), [math.isfinite(value) for value in highest.tolist()]


def _drawn(
    likely: Float[Tensor, "own vocabulary"],
    top_p: Float[Tensor, "own 1"] | None,
    number: Float[Tensor, "own 1"],
) -> Int[Tensor, " own"]:
    """Inverse of each row's cumulative distribution at its number."""
    if top_p is None:
        return _inverse(likely, number)
    best, order = likely.topk(min(_CANDIDATES, likely.shape[-1]), dim=-1)
    if bool((best.sum(dim=-1, keepdim=True) < top_p).any()):
        best, order = likely.sort(dim=-1, descending=True, stable=True)
    before = best.cumsum(dim=-1) - best
    place = _inverse(torch.where(before < top_p, best, 0.0), number)
    return order.gather(-1, place[:, None])[:, 0]


def _inverse(
    weights: Float[Tensor, "own places"], number: Float[Tensor, "own 1"]
) -> Int[Tensor, " own"]:
    """First place whose cumulative weight reaches `number` of the total."""
    cumulative = weights.cumsum(dim=-1)
    place = torch.searchsorted(cumulative, number * cumulative[:, -1:])[:, 0]
    return place.clamp_(max=weights.shape[-1] - 1)


def _column(values: Sequence[float], device: torch.device | str) -> Float[Tensor, "rows 1"]:
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None]
