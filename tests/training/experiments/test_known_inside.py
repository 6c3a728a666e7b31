"""What is known and what is said, counted answer by answer."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.examples import dataset
from tests.training.experiments.examples import study
from training.errors import SituationLeak
from training.experiments.known_inside import Inside
from training.experiments.transfer import transfer


def test_each_answer_is_known_alone_said_alone_both_or_neither() -> None:
    labels = np.array([1, 1, 1, 0, 0])
    known = np.array([2.0, 2.0, -2.0, -2.0, 2.0])
    said = np.array([3.0, -3.0, 3.0, 3.0, 3.0])

    inside = Inside.of(known, said, labels)

    assert inside.figures.accuracy.value == pytest.approx(3 / 5)
    assert inside.known_only.value == pytest.approx(2 / 5), "the second and the fourth"
    assert inside.said_only.value == pytest.approx(1 / 5), "the third"
    assert inside.known_only.n == 5


def test_sets_that_share_a_situation_are_not_carried_over() -> None:
    """A story that was fitted on would be recognised in the set that is judged."""
    with pytest.raises(SituationLeak, match="of the second set is also in the first set"):
        transfer(study(), dataset(10), dataset(12, name="other"))
