"""A probe and its golden readings as safetensors, and back.

The bytes that are parsed here were hashed before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from probes_store.decode import Undecodable
from probes_store.manifest import Manifest
from probing.aggregators import AggregatorSpec
from probing.errors import ProbingError
from probing.probe import Probe, Readout
from probing.spec import Site, Span

if TYPE_CHECKING:
    from probing.golden import Golden

WEIGHTS = "weights."
READOUT = ("readout.weights", "readout.bias")


def probe_to_bytes(probe: Probe) -> bytes:
    """One tensor per site, [rows, d_model], the bias, [rows], and a readout's two; all float32."""
    tensors = {f"{WEIGHTS}{site}": _float32(matrix) for site, matrix in probe.weights.items()}
    if probe.readout is not None:
        own = (_float32(probe.readout.weights), _float32(probe.readout.bias))
        tensors |= dict(zip(READOUT, own, strict=True))
    return save({**tensors, "bias": _float32(probe.bias)})


def probe_from_bytes(data: bytes, manifest: Manifest) -> Probe:
    """The probe that a manifest describes.

    Raises:
        Undecodable: tensors are missing, misshapen, not float32 or not finite.
    """
    tensors = _tensors(data)
    named = {f"{WEIGHTS}{site}" for site in manifest.sites}
    layered = READOUT[0] in tensors
    expected = named | {"bias"} | (set(READOUT) if layered else set())
    if not manifest.sites or set(tensors) != expected:
        raise Undecodable("probe.safetensors holds other tensors than its sites, bias and readout")
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32 or not np.isfinite(tensor).all():
            raise Undecodable(f"probe.safetensors: {name} is not finite float32")
    weights = {Site.parse(site): tensors[f"{WEIGHTS}{site}"] for site in manifest.sites}
    if any(w.ndim != 2 or w.shape[1] != manifest.reading.d_model for w in weights.values()):
        raise Undecodable(f"probe.safetensors: weights are not {manifest.reading.d_model} wide")
    try:
        return Probe(
            name=manifest.name,
            version=str(manifest.version),
            fingerprint=manifest.fingerprint,
            weights=weights,
            bias=tensors["bias"],
            readout=Readout(*(tensors[name] for name in READOUT)) if layered else None,
            aggregator=AggregatorSpec.parse(manifest.aggregator),
            threshold=manifest.threshold,
            tokens_min=manifest.tokens_min,
            span=Span.parse(manifest.span),
        )
    except ProbingError as error:
        raise Undecodable(str(error)) from error


def golden_to_bytes(golden: Golden) -> bytes:
    """Token ids `tokens.N`, int64 [tokens], and `scores.N`, float32 [tokens, channels]."""
    tensors: dict[str, NDArray[Any]] = {}
    for number, (ids, scores) in enumerate(zip(golden.token_ids, golden.scores, strict=True)):
        tensors[f"tokens.{number}"] = np.array(ids, dtype=np.int64)
        tensors[f"scores.{number}"] = _float32(scores)
    return save(tensors)


def golden_from_bytes(data: bytes, channels: int) -> Golden:
    """The golden readings of a probe with so many channels.

    Raises:
        Undecodable: another number of sequences, or tensors that do not fit each other.
    """
    from probing.golden import SEQUENCES, Golden

    tensors = _tensors(data)
    if len(tensors) != 2 * SEQUENCES:
        raise Undecodable(f"golden.safetensors holds {len(tensors)} tensors, not {2 * SEQUENCES}")
    ids, scores = [], []
    for number in range(SEQUENCES):
        sequence, expected = tensors.get(f"tokens.{number}"), tensors.get(f"scores.{number}")
        if sequence is None or expected is None or sequence.dtype != np.int64 or not sequence.size:
            raise Undecodable(f"golden.safetensors: sequence {number} is incomplete")
        if expected.shape != (len(sequence), channels) or not np.isfinite(expected).all():
            raise Undecodable(f"golden.safetensors: scores of sequence {number} do not fit it")
        ids.append(tuple(sequence.tolist()))
        scores.append(expected.astype(np.float32))
    return Golden(tuple(ids), tuple(scores))


def _tensors(data: bytes) -> dict[str, NDArray[Any]]:
    try:
        return dict(load(data))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise Undecodable(f"no readable safetensors ({error})") from error


def _float32(array: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, dtype=np.float32)
