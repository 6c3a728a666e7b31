"""Published versions: whole, unchanged, and verified before they are parsed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import probes_store.files
import probes_store.store as store_module
from probes_store.decode import Undecodable
from probes_store.draft import MANIFEST, MANIFEST_HASH, PROBE, Draft
from probes_store.errors import (
    ArtifactDamaged,
    DraftRefused,
    ProbeNotFound,
    StoreUnreadable,
    StoreUnwritable,
)
from probes_store.files import Irregular, record_of
from probes_store.ref import Ref
from probes_store.store import ALIASES, ProbeStore
from probes_store.tensors import probe_from_bytes, probe_to_bytes
from probing.aggregators import AggregatorSpec
from probing.estimates import rate
from probing.golden import Golden
from tests.probes_store.examples import draft, layered, probe, with_threshold

V1 = Ref("petty", 1)


@pytest.fixture
def store(tmp_path: Path) -> ProbeStore:
    return ProbeStore(tmp_path / "probes", shipped=None)


@pytest.fixture
def published(store: ProbeStore) -> Path:
    """The folder of a published artifact."""
    store.publish(draft())
    folder = store.root / "petty" / "1"
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder


@pytest.mark.parametrize("aggregator", ["mean", "ema:0.1", "tail_concat:3"])
def test_what_is_loaded_is_what_was_published(store: ProbeStore, aggregator: str) -> None:
    ref = store.publish(draft(aggregator=aggregator))

    artifact = store.load(ref)

    expected = replace(probe(aggregator=aggregator), version="1")
    assert artifact.probe.digest == expected.digest
    assert artifact.golden.token_ids == draft().golden.token_ids
    for found, original in zip(
        artifact.golden.scores, draft(aggregator=aggregator).golden.scores, strict=True
    ):
        np.testing.assert_array_equal(found, original)
    assert artifact.manifest.calibration == draft().calibration
    assert store.companion(ref, "card.md") == draft().companions["card.md"]


@pytest.mark.parametrize("aggregator", ["mean", "attention:2"])
def test_a_probe_with_a_readout_is_loaded_as_it_was_published(
    store: ProbeStore, aggregator: str
) -> None:
    """Without its second layer the first one's rows would be taken for scores."""
    own = replace(draft(aggregator=aggregator), probe=layered(aggregator=aggregator))
    ref = store.publish(own)

    assert store.load(ref).probe.digest == replace(own.probe, version="1").digest
    assert own.probe.readout is not None
    own.probe.readout.weights[0, 0] += 1
    assert store.load(ref).probe.digest != replace(own.probe, version="1").digest


def test_half_a_readout_is_refused(store: ProbeStore) -> None:
    manifest = store.manifest(store.publish(replace(draft(), probe=layered())))
    tensors = safetensors.numpy.load(probe_to_bytes(layered()))
    del tensors["readout.bias"]

    with pytest.raises(Undecodable, match="other tensors"):
        probe_from_bytes(safetensors.numpy.save(tensors), manifest)


def test_versions_count_up_and_the_newest_is_meant_where_none_is_named(store: ProbeStore) -> None:
    first, second = store.publish(with_threshold(1.0)), store.publish(with_threshold(2.0))

    assert [str(first), str(second)] == ["petty@1", "petty@2"]
    assert store.load(Ref("petty")).probe.threshold == 2.0
    assert store.load(first).probe.threshold == 1.0
    assert store.list() == (first, second)


