"""One probe in three forms, published only where all three give the same scores.

safetensors is what is served; ONNX is for engines without torch; joblib is the
workshop's copy of the scikit-learn pipeline, for refitting. The service reads the
first, may read the second after its own check, and cannot read the third.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import onnx
import onnxruntime
from jaxtyping import Float
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.pipeline import Pipeline

from probing.probe import Probe
from training.errors import ExportsDisagree, ExternalData
from training.pool import Features

TOLERANCE = 1e-5
"""Largest difference of a logit between two forms where no logit is beyond 1; where one is,
as a share of the largest: docs/decisions/0005."""
ONNX, JOBLIB = "probe.onnx", "probe.joblib"

Logits = Float[NDArray[np.float64], " examples"]


def export(pipeline: Pipeline, probe: Probe, held_out: Features) -> dict[str, bytes]:
    """The ONNX and joblib forms of a fitted pipeline, compared with it and with the probe.

    Args:
        pipeline: what was fitted.
        probe: the same, folded: what is served.
        held_out: pooled readings that it was not fitted on, shape [examples, features].

    Returns:
        The files' bytes by name.

    Raises:
        ExportsDisagree: a form gives other logits than the pipeline.
        ExternalData: the ONNX form refers outside its file.
    """
    expected = np.asarray(pipeline.decision_function(held_out.astype(np.float64)))
    files = {ONNX: onnx_form(pipeline, held_out.shape[1]), JOBLIB: joblib_form(pipeline)}
    restored = joblib.load(io.BytesIO(files[JOBLIB]))
    forms = {
        "safetensors": served_logits(probe, held_out),
        "ONNX": onnx_logits(files[ONNX], held_out),
        "joblib": np.asarray(restored.decision_function(held_out.astype(np.float64))),
    }
    for form, logits in forms.items():
        require_equal(form, logits, expected)
    return files


def require_equal(form: str, found: Logits, expected: Logits) -> None:
    """Refuse a form whose logits differ.

    Raises:
        ExportsDisagree: by more than `TOLERANCE` allows, or a logit is not finite; states
            the limit that was used.
    """
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(found - expected).max())
    if not difference <= allowed:
        raise ExportsDisagree(form, difference, allowed)


def onnx_form(pipeline: Pipeline, features: int) -> bytes:
    """The pipeline from pooled readings `features` [examples, features] to raw logits.

    Raises:
        ExternalData: a tensor would lie outside the file.
    """
    example = np.zeros((1, features), dtype=np.float32)
    options = {id(pipeline[-1]): {"raw_scores": True, "zipmap": False}}
    model = to_onnx(pipeline, example, options=options)
    require_self_contained(model)
    data: bytes = model.SerializeToString()
    return data


def onnx_logits(data: bytes, features: Features) -> Logits:
    """Logits of an ONNX form, which is checked before a session is made of it.

    Raises:
        ExternalData: it refers outside its file.
    """
    require_self_contained(onnx.load_model_from_string(data))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    scores = session.run(None, {name: features.astype(np.float32)})[1]
    return np.asarray(scores, dtype=np.float64).reshape(len(features), -1)[:, -1]


def joblib_form(pipeline: Pipeline) -> bytes:
    """The scikit-learn pipeline, pickled; only training ever reads it."""
    buffer = io.BytesIO()
    joblib.dump(pipeline, buffer)
    return buffer.getvalue()


def served_logits(probe: Probe, features: Features) -> Logits:
    """What the served weights give for pooled readings, in their own precision."""
    weights = np.stack([probe.weights[site] for site in probe.sites])
    logits = features.astype(np.float32) @ weights.reshape(-1) + probe.bias.sum(dtype=np.float32)
    return np.asarray(logits, dtype=np.float64)


def require_self_contained(model: Any) -> None:
    """Refuse a tensor whose data lies in another file: it could name any file there is.

    Raises:
        ExternalData: names the first such tensor.
    """
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ExternalData(tensor.name)


def _tensors(graph: Any) -> Iterator[Any]:
    """Every tensor of a graph: initializers, sparse ones, attributes and graphs within."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inner in (attribute.g, *attribute.graphs):
                if inner.ByteSize():
                    yield from _tensors(inner)
