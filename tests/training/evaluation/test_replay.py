"""Reports rest on replays: what they say must be what the service would have said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from probing.model import LoadedModel
from tests.training.evaluation.small_subject import exchanges, small_subject
from training.collect import Collected
from training.evaluation.replay import ANSWERS, _samples, online_offline
from training.evaluation.subject import Subject


@pytest.fixture
def subject(tiny: Callable[[str], LoadedModel], tmp_path: Path) -> Subject:
    return small_subject(tiny("gpt2"), tmp_path)


def spoiled(subject: Subject, by: float) -> Subject:
    """With other readings in its reports, as another kernel might have given."""

    def other(test: Collected) -> Collected:
        return replace(test, shards=tuple(shard + np.float32(by) for shard in test.shards))

    return replace(subject, tests=tuple(map(other, subject.tests)))


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
    section = online_offline(spoiled(subject, 2e-5))

    assert section.figures["decisions_same"]["value"] == 1
    assert section.figures["agree"] is False
    first = section.figures["differing"][0]
    assert f"The first answer that differs is {first}: live it is" in section.findings[-1]
    assert section.figures["difference_largest"] > section.figures["tolerance"]
    assert len(section.figures["differing"]) == ANSWERS


def test_a_decision_that_differs_is_told_though_scores_are_close(subject: Subject) -> None:
    """Just at the threshold a difference within tolerance still halts another answer."""
    reported = spoiled(subject, 1e-7)
    (_, (first, *_)), _ = _samples(subject)
    offline, live = (one.peaks(one.tests[0])[first] for one in (reported, subject))
    probe = replace(subject.probe, threshold=float(offline + live) / 2)

    section = online_offline(replace(reported, probe=probe))

    assert section.figures["difference_largest"] <= 1e-4
    assert section.figures["decisions_same"]["value"] < 1
    assert section.figures["agree"] is False


def test_a_challenger_is_compared_as_if_it_decided(subject: Subject) -> None:
    """A challenger halts nothing live; its replay would seem to differ everywhere."""
    shadow = replace(subject, probe=subject.probe.as_role("challenger"))

    assert online_offline(shadow).figures["agree"] is True


@pytest.mark.parametrize("prompt", [True, False])
def test_a_small_test_set_is_replayed_whole(subject: Subject, prompt: bool) -> None:
    """With a prompt or without: then the answer's first token is the first that is read."""
    data = exchanges(3, "few")
    if not prompt:
        plain = tuple(replace(e, messages=e.messages[-1:]) for e in data)
        data = replace(data, sha256="plain", examples=plain)

    section = online_offline(replace(subject, tests=(subject.collect(data),)))

    assert section.figures["decisions_same"]["n"] == 6
    assert section.figures["agree"] is True


def test_without_a_test_set_it_says_what_is_needed(subject: Subject) -> None:
    section = online_offline(replace(subject, tests=()))

    assert section.figures == {}
    assert section.refusals == ["there is no test set to replay; give one with --test-data"]
