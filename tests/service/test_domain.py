"""Records refuse to contradict themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.service.store.examples import REQUEST


def test_scores_have_one_column_per_probe() -> None:
    with pytest.raises(ValueError, match=r"shape \[tokens, 2\], found \[4, 3\]"):
        replace(REQUEST, scores=np.zeros((4, 3), dtype=np.float32))


@pytest.mark.parametrize(("outcome", "reason"), [("scored", "dead"), ("unscored", None)])
def test_a_request_is_unscored_exactly_when_it_has_a_reason(
    outcome: str, reason: str | None
) -> None:
    with pytest.raises(ValueError, match="reason"):
        replace(REQUEST, outcome=outcome, reason=reason)  # type: ignore[arg-type]


def test_a_peak_belongs_to_a_known_probe() -> None:
    with pytest.raises(ValueError, match="peaks of"):
        replace(REQUEST, peaks={"stranger": 1.0})
