"""Sampling against the distribution that it promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.engines.answers import Uniforms
from service.engines.sampling import Sampler


def chosen(logits: list[float], number: float, temperature: float = 1.0, top_p: float = 1.0) -> int:
    """The token that one row draws."""
    tokens, sound = Sampler([temperature], [top_p]).choose(torch.tensor([logits]), [number])
    assert sound == [True]
    return tokens[0]


def shares(logits: list[float], temperature: float = 1.0, top_p: float = 1.0) -> list[float]:
    """How often each token comes when all numbers in (0, 1] come equally often."""
    n = 4000
    sampler = Sampler([temperature] * n, [top_p] * n)
    numbers = [(i + 0.5) / n for i in range(n)]
    tokens, _ = sampler.choose(torch.tensor([logits] * n), numbers)
    return (np.bincount(tokens, minlength=len(logits)) / n).tolist()


def test_temperature_zero_takes_the_likeliest() -> None:
    assert chosen([0.0, 3.0, 2.9], 0.01, temperature=0.0) == 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_they_are_likely(temperature: float) -> None:
    logits = [1.0, -0.5, 0.3, 2.0]
    expected = torch.softmax(torch.tensor(logits) / temperature, dim=0).tolist()

    assert shares(logits, temperature) == pytest.approx(expected, abs=1e-3)


def test_a_nucleus_is_the_fewest_tokens_that_hold_its_share() -> None:
    logits = np.log([0.1, 0.5, 0.15, 0.25]).tolist()

    assert shares(logits, top_p=0.7) == pytest.approx([0, 2 / 3, 0, 1 / 3], abs=1e-3)
    assert shares(logits, top_p=0.76) == pytest.approx([0, 5 / 9, 1 / 6, 5 / 18], abs=1e-3)
    assert shares(logits, top_p=1e-9) == [0, 1, 0, 0]


def test_a_flat_nucleus_over_a_large_vocabulary_is_whole() -> None:
    """More tokens than the short list that is looked at first."""
    tokens, _ = Sampler([1.0] * 500, [0.9] * 500).choose(
        torch.zeros(500, 1000), [(i + 1) / 500 for i in range(500)]
    )

    assert len(set(tokens)) == 500
    assert max(tokens) in (899, 900)


@pytest.mark.parametrize("number", [1e-12, 0.5, 1.0])
@pytest.mark.parametrize("top_p", [0.5, 1.0])
def test_an_impossible_token_never_comes(number: float, top_p: float) -> None:
    low = float("-inf")

    assert chosen([low, 0.0, low, 0.0, low], number, top_p=top_p) in (1, 3)
    assert chosen([0.0, -300.0, -300.0], number, temperature=0.01, top_p=top_p) == 0


def test_rows_do_not_know_of_each_other() -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(6, 300)).astype(np.float32))
    temperatures, top_ps = [0.0, 1.0, 0.7, 1.3, 0.0, 1.0], [1.0, 0.9, 1.0, 0.3, 0.5, 1.0]
    numbers = rng.random(6).tolist()
    together, _ = Sampler(temperatures, top_ps).choose(logits, numbers)

    for row in range(6):
        sampler = Sampler([temperatures[row]], [top_ps[row]])
        assert sampler.choose(logits[row : row + 1], [numbers[row]])[0] == [together[row]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("top_p", [0.5, 1.0])
def test_broken_logits_are_reported_and_hurt_no_other_row(
    bad: float, temperature: float, top_p: float
) -> None:
    logits = torch.tensor([[0.0, bad, 0.0], [0.0, 9.0, 0.0]])
    tokens, sound = Sampler([temperature] * 2, [top_p] * 2).choose(logits, [0.5, 0.5])

    assert sound == [False, True]
    assert tokens[1] == 1
    assert all(0 <= token < 3 for token in tokens)


@pytest.mark.parametrize("seed", [0, 1, -1, -(2**63), 2**63 - 1])
def test_any_integer_is_a_seed(seed: int) -> None:
    one, other = Uniforms(seed), Uniforms(seed)
    numbers = [one.next() for _ in range(200)]

    assert numbers == [other.next() for _ in range(200)]
    assert all(0 < number <= 1 for number in numbers)
    assert Uniforms(None).next() != Uniforms(None).next()