def test_publishers_at_the_same_time_get_different_versions(store: ProbeStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        refs = list(pool.map(lambda n: store.publish(with_threshold(float(n))), range(8)))

    assert sorted(refs) == [Ref("petty", n) for n in range(1, 9)]
    assert {store.load(ref).probe.threshold for ref in refs} == set(map(float, range(8)))


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


def _unfit_weight() -> Draft:
    own = draft()
    own.probe.weights[own.probe.sites[0]][0, 0] = np.nan
    return own


def _three_sequences() -> Draft:
    whole = draft().golden
    return replace(draft(), golden=Golden(whole.token_ids[:3], whole.scores[:3]))


def _empty_sequence() -> Draft:
    whole, nothing = draft().golden, np.zeros((0, 1), dtype=np.float32)
    golden = Golden(((), *whole.token_ids[1:]), (nothing, *whole.scores[1:]))
    return replace(draft(), golden=golden)


def _sequence_without_scores() -> Draft:
    whole = draft().golden
    return replace(draft(), golden=Golden(whole.token_ids, whole.scores[:7]))


def _unknown_aggregator() -> Draft:
    own = draft()
    return replace(own, probe=replace(own.probe, aggregator=AggregatorSpec("ema", 1.5)))


@pytest.mark.parametrize(
    ("unfit", "says"),
    [
        (_unfit_weight, "not finite"),
        (_three_sequences, "6 tensors, not 16"),
        (_empty_sequence, "sequence 0 is incomplete"),
        (_sequence_without_scores, "shorter"),
        (_unknown_aggregator, "aggregator"),
        (lambda: with_threshold(float("inf")), "inf"),
        (lambda: replace(draft(), golden_tolerance=float("nan")), "nan"),
        (lambda: replace(draft(), metrics={"auroc": replace(rate(1, 2), low=np.nan)}), "nan"),
        (lambda: replace(draft(), kind=None), "kind should be str"),
    ],
)
def test_a_draft_that_could_not_be_loaded_is_not_published(
    store: ProbeStore, unfit: Callable[[], Draft], says: str
) -> None:
    """A version never changes again: one that nobody can load would stay for ever.

    `nan >= threshold` is False: a probe with such a weight would never trip and never complain.
    """
    with pytest.raises(DraftRefused, match=says) as refusal:
        store.publish(unfit())

    assert "\n" not in str(refusal.value)
    assert store.list() == ()
    assert not list(store.root.glob(".incoming-*"))


@pytest.mark.parametrize("tensor", ["weights.blocks.1.hook_resid_post", "bias"])
def test_stored_tensors_that_are_not_finite_are_refused(store: ProbeStore, tensor: str) -> None:
    """Whoever writes the files by hand, hashes and all, gets no further than a draft does."""
    manifest = store.manifest(store.publish(draft()))
    tensors = safetensors.numpy.load(probe_to_bytes(probe()))
    tensors[tensor].reshape(-1)[0] = np.inf

    with pytest.raises(Undecodable, match=f"{tensor} is not finite"):
        probe_from_bytes(safetensors.numpy.save(tensors), manifest)


def test_a_full_disk_publishes_nothing(store: ProbeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.publish(with_threshold(1.0))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(probes_store.files.os, "fsync", full)
    with pytest.raises(StoreUnwritable, match="No space left"):
        store.publish(with_threshold(2.0))
    monkeypatch.undo()

    assert store.list() == (V1,)
    assert [path.name for path in store.root.iterdir()] == ["petty"]
    store.verify(V1)


def test_a_version_is_never_seen_before_it_is_whole(
    store: ProbeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut while publishing must not leave half a version under its number."""
    seen: list[tuple[Ref, ...]] = []
    write = store_module.write_durably

    def watched(path: Path, data: bytes, *, mode: int = 0o444) -> None:
        seen.append(store.list())
        write(path, data, mode=mode)

    monkeypatch.setattr(store_module, "write_durably", watched)
    ref = store.publish(draft())

    assert set(seen) == {()}
    assert store.list() == (ref,)


def test_what_was_published_is_read_only(store: ProbeStore) -> None:
    store.publish(draft())

    modes = {p.stat().st_mode & 0o222 for p in (store.root / "petty" / "1").iterdir()}
    assert modes == {0}


def test_a_draft_of_other_readings_is_refused(store: ProbeStore) -> None:
    own = draft()

    with pytest.raises(DraftRefused, match="fingerprint"):
        store.publish(replace(own, reading=replace(own.reading, weights="other")))
    assert store.list() == ()


def test_a_draft_with_an_unknown_file_is_refused(store: ProbeStore) -> None:
    with pytest.raises(DraftRefused, match=r"no file \.\./x"):
        store.publish(replace(draft(), companions={"../x": b""}))


def test_a_missing_probe_is_named_with_what_there_is(store: ProbeStore) -> None:
    with pytest.raises(ProbeNotFound, match="it is empty"):
        store.load(V1)
    store.publish(draft())

    with pytest.raises(ProbeNotFound, match="it has petty@1"):
        store.load(Ref("petty", 7))


def test_shipped_probes_are_read_through_the_same_store(tmp_path: Path) -> None:
    shipped = ProbeStore(tmp_path / "shipped", shipped=None)
    shipped.set_alias("champion", shipped.publish(with_threshold(1.0)))
    store = ProbeStore(tmp_path / "own", shipped=shipped.root)

    assert store.load(Ref("petty")).probe.threshold == 1.0
    assert store.alias("champion") == V1
    assert store.publish(with_threshold(2.0)) == Ref("petty", 2), "one number, one probe"
    assert shipped.list() == (V1,)


def test_an_alias_names_a_version_that_exists(store: ProbeStore) -> None:
    assert store.alias("champion") is None
    with pytest.raises(ProbeNotFound):
        store.set_alias("champion", V1)
    store.publish(draft())

    assert store.set_alias("champion", Ref("petty")) == V1
    assert store.alias("champion") == V1
    assert store.alias("challenger") is None


@pytest.mark.parametrize("content", ["{", "[]", '{"champion": "../../x"}', '{"champion": 3}'])
def test_a_damaged_alias_file_is_refused(store: ProbeStore, published: Path, content: str) -> None:
    (store.root / ALIASES).write_text(content)

    with pytest.raises(StoreUnreadable, match=ALIASES):
        store.alias("champion")
