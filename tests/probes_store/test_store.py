"""Published versions: whole, numbered, never seen half, and named by aliases."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import probes_store.files
import probes_store.store as store_module
from probes_store.draft import Draft
from probes_store.errors import DraftRefused, ProbeNotFound, StoreUnwritable
from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.aggregators import AggregatorSpec
from probing.estimates import rate
from probing.golden import Golden
from tests.probes_store.examples import draft, layered, probe, with_threshold

V1 = Ref("petty", 1)


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
