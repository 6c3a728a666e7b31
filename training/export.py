"""One probe in three forms, published only where all three give the same scores.

safetensors is what is served; ONNX is for engines without torch; joblib is the
workshop's copy of the estimator, for refitting. The service reads the first, may read
the second after its own check, and cannot read the third.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper

from probing.bank import ProbeBank
from probing.probe import Probe, ProbeSet
from training.collect import Collected
from training.errors import ExportsDisagree, ExternalData
from training.families.family import Fitted, Logits, Method, TokenReadings

TOLERANCE = 1e-5
"""Largest difference of a logit between two forms where no logit is beyond 1; where one is,
as a share of the largest: docs/decisions/0005."""
ONNX, JOBLIB = "probe.onnx", "probe.joblib"
OPSET = 17
TOKENS_COMPARED = 1000


def export(method: Method, fitted: Fitted, probe: Probe, held_out: Collected) -> dict[str, bytes]:
    """The ONNX and joblib forms of a probe, compared with its estimator, token by token.

    Args:
        method: how it was fitted.
        fitted: what was fitted.
        probe: the same as plain layers: what is served.
        held_out: readings that it was not fitted on.

    Returns:
        The files' bytes by name.

    Raises:
        ExportsDisagree: a form gives other logits than the estimator.
        ExternalData: the ONNX form refers outside its file.
    """
    readings = some_tokens(held_out, probe)
    expected = method.logits(fitted, readings)
    files = {ONNX: onnx_form(probe), JOBLIB: joblib_form(fitted.estimator)}
    restored = replace(fitted, estimator=joblib.load(io.BytesIO(files[JOBLIB])))
    forms = {
        "safetensors": served_logits(probe, readings),
        "ONNX": onnx_logits(files[ONNX], readings),
        "joblib": method.logits(restored, readings),
    }
    for form, logits in forms.items():
        require_equal(form, logits, expected)
    return files


def some_tokens(collected: Collected, probe: Probe) -> TokenReadings:
    """The readings of the first tokens of a set, shape [tokens, sites, d_model]."""
    blocks = [next(collected.blocks(site))[1][:TOKENS_COMPARED] for site in probe.sites]
    return np.stack(blocks, axis=1)


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


def onnx_form(probe: Probe) -> bytes:
    """From `readings` [tokens, sites * d_model], the sites in order, to `channels`.

    Raises:
        ExternalData: a tensor would lie outside the file.
    """
    weights = np.concatenate([probe.weights[site] for site in probe.sites], axis=1)
    rows = "channels" if probe.readout is None else "rows"
    tensors = {"weights": weights, "bias": probe.bias}
    nodes = [helper.make_node("Gemm", ["readings", "weights", "bias"], [rows], transB=1)]
    if probe.readout is not None:
        tensors |= {"readout": probe.readout.weights, "readout_bias": probe.readout.bias}
        behind = ["active", "readout", "readout_bias"]
        nodes += [
            helper.make_node("Relu", [rows], ["active"]),
            helper.make_node("Gemm", behind, ["channels"], transB=1),
        ]
    channels = probe.aggregator.channels
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "probe",
            [
                helper.make_tensor_value_info(
                    "readings", onnx.TensorProto.FLOAT, ["tokens", weights.shape[1]]
                )
            ],
            [
                helper.make_tensor_value_info(
                    "channels", onnx.TensorProto.FLOAT, ["tokens", channels]
                )
            ],
            [
                numpy_helper.from_array(np.ascontiguousarray(a, np.float32), n)
                for n, a in tensors.items()
            ],
        ),
        producer_name="probewatch",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    require_self_contained(model)
    data: bytes = model.SerializeToString()
    return data


def onnx_logits(data: bytes, readings: TokenReadings) -> Logits:
    """Channels of an ONNX form, which is checked before a session is made of it.

    Raises:
        ExternalData: it refers outside its file.
    """
    require_self_contained(onnx.load_model_from_string(data))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    flat = readings.reshape(len(readings), -1).astype(np.float32)
    return np.asarray(session.run(None, {"readings": flat})[0], dtype=np.float64)


def joblib_form(estimator: Any) -> bytes:
    """The estimator, pickled; only training ever reads it."""
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    return buffer.getvalue()


def served_logits(probe: Probe, readings: TokenReadings) -> Logits:
    """Channels as the bank gives them."""
    by_site = {
        site: torch.from_numpy(np.ascontiguousarray(readings[:, place]))
        for place, site in enumerate(probe.sites)
    }
    return np.asarray(ProbeBank(ProbeSet((probe,))).score(by_site), dtype=np.float64)


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
