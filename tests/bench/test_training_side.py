"""The families of the training side compare what they say they compare."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice

import pytest
import torch
from rich.console import Console

from bench import collecting, fitting
from bench.contest import run
from bench.programme import FAMILIES, LONG, programme
from bench.rows import Row
from bench.subjects import Subject
from probing.model import LoadedModel
from probing.reader import Inputs, Reader
from probing.spec import Site

PLAN = fitting.Plan(layers=3, readings=300, width=12, rounds=2, seconds=1)
TEXTS = collecting.Plan(
    texts=5,
    tokens=(8, 40),
    others=("hidden states", "bridge", "base model"),
    target=1.5,
    rounds=1,
    seconds=1,
)


def rows_of(contest: collecting.Contest) -> dict[str, Row]:
    found = run([contest], Console(file=io.StringIO()), lambda _: None)
    return {row.name: row for row in found}


@pytest.fixture
def subject(tiny: Callable[[str], LoadedModel]) -> Subject:
    return Subject(name="Tiny", loaded=tiny("gpt2"))


def test_all_sides_read_the_same_numbers(subject: Subject) -> None:
    """A side that is quick because it reads something else would be no opponent."""
    data, layer = TEXTS.data(), 1
    with ExitStack() as stack, Reader(subject.loaded, [Site(layer, "hook_resid_post")]) as reader:
        hidden, base, bridge = (
            collecting._SIDES[side](subject, data, stack)()
            for side in ("hidden states", "base model", "bridge")
        )
        for row, example in enumerate(data):
            ids = torch.tensor([subject.loaded.tokenizer(example.answer)["input_ids"]])
            (expected,) = reader.forward(Inputs(input_ids=ids)).readings.values()
            tokens = ids.shape[1]
            for kept in (hidden[0][layer + 1], base[0][layer + 1], bridge[0].values()):
                found = kept if isinstance(kept, torch.Tensor) else list(kept)[layer]
                torch.testing.assert_close(found[row, :tokens], expected[0], atol=1e-4, rtol=0)


def test_collecting_is_compared_with_each_of_the_others(subject: Subject) -> None:
    rows = rows_of(collecting.contest(lambda: subject, "Tiny", TEXTS))

    title = "Tiny, 5 texts of 8 to 40 tokens"
    assert set(rows) == {
        *(f"{title}, {what}" for what in collecting.OTHERS.values()), f"A/A {title}"
    }  # fmt: skip
    assert {row.target for row in rows.values()} == {1.5, None}
    assert all(row.ours > 0 and row.better == "higher" for row in rows.values())


def test_texts_have_the_lengths_that_the_plan_says() -> None:
    lengths = sorted(len(example.answer) for example in TEXTS.data())

    assert lengths == [8, 16, 24, 32, 40]


def test_fits_are_held_against_both_loops_and_their_accuracy() -> None:
    rows = rows_of(fitting.contest(PLAN))

    name = "3 layers, 8 strengths, 300 of 12"
    assert set(rows) == {
        f"{name}, a loop", f"{name}, a tuned loop", f"A/A {name}",
        f"{name}, largest difference of held-out accuracy",
    }  # fmt: skip
    apart = rows[f"{name}, largest difference of held-out accuracy"]
    assert apart.met
    assert rows[f"{name}, a loop"].target == 0.2


def test_accuracies_that_differ_are_told_by_the_pair_that_differs_most() -> None:
    """A median over fits would hide the one that went wrong."""
    samples = {
        "path": [{"seconds": 1.0, "accuracy 0": 0.9, "accuracy 1": 0.5}, {"accuracy 0": 0.8}],
        "loop": [{"seconds": 9.0, "accuracy 0": 0.9, "accuracy 1": 0.6}, {"accuracy 0": 0.81}],
    }

    assert fitting._furthest_apart(samples) == (0.5, 0.6)


def test_eight_rounds_meet_every_layer() -> None:
    """The first round warms up and is thrown away."""
    met = {layer for turn in islice(fitting._turns(12), 1, 9) for layer in turn}

    assert met == set(range(12))


def test_the_training_side_is_measured_in_full_runs_and_the_longest_only_when_named() -> None:
    def names(*, quick: bool, families: tuple[str, ...]) -> str:
        return " ".join(c.name for c in programme("magpie", quick=quick, families=families))

    assert "collecting" in names(quick=False, families=FAMILIES)
    assert "fitting" not in names(quick=False, families=FAMILIES)
    assert "memory of collecting" not in names(quick=False, families=FAMILIES)
    assert "fitting" in names(quick=False, families=LONG)
    assert "memory of collecting" in names(quick=False, families=LONG)
    assert names(quick=True, families=LONG) == ""
