"""The review queue as a list: light, and deaf to damage.

A page of two hundred cases would otherwise bring two hundred conversations with all
their scores, of which it shows nothing, and one row that somebody damaged would hide
the other hundred and ninety-nine. So only what is shown is read, and as it stands.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import RowMapping, Select, Text, select, type_coerce

from service.domain import CaseSummary
from service.store.errors import DamagedRow
from service.store.leases import state_shown
from service.store.tables import cases, flags
from service.store.text import decode_text

_WORDS = "request_id model probe_set probe probe_version release_rule source decision action"
_NUMBERS = ("threshold", "statistic", "step")


def summaries(moment: datetime) -> Select[tuple[object, ...]]:
    """Every case as it stands at a moment, without the columns that hold text or scores."""
    words = [type_coerce(flags.c[name], Text).label(name) for name in _WORDS.split()]
    return select(
        cases.c.id,
        state_shown(moment).label("state"),
        cases.c.created_at,
        *words,
        *(flags.c[name] for name in _NUMBERS),
    ).join(flags, flags.c.request_id == cases.c.request_id)


def summary_of_row(row: RowMapping) -> CaseSummary:
    """A row of `summaries`; no word in it is refused."""
    return CaseSummary(
        id=row["id"],
        state=_read(row["state"]),
        created_at=row["created_at"],
        source=_read(row["source"]),
        request_id=_read(row["request_id"]),
        model=_read(row["model"]),
        probe_set=_read(row["probe_set"]),
        probe=_read(row["probe"]),
        probe_version=_read(row["probe_version"]),
        threshold=row["threshold"],
        statistic=row["statistic"],
        step=row["step"],
        release_rule=_read(row["release_rule"]),
        decision=_read(row["decision"]),
        action=_read(row["action"]),
    )


def _read(stored: str) -> str:
    """The word that was stored; where an escape in it is cut short, the column as it stands."""
    try:
        return decode_text(stored)
    except DamagedRow:
        return stored
