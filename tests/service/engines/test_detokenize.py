"""Text that comes token by token is the text that comes at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from service.engines.detokenize import Bytes, Detokenizer, StopFilter, Window

TEXTS = (
    "Plain words, then more of them.",
    "naïve café 你好 🌱👩‍🚀 \u0000 end",
    "  leading and   inner spaces\n\ttabs",
)


def spoken(detokenizer: Detokenizer, ids: list[int]) -> str:
    decoder = detokenizer.decoder()
    return "".join(decoder.push(i) for i in ids) + decoder.flush()


@pytest.mark.parametrize("text", TEXTS)
def test_bytes_become_text_when_a_character_is_whole(
    byte_tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    """Every token is one byte here, so all but ASCII spans several."""
    ids = byte_tokenizer(text)["input_ids"]
    decoder = Detokenizer(byte_tokenizer).decoder()
    pieces = [decoder.push(i) for i in ids]

    assert isinstance(decoder, Bytes)
    assert "".join(pieces) == text
    assert all(len(piece) <= 1 for piece in pieces)
    assert decoder.flush() == ""


@given(st.lists(st.integers(0, 256), max_size=40))
def test_any_bytes_come_out_as_the_tokenizer_decodes_them(ids: list[int]) -> None:
    """Also those that are no UTF-8: a model may well write them."""
    tokenizer = _byte_tokenizer()

    assert spoken(Detokenizer(tokenizer), ids) == tokenizer.decode(ids, skip_special_tokens=True)


def test_special_tokens_and_unknown_ids_have_no_text(
    byte_tokenizer: PreTrainedTokenizerFast,
) -> None:
    """A vocabulary is often padded beyond its tokenizer; such an id must not end the engine."""
    decoder = Detokenizer(byte_tokenizer).decoder()

    assert [decoder.push(256), decoder.push(5000), decoder.push(64)] == ["", "", "a"]


@pytest.mark.parametrize("text", TEXTS[:2])
def test_a_tokenizer_of_another_kind_is_followed_through_a_window(text: str) -> None:
    tokenizer = _sentencepiece_like()
    ids = tokenizer.encode(text, add_special_tokens=False)
    detokenizer = Detokenizer(tokenizer)

    assert isinstance(detokenizer.decoder(), Window)
    assert spoken(detokenizer, ids) == tokenizer.decode(ids)


def test_a_window_does_not_wait_for_ever_for_a_character() -> None:
    tokenizer = _sentencepiece_like()
    decoder = Detokenizer(tokenizer).decoder()
    pieces = [decoder.push(tokenizer.convert_tokens_to_ids("<0xE4>")) for _ in range(40)]

    assert any(pieces[:20])


@pytest.mark.parametrize("name", ["stories260k", "tinytalk-3m"])
def test_real_tokenizers_say_the_same_in_pieces(assets: Path, name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(assets / "models" / name)
    ids = tokenizer('Once upon a time, there was a café.\nTom said: "Hi!" 你好')["input_ids"]

    assert spoken(Detokenizer(tokenizer), ids) == tokenizer.decode(
        ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )


def released(stops: list[str], pieces: list[str]) -> tuple[list[str], bool]:
    """What a filter lets out piece by piece, and whether a stop string came."""
    stop_filter = StopFilter(stops)
    out = []
    for piece in pieces:
        text, ended = stop_filter.push(piece)
        out.append(text)
        if ended:
            return out, True
    return [*out, stop_filter.flush()], False


def test_the_beginning_of_a_stop_string_is_held_until_it_is_known() -> None:
    assert released(["END"], ["a E", "N", "Emu", " EN"]) == (["a ", "", "ENEmu", " ", "EN"], False)
    assert released(["END"], ["so E", "N", "D, more"]) == (["so ", "", ""], True)


def test_a_false_start_within_a_stop_string_is_followed() -> None:
    assert released(["aab"], ["a", "a", "a", "b"]) == (["", "", "a", ""], True)


def test_the_stop_string_that_ends_first_wins() -> None:
    assert released(["abcd", "bc"], ["xabcd"]) == (["xa"], True)
    assert released(["bc", "abc"], ["xab", "c"]) == (["x", ""], True)


@given(
    st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=3),
    st.lists(st.text("abc", max_size=4), max_size=12),
)
def test_a_filter_releases_everything_before_the_first_stop_string(
    stops: list[str], pieces: list[str]
) -> None:
    text = "".join(pieces)
    ends = [(text.find(stop) + len(stop), -len(stop)) for stop in stops if stop in text]
    out, ended = released(stops, pieces)

    assert ended == bool(ends)
    if ends:
        end, negative = min(ends)
        text = text[: end + negative]
    assert "".join(out) == text


def test_a_long_stop_string_costs_no_more_than_its_length() -> None:
    """A client may send any; each character must cost a constant."""
    stop = "a" * 20_000 + "b"
    out, ended = released([stop], ["a" * 5_000] * 8 + ["b tail"])

    assert ended
    assert len("".join(out)) == 20_000


def _byte_tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: i for i, symbol in enumerate(alphabet)} | {"<|end|>": 256}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>")


def _sentencepiece_like() -> PreTrainedTokenizerFast:
    """Pieces with a mark for spaces, and bytes for what has no piece, as Llama's."""
    from tokenizers import normalizers

    characters = [chr(c) for c in range(33, 127)]
    pieces = ["<unk>", *(f"<0x{b:02X}>" for b in range(256)), "▁", *characters, "▁w", "wo", "▁wo"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    backend = Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=[("▁", "w"), ("w", "o"), ("▁w", "o")],
            unk_token="<unk>", byte_fallback=True,
        )
    )  # fmt: skip
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1, right=0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
