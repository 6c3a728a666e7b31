"""Foreign text is shown whole, and what cannot be seen is named."""

from __future__ import annotations

import pytest

from service.web.shown import MARKS_MAX, parts_of


def told(text: str) -> str:
    return "".join(f"[{part.text}]" if part.named else part.text for part in parts_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        'plain\n\ttext, with <b>marks</b> & "signs"',
        "Việt Nam, naïve, Ångström, e\u0301",
        "שלום עולם and مرحبا",
        "नमस्ते, ความรัก, 한국어, 日本語",
        "👨‍👩‍👧‍👦 and می‌خواهم",
    ],
)
def test_ordinary_text_of_any_language_is_shown_as_it_is(text: str) -> None:
    assert told(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a[U+0000]b"),
        ("\x1b[31mred", "[U+001B][31mred"),
        ("a\r\nb", "a[U+000D]\nb"),
        ("safe\u202egpj.exe", "safe[U+202E]gpj.exe"),
        ("pass\u200bword", "pass[U+200B]word"),
        ("pass\u200dword", "pass[U+200D]word"),
        ("\ud800", "[U+D800]"),
        ("\ud83d\ude00", "[U+D83D U+DE00]"),
        ("\ufeff\ufffe", "[U+FEFF U+FFFE]"),
        ("hi\U000e0041\U000e0042", "hi[U+E0041 U+E0042]"),
        ("\x00" * 3, "[U+0000 × 3]"),
        ("\u2028", "[U+2028]"),
        ("\x1a0000", "[U+001A]0000"),
    ],
)
def test_what_cannot_be_seen_is_named(text: str, shown: str) -> None:
    """Else a page could not tell an instruction that is hidden in a text from its absence."""
    assert told(text) == shown


def test_marks_heaped_on_a_letter_are_counted_instead_of_drawn() -> None:
    heap = "a" + "\u0301" * 100_000

    assert told(heap) == "a" + "\u0301" * MARKS_MAX + f"[U+0301 × {100_000 - MARKS_MAX:,}]"


def test_nothing_is_lost() -> None:
    """The names stand for exactly what is not drawn."""
    text = "".join(chr(code) for code in range(0x3000)) + "\U000e0001" + "\ud800"
    left = text
    for part in parts_of(text):
        if part.named:
            for name in part.text.split(" "):
                if name.startswith("U+"):
                    character = chr(int(name[2:], 16))
                    assert left.startswith(character)
                    left = left[1:]
        else:
            assert left.startswith(part.text)
            left = left[len(part.text) :]
    assert left == ""
