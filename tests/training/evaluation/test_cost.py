"""Operations are counted and not guessed; time is measured as in service, with its interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from probing.model import LoadedModel
from probing.reader import Reader
from probing.spec import Site
from tests.probing.examples import probe
from tests.training.evaluation.small_subject import small_subject
from training.evaluation.cost import (
    BATCHES,
    ROUNDS,
    cost,
    microseconds_per_token,
    operations_of,
    operations_of_model,
    timing,
)
from training.evaluation.subject import Subject

TWO = (Site(0, "hook_resid_post"), Site(1, "hook_resid_post"))


@pytest.fixture(scope="module")
def subject(
    tiny: Callable[[str], LoadedModel], tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    return small_subject(tiny("gpt2"), tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize(
    ("aggregator", "hidden", "sites", "expected"),
    [
        ("mean", 0, TWO[:1], 2 * 1 * 64),
        ("mean", 0, TWO, 2 * 1 * 64 * 2),
        ("attention:3", 0, TWO, 2 * 6 * 64 * 2),
        ("mean", 16, TWO[:1], 2 * 16 * 64 + 2 * 16),
        ("multimax:2", 16, TWO, 2 * 16 * 64 * 2 + 2 * 16 * 2),
    ],
)
def test_operations_are_those_of_its_products(
    aggregator: str, hidden: int, sites: tuple[Site, ...], expected: int
) -> None:
    assert operations_of(probe(aggregator=aggregator, hidden=hidden, sites=sites)) == expected


def test_a_models_operations_are_twice_its_parameters(
    tiny: Callable[[str], LoadedModel],
) -> None:
    """Tied embeddings are one matrix and count once."""
    loaded = tiny("gpt2")

    vocabulary, positions, d, layers = 257, 256, 64, 3
    block = 4 * d + (3 * d * d + 3 * d) + (d * d + d) + (8 * d * d + 5 * d)
    parameters = (vocabulary + positions) * d + layers * block + 2 * d
    assert operations_of_model(loaded) == 2 * parameters


def test_the_section_tells_cost_beside_recall(subject: Subject) -> None:
    section = cost(subject)

    operations = section.figures["operations_per_token"]
    assert operations["probe"] == 128
    assert operations["share"] == 128 / operations["model"]
    assert [one["streams"] for one in section.figures["microseconds_per_token"]] == list(BATCHES)
    assert [(one["name"], one["recall"]["n"]) for one in section.figures["recall"]] == [
        ("benign", 20), ("dangerous", 20),
    ]  # fmt: skip
    assert len(section.findings) == 1 + len(BATCHES) + 2


@pytest.mark.parametrize("streams", BATCHES)
def test_times_are_medians_of_many_steps(tiny: Callable[[str], LoadedModel], streams: int) -> None:
    found = timing(tiny("gpt2"), probe(), streams=streams)

    for estimate in (found.bank, found.monitor, found.both, found.model, found.share):
        assert 0 < estimate.low <= estimate.value <= estimate.high
        assert estimate.n == ROUNDS
    assert found.both.value < found.bank.value + found.monitor.value + found.model.value


def test_a_short_context_gives_fewer_steps_and_says_so(
    tiny: Callable[[str], LoadedModel],
) -> None:
    """Past the context a model with learned positions raises, or reads nonsense."""
    short = replace(tiny("gpt2"), context=24)

    found = timing(short, probe(), streams=1)

    assert found.both.n == 12 - 6


def test_each_step_reads_one_new_token_of_every_stream_behind_a_cache(
    tiny: Callable[[str], LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scoring that is timed behind no pass would find its weights in the fastest cache."""
    seen = []
    forward = Reader.forward

    def recorded(self: Reader, inputs, **kept):  # type: ignore[no-untyped-def]
        seen.append((tuple(inputs.input_ids.shape), inputs.cache.get_seq_length()))
        return forward(self, inputs, **kept)

    monkeypatch.setattr(Reader, "forward", recorded)
    found = microseconds_per_token(tiny("gpt2"), probe(), streams=3)

    assert seen[0] == ((3, 32), 0)
    assert seen[1:4] == [((3, 1), 32), ((3, 1), 33), ((3, 1), 34)]
    assert found.n == ROUNDS
