"""Three forms of one probe, published only where they agree."""

from __future__ import annotations

import io
from dataclasses import replace

import joblib
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import training.export as module
from probing.aggregators import AggregatorSpec
from probing.probe import Probe
from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.errors import ExportsDisagree, ExternalData
from training.export import (
    JOBLIB,
    ONNX,
    export,
    joblib_form,
    onnx_logits,
    require_equal,
    require_self_contained,
)
from training.fit import Fit, as_probe, fit
from training.pool import Features, pool, pooling_for

SPAN = Span("response")


def trained(aggregator: str = "mean") -> tuple[Fit, Probe, Features]:
    spec = AggregatorSpec.parse(aggregator)
    pooling = pooling_for(spec, SPAN)
    data, other = collected(dataset(40)), collected(dataset(20), seed=1)
    fitted = fit(pool(data, SITES, pooling), data.dataset.labels, inverse_strength=0.1)
    own = as_probe(
        fitted, name="p", fingerprint="", sites=SITES, pooling=pooling, aggregator=spec,
        span=SPAN, tokens_min=1,
    )  # fmt: skip
    return fitted, own, pool(other, SITES, pooling)


@pytest.mark.parametrize("aggregator", ["mean", "tail_concat:3"])
def test_all_forms_give_the_pipelines_logits(aggregator: str) -> None:
    fitted, own, held_out = trained(aggregator)

    files = export(fitted.pipeline, own, held_out)

    expected = fitted.pipeline.decision_function(held_out.astype(np.float64))
    np.testing.assert_allclose(onnx_logits(files[ONNX], held_out), expected, atol=1e-5)
    again = joblib.load(io.BytesIO(files[JOBLIB]))
    np.testing.assert_array_equal(again.decision_function(held_out.astype(np.float64)), expected)


def test_a_served_form_that_differs_is_refused() -> None:
    fitted, own, held_out = trained()
    own = replace(own, bias=own.bias + np.float32(1e-3))

    with pytest.raises(ExportsDisagree, match="safetensors form"):
        export(fitted.pipeline, own, held_out)


@pytest.mark.parametrize("wrong", [1e-3, float("nan")])
def test_an_onnx_form_that_differs_is_refused(
    wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, own, held_out = trained()
    monkeypatch.setattr(module, "onnx_logits", lambda data, f: onnx_logits(data, f) + wrong)

    with pytest.raises(ExportsDisagree, match="ONNX form"):
        export(fitted.pipeline, own, held_out)


def test_a_joblib_form_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workshop's copy is what the next fit begins from."""
    fitted, own, held_out = trained()
    other, _, _ = trained("last")
    monkeypatch.setattr(module, "joblib_form", lambda _: joblib_form(other.pipeline))

    with pytest.raises(ExportsDisagree, match="joblib form"):
        export(fitted.pipeline, own, held_out)


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
            onnx_logits(model.SerializeToString(), np.zeros((1, 1), np.float32))


def test_what_is_exported_holds_its_own_data() -> None:
    fitted, own, held_out = trained()

    model = onnx.load_model_from_string(export(fitted.pipeline, own, held_out)[ONNX])

    require_self_contained(model)
