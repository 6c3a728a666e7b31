"""From lines that do not follow each other to what was done to them.

Every guess is proved by hashes before it is told: two lines were swapped when each
follows what stood before the other. What cannot be told apart is told as such: a line
that breaks the chain was changed itself, or the one before it was changed and given
the right hash for its new words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from service.store.chain import link
from service.store.findings import Finding, Kind, are, entries
from service.store.lines import Line
from service.store.walk import Break, Missing

_PAIRED_MAX = 200
"""Breaks among which swapped pairs are looked for; the work grows with their square."""
_COPIES_MAX = 20
"""Insertions of which the whole table is searched for an original."""


def explain_breaks(breaks: Sequence[Break], anchored: Mapping[int, Sequence[str]]) -> list[Finding]:
    """What was done to lines that stand where they should and do not follow.

    Args:
        breaks: those lines, in the order of the chain.
        anchored: the links that anchors name, by the number of the line.
    """
    left = {broken.line.id: broken for broken in breaks}
    findings = [*_swapped(left), *_wrong_hashes(left)]
    return [*findings, *_edited(left, anchored)]


def explain_places(
    inserted: Sequence[tuple[int, int]],
    missing: Sequence[Missing],
    line_at: Callable[[int], Line | None],
    numbers_with: Callable[[str], Sequence[int]],
) -> list[Finding]:
    """What was put in and taken out; where both are the same lines, they were moved.

    Args:
        inserted: first and last id of each stretch of lines that do not belong.
        missing: numbers that are gone from within the chain.
        line_at: the line under an id.
        numbers_with: the ids under which a link stands.
    """
    findings, gone = [], list(missing)
    for searched, (first, last) in enumerate(inserted):
        line = line_at(first)
        moved = next((m for m in gone if line and is_moved(line, last - first, m)), None)
        if moved is not None:
            gone.remove(moved)
            findings.append(_moved(moved, first))
            continue
        copies = numbers_with(line.hash) if line and searched < _COPIES_MAX else ()
        findings.append(_inserted(first, last, [n for n in copies if n != first]))
    return [*findings, *(_deleted(m) for m in gone)]


def is_moved(line: Line, more: int, gone: Missing) -> bool:
    """Whether a stretch of lines, by its first and how many follow, is what is missing there."""
    return more == gone.last - gone.first and line.follows(gone.previous, gone.first)


def _swapped(left: dict[int, Break]) -> Iterator[Finding]:
    """Pairs of lines that are each the other's; what follows them is then no break."""
    for one, two in combinations(list(left.values())[:_PAIRED_MAX], 2):
        if one.line.id not in left or two.line.id not in left:
            continue
        links = _true_links(one, two)
        if links is None:
            continue
        for broken, true in zip((one, two), links, strict=True):
            del left[broken.line.id]
            _follows_after_all(left, broken, true)
        yield Finding(
            kind=Kind.SWAPPED,
            numbers=(one.number, two.number),
            told=f"entries {one.number} and {two.number} stand in each other's place",
        )


def _true_links(one: Break, two: Break) -> tuple[str, str] | None:
    """The links that both lines had when they were added, if exchanging parts makes them sound."""
    a, b = one.line, two.line
    whole, words, hashes = (b, b, a, a), (b, a, a, b), (a, b, b, a)
    for words_one, hash_one, words_two, hash_two in (whole, words, hashes):
        if link(one.previous, one.number, words_one.columns) != hash_one.hash:
            continue
        previous = hash_one.hash if a.id + 1 == b.id else two.previous
        if link(previous, two.number, words_two.columns) == hash_two.hash:
            return hash_one.hash, hash_two.hash
    return None


def _follows_after_all(left: dict[int, Break], broken: Break, true: str) -> None:
    after = left.get(broken.line.id + 1)
    if after is not None and after.line.follows(true, after.number):
        del left[after.line.id]


def _wrong_hashes(left: dict[int, Break]) -> Iterator[Finding]:
    """Lines of which only the hash was changed: the next follows the one it should have."""
    for broken in list(left.values()):
        after = left.get(broken.line.id + 1)
        if broken.line.id not in left or after is None:
            continue
        if after.line.follows(broken.line.link(broken.previous, broken.number), after.number):
            del left[broken.line.id], left[after.line.id]
            yield Finding(
                kind=Kind.EDITED,
                numbers=(broken.number, broken.number),
                told=f"entry {broken.number} has another hash than it was added with",
            )


def _edited(left: dict[int, Break], anchored: Mapping[int, Sequence[str]]) -> Iterator[Finding]:
    """What is left, neighbours together."""
    run: list[Break] = []
    for broken in left.values():
        if run and broken.line.id != run[-1].line.id + 1:
            yield _edited_run(run, anchored)
            run = []
        run.append(broken)
    if run:
        yield _edited_run(run, anchored)


def _edited_run(run: Sequence[Break], anchored: Mapping[int, Sequence[str]]) -> Finding:
    first, last = run[0].number, run[-1].number
    if len(run) == 1:
        return _edited_one(run[0], anchored.get(first - 1, ()))
    told = (
        f"{entries(first, last)} do not say what they were added with; "
        f"entry {last} perhaps only because entry {last - 1} was changed with its hash"
    )
    return Finding(kind=Kind.EDITED, numbers=(first, last), told=told)


def _edited_one(broken: Break, kept: Sequence[str]) -> Finding:
    """A line that breaks alone, or the one before it: an anchor of that one can tell."""
    number, before = broken.number, broken.number - 1
    told = f"entry {number} does not say what it was added with"
    numbers = (number, number)
    if kept and broken.previous not in kept:
        told, numbers = f"entry {before} was changed together with its hash", (before, before)
    elif not kept and number > 1:
        told += f", or entry {before} was changed together with its hash"
        numbers = (before, number)
    return Finding(kind=Kind.EDITED, numbers=numbers, told=told)


def _moved(moved: Missing, to: int) -> Finding:
    return Finding(
        kind=Kind.REORDERED,
        numbers=(min(moved.first, to), max(moved.last, to)),
        told=f"{entries(moved.first, moved.last)} {are(moved.first, moved.last)} "
        f"at place {to}, and those between have other numbers",
    )


def _inserted(first: int, last: int, originals: Sequence[int]) -> Finding:
    if originals:
        told = f"{entries(first, last)} {are(first, last)} a copy of what stands at {originals[0]}"
        return Finding(kind=Kind.DUPLICATED, numbers=(first, last), told=told)
    told = f"{entries(first, last)} {are(first, last)} not of this chain"
    return Finding(kind=Kind.INSERTED, numbers=(first, last), told=told)


def _deleted(gone: Missing) -> Finding:
    return Finding(
        kind=Kind.DELETED,
        numbers=(gone.first, gone.last),
        told=f"{entries(gone.first, gone.last)} {are(gone.first, gone.last)} missing",
    )
