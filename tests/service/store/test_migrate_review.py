"""Cases from before there were queues keep all that they had, and get a place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from service.reviewing import band_of
from service.store import migrate as module
from service.store.opening import open_store
from service.store.rows import row_of_flag
from service.store.tables import flags
from tests.service.store.desk import HARMLESS
from tests.service.store.examples import flag

BEFORE = ("r0001", "r0002", "r0003")
ABOVE = [
    (1.25, 1.25), (1.4, 1.25), (1.5, 1.25), (1.875, 1.25), (2.5, 1.25), (1.0, 1.25),
    (450.0, 400.0), (-300.0, -400.0), (float("inf"), 1.0), (float("inf"), float("inf")),
]  # fmt: skip


def test_cases_from_before_join_the_default_queue_in_their_band(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    for step in (module._MIGRATIONS / "versions").glob("r*.py"):
        if step.name.startswith(BEFORE):
            shutil.copy(step, versions)
    made = [
        row_of_flag(flag(number, statistic=statistic, threshold=threshold))
        for number, (statistic, threshold) in enumerate(ABOVE)
    ]
    with monkeypatch.context() as patch:
        patch.setattr(module, "_MIGRATIONS", tmp_path)
        with open_store(database_url) as store, store._database.writing() as connection:
            connection.execute(insert(flags), made)
            connection.execute(
                text(
                    "INSERT INTO cases (request_id, state, created_at) "
                    "SELECT request_id, 'open', created_at FROM flags ORDER BY id"
                )
            )

    with open_store(database_url) as store:
        standing = [store.claims.standing(number + 1) for number in range(len(ABOVE))]
        assert [case.band for case in standing] == [band_of(*above) for above in ABOVE]
        assert {(case.queue, case.state, case.reviewers) for case in standing} == {
            ("default", "open", 1)
        }
        urgent = store.claims.next("default", "ada")
        assert urgent is not None
        assert store.verdicts.give(urgent, HARMLESS).probe == "petty"
