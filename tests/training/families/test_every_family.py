"""What holds of every probe family, whatever it fits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from probing.aggregators import AggregatorSpec
from probing.estimates import auroc
from probing.probe import Probe
from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.collect import Collected
from training.export import export
from training.families.family import Answers, Fitted, ProbeFamily
from training.families.table import PROBE_FAMILIES
from training.fit import as_probe, solver_warnings_silenced
from training.score import live_peaks

SPAN = Span("response")
WANTED = tuple(map(AggregatorSpec.parse, ("mean", "rolling_max:3", "tail_concat:3", "any_class:2")))
every_family = pytest.mark.parametrize("family", PROBE_FAMILIES, ids=lambda f: f.name)


def fitted(
    family: ProbeFamily, data: Collected, *, seed: int = 0, aggregator: int = 0
) -> tuple[Fitted, Probe]:
    answers, everything = Answers(data, SITES), np.arange(len(data.dataset))
    spec = family.aggregators(WANTED, answers)[aggregator]
    with solver_warnings_silenced():
        found = family.method(spec, SPAN).fit(answers, everything, strength=1.0, seed=seed)
    return found, as_probe(
        found, name="p", fingerprint="", sites=SITES, aggregator=spec, span=SPAN, tokens_min=1
    )


@every_family
def test_it_tells_misbehaving_answers_that_it_has_not_seen(family: ProbeFamily) -> None:
    data, other = collected(dataset(60)), collected(dataset(40), seed=1)

    _, probe = fitted(family, data)

    assert auroc(live_peaks(other, probe), other.dataset.labels).value > 0.9


@every_family
def test_its_exported_forms_say_what_its_estimator_says(family: ProbeFamily) -> None:
    data, other = collected(dataset(60)), collected(dataset(20), seed=1)
    answers = Answers(data, SITES)
    for aggregator, spec in enumerate(family.aggregators(WANTED, answers)):
        found, probe = fitted(family, data, aggregator=aggregator)

        files = export(family.method(spec, SPAN), found, probe, other)

        assert set(files) == {"probe.onnx", "probe.joblib"}


@every_family
def test_the_same_seed_gives_the_same_probe(family: ProbeFamily) -> None:
    data = collected(dataset(30))

    first, second = fitted(family, data, seed=3)[1], fitted(family, data, seed=3)[1]

    assert first.digest == second.digest


@every_family
def test_constant_and_perfectly_separable_readings_give_numbers_and_no_warning(
    family: ProbeFamily,
) -> None:
    data = collected(dataset(30))
    for shard in data.shards:
        shard[0, :, 2] = 7.0
        shard[1, :, 3] = 0.0
        shard[1, :, 0] *= 100.0

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, probe = fitted(family, data)

    assert np.isfinite(live_peaks(data, probe)).all()


@every_family
def test_its_name_and_whether_it_is_tuned_are_true(family: ProbeFamily) -> None:
    """A sweep tries one penalty alone where that changes nothing."""
    data = collected(dataset(30))
    answers, everything = Answers(data, SITES), np.arange(len(data.dataset))
    method = family.method(family.aggregators(WANTED, answers)[0], SPAN)

    with solver_warnings_silenced():
        weak, strong = (method.fit(answers, everything, strength=c, seed=0) for c in (10.0, 0.001))

    assert (not np.array_equal(weak.weights, strong.weights)) == family.tuned


def test_no_two_families_have_the_same_name() -> None:
    assert len({family.name for family in PROBE_FAMILIES}) == len(PROBE_FAMILIES)
