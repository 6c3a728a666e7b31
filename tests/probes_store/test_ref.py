"""A name from outside becomes part of a path, so nothing but a name may be one."""

from __future__ import annotations

import pytest

from probes_store.errors import InvalidReference
from probes_store.ref import Ref


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("petty", Ref("petty")),
        ("petty@3", Ref("petty", 3)),
        ("a-b_c0@12", Ref("a-b_c0", 12)),
    ],
)
def test_a_reference_is_read_and_written_alike(text: str, ref: Ref) -> None:
    assert Ref.parse(text) == ref
    assert str(ref) == text


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "../x", "a/b", "/etc", "a\\b", "a\0b", "A", "ä", "a b", "a@", "a@0", "a@-1",
        "a@1.0", "a@../1", "a@1@2", "a@１", "a\n", "a@1\n", "x" * 64, "-a", ".incoming-x",
        "a@" + "9" * 12,
    ],
)  # fmt: skip
def test_path_tricks_are_no_references(text: str) -> None:
    with pytest.raises(InvalidReference):
        Ref.parse(text)


def test_a_reference_made_in_code_is_checked_too() -> None:
    with pytest.raises(InvalidReference):
        Ref("../x", 1)
