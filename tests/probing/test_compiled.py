"""Loops that are compiled, and what they must not change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from probing import compiled, policy
from probing.errors import NonFiniteScore
from probing.monitor import Monitor
from probing.policy import Action
from probing.probe import ProbeSet
from tests.probing.examples import probe


def test_where_nobody_may_write_it_is_compiled_all_the_same(tmp_path: Path) -> None:
    """A container's root file system is often read-only, and so may be its home."""
    source = tmp_path / "loops.py"
    source.write_text(
        "from probing.compiled import compiled\n"
        "@compiled\n"
        "def twice(number):\n"
        "    return 2 * number\n"
        "print(twice(21), twice.stats.cache_path)\n"
    )
    (tmp_path / "__pycache__").write_text("a file where numba would make a folder\n")
    nowhere = str(tmp_path / "__pycache__" / "home")

    done = subprocess.run(
        [sys.executable, str(source)],
        env=os.environ | {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "NUMBA_CACHE_DIR": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["42", "None"], "right, and nothing was kept"


def test_code_of_another_file_is_refused() -> None:
    """The kept machine code would go on with what that file said before it was changed."""

    def level(number: float) -> float:
        return policy.decide(number)  # type: ignore[arg-type, return-value]

    with pytest.raises(TypeError, match="policy of another file"):
        compiled.compiled(level)


def test_sums_in_any_order_still_know_what_is_no_number() -> None:
    """All liberties at once would let the compiler take it that there is no NaN."""

    def spoilt(numbers: NDArray[np.float32]) -> bool:
        total = np.float32(0)
        for i in range(len(numbers)):
            total += numbers[i]
        return bool(np.isnan(total))

    found = compiled.compiled(spoilt, any_order=True)

    assert found(np.array([1, np.nan, 1], np.float32))
    assert not found(np.ones(3, np.float32))


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("place", [(0, 0), (2, 4), (1, 2)])
def test_one_score_that_is_none_is_found_wherever_it_stands(
    poison: float, place: tuple[int, int]
) -> None:
    monitor = Monitor(ProbeSet(tuple(probe(f"p{i}") for i in range(5))), streams_max=3)
    for _ in range(3):
        monitor.open(Action.HALT)
    scores = np.zeros((3, 5), np.float32)
    scores[place] = poison

    with pytest.raises(NonFiniteScore) as caught:
        monitor.push(scores)

    assert (caught.value.rows, caught.value.probes) == ((place[0],), (f"p{place[1]}",))
