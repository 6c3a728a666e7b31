"""Three forms of one probe, published only where they agree."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import NamedTuple

import joblib
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import training.export as module
from probing.aggregators import AggregatorSpec
from probing.probe import Probe, Readout
from probing.spec import Span
from tests.training.examples import D_MODEL, SITES, collected, dataset
from training.collect import Collected
from training.errors import ExportsDisagree, ExternalData
from training.export import (
    JOBLIB,
    ONNX,
    export,
    joblib_form,
    onnx_form,
    onnx_logits,
    require_equal,
    require_self_contained,
    served_logits,
    some_tokens,
)
from training.families import logistic_regression
from training.families.family import Answers, Fitted, Logits, Method, ProbeFamily
from training.fit import as_probe

SPAN = Span("response")


class Trained(NamedTuple):
    method: Method
    fitted: Fitted
    probe: Probe
    held_out: Collected

    @property
    def logits(self) -> Logits:
        return self.method.logits(self.fitted, some_tokens(self.held_out, self.probe))


def trained(aggregator: str = "mean", family: ProbeFamily = logistic_regression.FAMILY) -> Trained:
    spec = AggregatorSpec.parse(aggregator)
    method = family.method(spec, SPAN)
    data, other = collected(dataset(40)), collected(dataset(20), seed=1)
    fitted = method.fit(Answers(data, SITES), np.arange(80), strength=0.1, seed=0)
    own = as_probe(
        fitted, name="p", fingerprint="", sites=SITES, aggregator=spec, span=SPAN, tokens_min=1
    )
    return Trained(method, fitted, own, other)


@pytest.mark.parametrize("aggregator", ["mean", "tail_concat:3"])
def test_all_forms_give_the_estimators_logits(aggregator: str) -> None:
    own = trained(aggregator)

    files = export(*own)

    readings = some_tokens(own.held_out, own.probe)
    assert own.logits.shape == (len(readings), own.probe.aggregator.channels)
    np.testing.assert_allclose(onnx_logits(files[ONNX], readings), own.logits, atol=1e-5)
    again = replace(own.fitted, estimator=joblib.load(io.BytesIO(files[JOBLIB])))
    np.testing.assert_array_equal(own.method.logits(again, readings), own.logits)


def test_the_onnx_form_of_a_probe_with_a_readout_gives_what_is_served() -> None:
    own, rng = trained(), np.random.default_rng(2)
    hidden = replace(
        own.probe,
        weights={site: rng.normal(size=(4, D_MODEL)).astype(np.float32) for site in SITES},
        bias=rng.normal(size=4).astype(np.float32),
        readout=Readout(np.ones((1, 4), np.float32), np.full(1, 0.5, np.float32)),
    )
    readings = some_tokens(own.held_out, hidden)

    found = onnx_logits(onnx_form(hidden), readings)

    np.testing.assert_allclose(found, served_logits(hidden, readings), atol=1e-5)
    assert (found >= 0.5).all(), "a ReLU stands between"


def test_a_served_form_that_differs_is_refused() -> None:
    own = trained()
    shifted = replace(own.probe, bias=own.probe.bias + np.float32(1e-3))

    with pytest.raises(ExportsDisagree, match="safetensors form"):
        export(own.method, own.fitted, shifted, own.held_out)


@pytest.mark.parametrize("wrong", [1e-3, float("nan")])
def test_an_onnx_form_that_differs_is_refused(
    wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "onnx_logits", lambda data, r: onnx_logits(data, r) + wrong)

    with pytest.raises(ExportsDisagree, match="ONNX form"):
        export(*trained())


def test_a_joblib_form_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workshop's copy is what the next fit begins from."""
    other = trained("last").fitted.estimator
    monkeypatch.setattr(module, "joblib_form", lambda _: joblib_form(other))

    with pytest.raises(ExportsDisagree, match="joblib form"):
        export(*trained())


@pytest.mark.parametrize(("largest", "limit"), [(0.5, 1e-5), (1.0, 1e-5), (400.0, 4e-3)])
def test_the_limit_is_a_share_of_the_largest_logit_and_is_stated(
    largest: float, limit: float
) -> None:
    """Absolute, it refuses sound float32 forms of large logits; unstated, nobody knows which."""
    expected = np.array([0.0, -largest])

    require_equal("ONNX", expected + 0.99 * limit, expected)
    with pytest.raises(ExportsDisagree, match=f"more than {limit:.3e}"):
        require_equal("ONNX", expected + 1.01 * limit, expected)


def test_onnx_that_refers_outside_its_file_is_refused() -> None:
    """onnxruntime reads such files, through hard links and `../` too."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    inner = helper.make_graph([], "inner", [], [], [tensor])
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    hidden = helper.make_model(helper.make_graph([node], "g", [], []))
    plain = helper.make_model(helper.make_graph([], "g", [], [], [tensor]))
    constant = helper.make_node("Constant", [], ["y"], value=tensor)
    attribute = helper.make_model(helper.make_graph([constant], "g", [], []))

    for model in (hidden, plain, attribute):
        with pytest.raises(ExternalData, match="'w' lies outside"):
            require_self_contained(model)
        with pytest.raises(ExternalData):
            onnx_logits(model.SerializeToString(), np.zeros((1, 1, 1), np.float32))


def test_what_is_exported_holds_its_own_data() -> None:
    tensors = onnx.load_model_from_string(export(*trained())[ONNX]).graph.initializer

    assert tensors
    assert all(tensor.raw_data and not tensor.external_data for tensor in tensors)
