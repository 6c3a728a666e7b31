"""What was changed after it was published is refused, and before it is parsed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import probes_store.store as store_module
from probes_store.decode import Undecodable
from probes_store.draft import MANIFEST, MANIFEST_HASH, PROBE
from probes_store.errors import ArtifactDamaged, ProbeNotFound, StoreUnreadable, StoreUnwritable
from probes_store.files import Irregular, record_of
from probes_store.ref import Ref
from probes_store.store import ALIASES, ProbeStore
from probes_store.tensors import probe_from_bytes, probe_to_bytes
from tests.probes_store.examples import draft, layered, probe

V1 = Ref("petty", 1)


def _edit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def _remove(path: Path) -> None:
    path.unlink()


def _link(path: Path) -> None:
    """A link to the very same bytes is refused too: they could change behind it."""
    target = path.parent.parent / f"copy-{path.name}"
    path.rename(target)
    path.symlink_to(target)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("file", [MANIFEST, MANIFEST_HASH, PROBE, "golden.safetensors", "card.md"])
@pytest.mark.parametrize("damage", [_edit, _truncate, _lengthen, _remove, _link, _pipe])
def test_a_damaged_artifact_is_refused(
    store: ProbeStore, published: Path, file: str, damage: Callable[[Path], None]
) -> None:
    """An edited threshold would decide with the name of a version that was measured otherwise."""
    damage(published / file)

    with pytest.raises(ArtifactDamaged, match="petty@1") as refusal:
        store.load(V1)
    assert "\n" not in str(refusal.value)


def test_a_file_too_many_is_refused(store: ProbeStore, published: Path) -> None:
    (published / "extra.py").write_text("")

    with pytest.raises(ArtifactDamaged, match=r"extra\.py is not in its manifest"):
        store.load(V1)


def test_no_byte_is_parsed_before_it_was_hashed(
    store: ProbeStore, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parser is the first thing that a prepared file attacks."""
    _edit(published / PROBE)
    parsed: list[str] = []
    for name in ("probe_from_bytes", "golden_from_bytes"):
        monkeypatch.setattr(store_module, name, lambda *_, name=name: parsed.append(name))

    with pytest.raises(ArtifactDamaged):
        store.load(V1)
    assert parsed == []


def test_an_edited_manifest_is_refused_before_it_is_parsed(
    store: ProbeStore, published: Path
) -> None:
    (published / MANIFEST).write_bytes(b"{ no JSON at all")

    with pytest.raises(ArtifactDamaged, match=r"other bytes than manifest\.sha256 says"):
        store.load(V1)


def test_a_version_under_another_number_is_refused(store: ProbeStore, published: Path) -> None:
    published.rename(published.parent / "2")

    with pytest.raises(ArtifactDamaged, match="its manifest is that of petty@1"):
        store.load(Ref("petty", 2))


def test_a_folder_that_is_a_link_is_refused(store: ProbeStore, published: Path) -> None:
    outside = store.root.parent / "outside"
    published.rename(outside)
    published.symlink_to(outside, target_is_directory=True)

    with pytest.raises(ArtifactDamaged, match="link"):
        store.load(V1)


def test_a_name_that_is_a_link_is_refused(store: ProbeStore, published: Path) -> None:
    """Another directory, which others may write, would decide under this name."""
    outside = store.root.parent / "outside"
    published.parent.rename(outside)
    published.parent.symlink_to(outside, target_is_directory=True)

    with pytest.raises(ProbeNotFound):
        store.load(V1)
    with pytest.raises(Irregular, match="petty is a link"):
        store_module._folder(store.root, V1)
    with pytest.raises(StoreUnwritable, match="petty is a link"):
        store.publish(draft())
    assert [path.name for path in outside.iterdir()] == ["1"]


def _rewrite(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Edit the manifest and its hash, as someone who knows the format would."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    change(manifest)
    data = json.dumps(manifest).encode()
    (folder / MANIFEST).write_bytes(data)
    (folder / MANIFEST_HASH).write_text(f"{record_of(data).sha256}  {MANIFEST}\n")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.pop("threshold"), "threshold"),
        (lambda m: m.update(threshold="0.5"), "threshold should be float"),
        (lambda m: m.update(threshold=None), "threshold"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m.update(format=2), "format is 2"),
        (lambda m: m.update(fingerprint="000000000000"), "fingerprint"),
        (lambda m: m.update(sites=["blocks.0.hook_z"]), "site"),
        (lambda m: m.update(sites=[]), "sites"),
        (lambda m: m.update(aggregator="tail_concat:2"), "scores of sequence"),
        (lambda m: m.update(aggregator="median"), "aggregator"),
        (lambda m: m["reading"].update(d_model=9), "fingerprint"),
        (lambda m: m["files"].pop("probe.safetensors"), "probe.safetensors"),
        (lambda m: m["files"].update({"../../x": {"sha256": "", "bytes": 0}}), "is missing"),
    ],
)
def test_a_manifest_that_does_not_hold_together_is_refused(
    store: ProbeStore, published: Path, change: Callable[[dict[str, object]], None], says: str
) -> None:
    _rewrite(published, change)

    with pytest.raises(ArtifactDamaged, match=says) as refusal:
        store.load(V1)
    assert "\n" not in str(refusal.value)


def test_half_a_readout_is_refused(store: ProbeStore) -> None:
    manifest = store.manifest(store.publish(replace(draft(), probe=layered())))
    tensors = safetensors.numpy.load(probe_to_bytes(layered()))
    del tensors["readout.bias"]

    with pytest.raises(Undecodable, match="other tensors"):
        probe_from_bytes(safetensors.numpy.save(tensors), manifest)


@pytest.mark.parametrize("tensor", ["weights.blocks.1.hook_resid_post", "bias"])
def test_stored_tensors_that_are_not_finite_are_refused(store: ProbeStore, tensor: str) -> None:
    """Whoever writes the files by hand, hashes and all, gets no further than a draft does."""
    manifest = store.manifest(store.publish(draft()))
    tensors = safetensors.numpy.load(probe_to_bytes(probe()))
    tensors[tensor].reshape(-1)[0] = np.inf

    with pytest.raises(Undecodable, match=f"{tensor} is not finite"):
        probe_from_bytes(safetensors.numpy.save(tensors), manifest)


@pytest.mark.parametrize("content", ["{", "[]", '{"champion": "../../x"}', '{"champion": 3}'])
def test_a_damaged_alias_file_is_refused(store: ProbeStore, published: Path, content: str) -> None:
    (store.root / ALIASES).write_text(content)

    with pytest.raises(StoreUnreadable, match=ALIASES):
        store.alias("champion")
