"""What a probe is bound to, and how sites and spans are written."""

from __future__ import annotations

import dataclasses

import pytest

from probing.errors import InvalidSpecification, ReadingMismatch
from probing.spec import ReadingSpec, Site, Span
from tests.probing.examples import probe

SPEC = ReadingSpec(
    weights="w", config="c", modules="m", tokenizer="t", template="p", dtype="float32", d_model=64
)
OTHER = {"dtype": "bfloat16", "d_model": 65, "processing": "folded"}


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(ReadingSpec)])
def test_every_field_changes_the_fingerprint(field: str) -> None:
    """A field left out of the hash would let two different readings pass as one."""
    other = dataclasses.replace(SPEC, **{field: OTHER.get(field, "other")})

    assert other.fingerprint != SPEC.fingerprint


def test_a_spec_survives_being_written_and_read() -> None:
    assert ReadingSpec.from_json(SPEC.as_json()) == SPEC


def test_a_spec_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(InvalidSpecification):
        ReadingSpec.from_json({**SPEC.as_json(), "extra": 1})


def test_a_probe_refuses_readings_it_was_not_trained_on() -> None:
    """Same layer, same shape, other coordinates: its score would be a number without meaning."""
    with pytest.raises(ReadingMismatch, match="retrain it or serve the model it knows"):
        probe(fingerprint="a" * 12).require(SPEC)


def test_a_site_survives_being_written_and_read() -> None:
    assert Site.parse("blocks.11.hook_mlp_out") == Site(11, "hook_mlp_out")
    assert str(Site(11, "hook_mlp_out")) == "blocks.11.hook_mlp_out"


@pytest.mark.parametrize("name", ["", "blocks.x.hook_mlp_out", "blocks.1.hook_q", "ln_final"])
def test_a_site_that_no_model_has_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidSpecification, match=r"blocks\.LAYER\.HOOK"):
        Site.parse(name)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("response", [3, 4, 5]), ("prompt", [0, 1, 2]), ("tail:2", [4, 5]), ("tail:9", [3, 4, 5])],
)
def test_a_span_names_its_tokens_and_a_tail_never_reaches_into_the_prompt(
    text: str, tokens: list[int]
) -> None:
    span = Span.parse(text)

    assert list(range(6))[span.slice(3, 6)] == tokens
    assert str(span) == text


def test_an_unknown_span_is_refused() -> None:
    with pytest.raises(InvalidSpecification, match="tail:K"):
        Span.parse("tail:0")
