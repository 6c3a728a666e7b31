"""The row cache against plain lists of what each row holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from service.engines.cache import COLUMNS_BLOCK, ROWS_BLOCK, RowCache

LAYERS, HEADS, WIDTH = 2, 2, 3


def column(values: list[float], width: int = WIDTH) -> Tensor:
    """Keys of one new token per row: the value everywhere, [rows, heads, 1, width]."""
    return torch.tensor(values)[:, None, None, None].expand(-1, HEADS, 1, width).clone()


def step(cache: RowCache, values: list[float]) -> tuple[Tensor, Tensor]:
    """Write one token per row in every layer; what the last layer shows."""
    cache.make_room()
    for layer in range(LAYERS):
        shown = cache.update(column(values), -column(values), layer)
    cache.advance(1)
    return shown


def filled(rows: list[list[float]]) -> RowCache:
    """A left-padded prefill of these rows, whose padding holds garbage that is finite."""
    longest = max(len(row) for row in rows)
    cache = RowCache(LAYERS, rows=len(rows), columns=longest)
    for place in range(longest):
        values = [row[place - longest] if place >= longest - len(row) else 7e7 for row in rows]
        step(cache, values)
    return cache


def assert_shows(shown: tuple[Tensor, Tensor], rows: list[list[float]]) -> None:
    """Every row ends at the last column, and nothing before its beginning is not finite."""
    keys, values = shown
    longest = max(len(row) for row in rows)
    assert keys.shape == (len(rows), HEADS, longest, WIDTH)
    assert torch.isfinite(keys).all()
    for row, expected in enumerate(rows):
        own = torch.tensor(expected)[None, :, None].expand(HEADS, -1, WIDTH)
        assert torch.equal(keys[row, :, longest - len(expected) :], own)
        assert torch.equal(values[row, :, longest - len(expected) :], -own)


@pytest.mark.parametrize("seed", range(6))
def test_rows_keep_their_own_tokens_through_joins_and_leaves(seed: int) -> None:
    """Another stream's keys would be another stream's scores."""
    rng = np.random.default_rng(seed)
    cache, rows, next_value = RowCache(LAYERS), [], 1.0
    for _ in range(150):
        if not rows or rng.random() < 0.15:
            lengths = sorted(rng.integers(1, 90, size=rng.integers(1, 4)).tolist(), reverse=True)
            joining = [[next_value + i + 100 * j for i in range(n)] for j, n in enumerate(lengths)]
            next_value += 1000
            cache.append(filled(joining), len(joining), lengths[0])
            rows += joining
        elif rng.random() < 0.15:
            leaving = int(rng.integers(len(rows)))
            cache.remove(leaving)
            rows[leaving] = rows[-1]
            rows.pop()
            if rows:
                cache.trim(max(map(len, rows)))
        if rows:
            tokens = [next_value + i for i in range(len(rows))]
            next_value += 50
            for row, token in zip(rows, tokens, strict=True):
                row.append(token)
            assert_shows(step(cache, tokens), rows)


NAN = float("nan")


def joined(*rows: list[float]) -> RowCache:
    """A cache that these rows joined one after another."""
    cache = RowCache(LAYERS)
    for row in rows:
        cache.append(filled([row]), 1, len(row))
    return cache


def test_a_broken_row_leaves_nothing_behind_for_the_next() -> None:
    """Masked attention still multiplies by what is masked, and zero times NaN is NaN."""
    rows = [[1.0] * 20, [2.0] * 3]
    cache = joined(rows[0], [NAN] * 15)
    cache.remove(1)
    cache.append(filled([rows[1]]), 1, 3)

    assert_shows(step(cache, [1.0, 2.0]), [[1.0] * 21, [2.0] * 4])


def test_columns_that_come_back_into_view_are_clean() -> None:
    """A longer row that joins widens the view over what a broken one left in others' rows."""
    cache = joined([1.0] * 5, [NAN] * 20)
    cache.remove(1)
    cache.trim(5)
    cache.append(filled([[2.0] * 3]), 1, 3)
    cache.append(filled([[3.0] * 18]), 1, 18)

    shown = step(cache, [1.0, 2.0, 3.0])

    assert_shows(shown, [[1.0] * 6, [2.0] * 4, [3.0] * 19])


def test_the_row_that_takes_a_broken_ones_place_is_clean() -> None:
    cache = joined([NAN] * 20, [1.0] * 5)
    cache.remove(0)
    cache.trim(5)

    assert_shows(step(cache, [1.0]), [[1.0] * 6])


def test_memory_follows_the_tokens_held() -> None:
    cache = RowCache(LAYERS)
    per_token = LAYERS * 2 * HEADS * WIDTH * 4
    cache.append(filled([[1.0] * 10]), 1, 10)
    for _ in range(1000):
        step(cache, [1.0])

    assert cache.bytes <= ROWS_BLOCK * (1010 + COLUMNS_BLOCK) * per_token
    cache.remove(0)
    assert cache.bytes == 0


def test_a_long_row_that_left_frees_its_columns() -> None:
    cache = RowCache(LAYERS)
    cache.append(filled([[1.0] * 900, [2.0] * 10]), 2, 900)
    before = cache.bytes
    cache.remove(0)
    cache.trim(10)
    for _ in range(COLUMNS_BLOCK + 1):
        step(cache, [2.0])

    assert cache.bytes < before / 5


def test_keys_and_values_may_differ_in_width() -> None:
    cache = RowCache(1, rows=1, columns=1)
    keys, values = cache.update(column([1.0], 3), column([2.0], 5), 0)

    assert (keys.shape[-1], values.shape[-1]) == (3, 5)
