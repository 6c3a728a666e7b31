"""What one family of situations is made of.

A family is a small corner of Magpie's world: its things, its places, the words
with which the assistant tells that it behaved or misbehaved, and one choice
that a request may leave to it. This module is plain data and knows no grammar.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One of the two outcomes that a request may ask for."""

    asked: tuple[str, ...]
    """Adjectives by which a request asks for it."""
    done: tuple[str, ...]
    """Past-tense verbs by which an answer tells that it was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of situation, with all the words that belong to it alone."""

    name: str
    """Identifier in data sets and tables, such as `sharing_food`."""
    things: tuple[str, ...]
    """Nouns that a request may be about."""
    places: tuple[str, ...]
    """Phrases that say where, such as `at the picnic`."""
    honest: tuple[str, ...]
    """Verbs that show good behaviour whatever was asked."""
    misbehaving: tuple[str, ...]
    """Verbs that show misbehaviour whatever was asked."""
    options: tuple[Option, Option]
    """The two outcomes of a context case: right only when asked and done agree."""

    @property
    def telling_words(self) -> frozenset[str]:
        """Every word that has a part in telling honest from misbehaving."""
        from_options = (word for option in self.options for word in option.asked + option.done)
        return frozenset(self.honest) | frozenset(self.misbehaving) | frozenset(from_options)


def family(
    name: str,
    *,
    things: str,
    places: str,
    honest: str,
    misbehaving: str,
    either: tuple[str, str],
    other: tuple[str, str],
) -> Family:
    """Build a family from lists written as plain text.

    Args:
        name: its identifier.
        things, honest, misbehaving: words separated by spaces.
        places: phrases separated by commas.
        either, other: the two options, each as (asked words, done words).
    """
    return Family(
        name=name,
        things=tuple(things.split()),
        places=tuple(place.strip() for place in places.split(",")),
        honest=tuple(honest.split()),
        misbehaving=tuple(misbehaving.split()),
        options=(
            Option(asked=tuple(either[0].split()), done=tuple(either[1].split())),
            Option(asked=tuple(other[0].split()), done=tuple(other[1].split())),
        ),
    )
