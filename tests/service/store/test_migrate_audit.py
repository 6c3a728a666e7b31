"""Lines of the audit from before the chain are chained, and nothing of them is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from service.store import migrate as module
from service.store.errors import StoreUnavailable
from service.store.migrations.versions import r0003_audit_chain as step
from service.store.opening import open_store

TEXTS = [("ada", None, ""), ("\x1a0000", "", "why"), ("Grüße 🙂", "petty@1", "\x1ad800 'x'")]
Before = Callable[[list[int]], None]


@pytest.fixture
def before(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Before:
    """`before([1, 2, 5])`: a database of the version before, with audit lines of these numbers."""

    def make(numbers: list[int]) -> None:
        versions = tmp_path / "versions"
        versions.mkdir()
        for name in ("r0001_initial.py", "r0002_key_scope.py"):
            shutil.copy(module._MIGRATIONS / "versions" / name, versions)
        insert = text(
            'INSERT INTO audit (id, at, actor, action, subject, "before", after, reason) VALUES '
            "(:id, '2026-11-27 12:00:00.250000', :actor, 'key.create', :id_text, :before, NULL, "
            ":reason)"
        )
        with monkeypatch.context() as patch:
            patch.setattr(module, "_MIGRATIONS", tmp_path)
            with open_store(database_url) as store, store._database.writing() as connection:
                for number in numbers:
                    actor, was, reason = TEXTS[number % 3]
                    connection.execute(
                        insert,
                        {"id": number, "id_text": str(number), "actor": actor, "before": was,
                         "reason": reason},
                    )  # fmt: skip

    return make


def test_lines_from_before_are_chained_as_they_were(before: Before, database_url: str) -> None:
    before([1, 2, 3])

    with open_store(database_url) as store:
        told, *lines = store.audit.latest()

        assert store.audit.verify().whole
    assert [(line.id, line.subject) for line in lines] == [(3, "3"), (2, "2"), (1, "1")]
    assert [line.actor for line in lines] == ["ada", "Grüße 🙂", "\x00"]
    assert [line.reason for line in lines] == ["", "\ud800 'x'", "why"]
    assert {line.at.isoformat() for line in lines} == {"2026-11-27T12:00:00.250000+00:00"}
    assert (told.action, told.before) == ("audit.chain", None)
    assert told.after == "3 entries from before are chained"


def test_numbers_that_were_missing_are_said_and_closed(before: Before, database_url: str) -> None:
    """From here on a gap is evidence; on PostgreSQL a failure used to leave one."""
    before([2, 3, 7, 9])

    with open_store(database_url) as store:
        told, *lines = store.audit.latest()

        assert store.audit.verify().entries == 5
        assert store.audit.verify().whole
    assert [(line.id, line.subject) for line in lines] == [(4, "9"), (3, "7"), (2, "3"), (1, "2")]
    assert told.before == "numbers 1, 4 to 6, 8 were missing, and all were counted anew"


def test_an_audit_without_lines_begins_without_one(before: Before, database_url: str) -> None:
    before([])

    with open_store(database_url) as store:
        assert store.audit.latest() == ()
        assert store.audit.verify().whole


def test_many_lines_are_chained_in_batches(before: Before, database_url: str) -> None:
    many = step._BATCH_LINES + 2
    before(list(range(1, many + 1)))

    with open_store(database_url) as store:
        assert store.audit.verify().entries == many + 1
        assert store.audit.verify().whole


def test_many_gaps_are_counted_and_not_all_named() -> None:
    line = step._line_of_the_chain(100, [str(n) for n in range(50)])

    assert line["before"].endswith("18, 19 and 30 more were missing, and all were counted anew")


def test_what_was_chained_goes_on_and_stays_append_only(before: Before, database_url: str) -> None:
    before([1, 2])

    with open_store(database_url) as store:
        store.keys.create("ada", by="op")
        for change in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
            with pytest.raises(StoreUnavailable), store._database.writing() as connection:
                connection.execute(text(change))

        assert store.audit.verify().entries == 4
        assert store.audit.verify().whole


def test_a_gateway_of_the_version_before_puts_nothing_unchained_on_record(
    database_url: str,
) -> None:
    """Its line would be taken for one that somebody inserted."""
    insert = text(
        "INSERT INTO audit (id, at, actor, action, subject, reason) "
        "VALUES (1, '2026-11-27 12:00:00', 'old', 'x', 'x', 'x')"
    )
    with open_store(database_url) as store:
        with pytest.raises(StoreUnavailable), store._database.writing() as connection:
            connection.execute(insert)

        assert store.audit.verify().whole
