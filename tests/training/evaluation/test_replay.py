"""Reports rest on replays: what they say must be what the service would have said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from probing.model import LoadedModel
from tests.training.evaluation.small_subject import small_subject
from training.evaluation.replay import ANSWERS, _samples, online_offline
from training.evaluation.subject import Subject


@pytest.fixture
def subject(tiny: Callable[[str], LoadedModel], tmp_path: Path) -> Subject:
    return small_subject(tiny("gpt2"), tmp_path)


def spoil(subject: Subject, by: float) -> None:
    """Change the stored readings of what is replayed, as another kernel might."""
    known = {path.name for path in subject.cache.iterdir()}
    online_offline(subject)
    for folder in subject.cache.iterdir():
        if folder.name not in known:
            for path in folder.glob("*.npy"):
                np.save(path, np.load(path) + np.float32(by))


@pytest.mark.parametrize("shape", ["gpt2", "llama", "gemma2"])
def test_live_decisions_are_the_offline_ones(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, shape: str
) -> None:
    section = online_offline(small_subject(tiny(shape), tmp_path))

    figures = section.figures
    assert figures["agree"] is True
    assert figures["decisions_same"]["value"] == 1
    assert figures["decisions_same"]["n"] == ANSWERS
    assert 0 < figures["halted"]["value"] < 1, "some halt and some do not, or nothing is shown"
    assert figures["difference_largest"] <= 1e-4
    assert figures["tokens"] > 20 * ANSWERS
    assert len(section.findings) == 2


def test_scores_that_differ_name_the_first_answer(subject: Subject) -> None:
    """A difference that is not told would let every report describe another service."""
    spoil(subject, 2e-5)

    section = online_offline(subject)

    assert section.figures["decisions_same"]["value"] == 1
    assert section.figures["agree"] is False
    first = section.figures["differing"][0]
    assert f"The first answer that differs is {first}: live it is" in section.findings[-1]
    assert section.figures["difference_largest"] > section.figures["tolerance"]
    assert len(section.figures["differing"]) == ANSWERS


def test_a_decision_that_differs_is_told_though_scores_are_close(
    subject: Subject, tmp_path: Path
) -> None:
    """Just at the threshold a difference within tolerance still halts another answer."""
    spoil(subject, 1e-7)
    sample = next(_samples(subject))
    offline = subject.peaks(subject.collect(sample))
    live = subject.peaks(replace(subject, cache=tmp_path / "sound").collect(sample))
    between = float(offline[0] + live[0]) / 2

    section = online_offline(replace(subject, probe=replace(subject.probe, threshold=between)))

    assert section.figures["difference_largest"] <= 1e-4
    assert section.figures["decisions_same"]["value"] < 1
    assert section.figures["agree"] is False


def test_a_challenger_is_compared_as_if_it_decided(subject: Subject) -> None:
    """A challenger halts nothing live; its replay would seem to differ everywhere."""
    shadow = replace(subject, probe=subject.probe.as_role("challenger"))

    assert online_offline(shadow).figures["agree"] is True


def test_without_a_test_set_it_says_what_is_needed(subject: Subject) -> None:
    section = online_offline(replace(subject, tests=()))

    assert section.figures == {}
    assert section.refusals == ["there is no test set to replay; give one with --test-data"]
