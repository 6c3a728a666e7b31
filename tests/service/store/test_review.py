"""The contract of the review store, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from sqlalchemy import text

from service.domain import CaseState, Message
from service.store.errors import DamagedRow, StoreUnavailable, UnknownFlag
from service.store.listing import summaries
from service.store.opening import open_store
from service.store.review import ReviewStore
from tests.service.store.examples import FLAG, HARD_TEXTS, REQUEST, flag, token

ODD = list(HARD_TEXTS.values())


def test_a_flag_becomes_a_case_that_comes_back_whole(store: ReviewStore) -> None:
    case = store.commit_flag(FLAG)

    assert case.flag == FLAG
    assert case.state is CaseState.OPEN
    assert store.case(case.id) == case


def test_no_character_makes_a_flag_vanish_or_change(store: ReviewStore) -> None:
    """NUL and lone surrogates make drivers raise, and one is enough to hide an answer."""
    for number, odd in enumerate(ODD):
        tokens = (replace(FLAG.tokens[0], text=odd),)
        messages = (Message(role=odd, content=odd),)
        changes = {"answer_so_far": odd, "model": odd, "probes": ("petty", odd)}
        odd_flag = replace(flag(number, **changes), messages=messages, tokens=tokens)

        case = store.commit_flag(odd_flag)

        assert store.case(case.id).flag == odd_flag


def test_no_character_in_a_requests_id_makes_its_flag_another_ones(store: ReviewStore) -> None:
    made = [
        store.commit_flag(replace(flag(number), request_id=odd)) for number, odd in enumerate(ODD)
    ]

    assert len({case.id for case in made}) == len(ODD)
    assert [store.commit_flag(case.flag) for case in made] == made


def test_a_flag_is_there_for_the_next_process(database_url: str) -> None:
    with open_store(database_url) as first:
        case = first.commit_flag(FLAG)

    with open_store(database_url) as second:
        assert second.case(case.id) == case


def test_a_second_flag_of_a_request_changes_nothing(store: ReviewStore) -> None:
    first = store.commit_flag(FLAG)

    second = store.commit_flag(replace(FLAG, id="flag-2", answer_so_far="another text"))

    assert second == first
    assert [case.id for case in store.cases().cases] == [first.id]


def test_eight_threads_that_flag_one_request_make_one_case(store: ReviewStore) -> None:
    """Read-then-write made 148 double claims in 120 items when it was tried."""
    start = threading.Barrier(8)

    def commit(number: int) -> int:
        start.wait()
        return store.commit_flag(replace(FLAG, id=f"flag-{number}")).id

    with ThreadPoolExecutor(8) as pool:
        numbers = set(pool.map(commit, range(8)))

    assert len(numbers) == 1
    assert store.counts()[CaseState.OPEN] == 1


def test_eight_threads_that_flag_many_requests_lose_none(store: ReviewStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = {case.id for case in pool.map(lambda n: store.commit_flag(flag(n)), range(40))}

    assert len(made) == 40
    assert {case.request_id for case in store.cases().cases} == {f"request-{n}" for n in range(40)}


def test_an_answer_that_went_on_is_stored_to_its_end(store: ReviewStore) -> None:
    case = store.commit_flag(FLAG)
    tokens = (*FLAG.tokens, replace(token(2), scores=(0.5, 0.25), text="\x00"))

    store.extend_flag("request-1", "I did not take it. \ud800", tokens)

    extended = store.case(case.id).flag
    assert extended == replace(FLAG, answer_so_far="I did not take it. \ud800", tokens=tokens)


def test_a_shorter_answer_does_not_replace_a_longer_one(store: ReviewStore) -> None:
    case = store.commit_flag(FLAG)

    store.extend_flag("request-1", "I", FLAG.tokens[:1])

    assert store.case(case.id).flag == FLAG


def test_what_was_never_flagged_cannot_be_extended(store: ReviewStore) -> None:
    with pytest.raises(UnknownFlag, match="request-9"):
        store.extend_flag("request-9", "", ())


@pytest.mark.parametrize("field", ["threshold", "statistic"])
def test_a_flag_with_nan_is_refused_before_the_database(store: ReviewStore, field: str) -> None:
    """SQLite would turn NaN into NULL, PostgreSQL would keep it."""
    with pytest.raises(ValueError, match="NaN"):
        store.commit_flag(replace(FLAG, **{field: float("nan")}))


def test_a_moment_without_a_time_zone_is_refused(store: ReviewStore) -> None:
    with pytest.raises(ValueError, match="time zone"):
        store.commit_flag(replace(FLAG, created_at=datetime(2026, 1, 1)))


def test_a_moment_comes_back_in_utc(store: ReviewStore) -> None:
    in_delhi = datetime(2026, 1, 1, 4, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    case = store.commit_flag(replace(FLAG, created_at=in_delhi))

    back = store.case(case.id).created_at
    assert (back, back.tzinfo) == (datetime(2025, 12, 31, 23, 0, tzinfo=UTC), UTC)


def test_a_request_comes_back_with_its_scores_bit_for_bit(store: ReviewStore) -> None:
    store.record_request(REQUEST)

    back = store.request("request-1")
    assert back == REQUEST
    assert back.scores.tobytes() == REQUEST.scores.tobytes()
    assert back.scores.shape == (3, 2)


def test_an_unscored_request_keeps_its_reason(store: ReviewStore) -> None:
    empty = np.zeros((0, 2), dtype=np.float32)
    unscored = replace(REQUEST, outcome="unscored", reason="monitor_error", scores=empty, peaks={})

    store.record_request(unscored)

    assert store.request("request-1") == unscored


def test_the_first_record_of_a_request_stands(store: ReviewStore) -> None:
    store.record_request(REQUEST)

    store.record_request(replace(REQUEST, tokens_released=99))

    assert store.request("request-1").tokens_released == REQUEST.tokens_released


def test_an_unknown_request_is_none_whatever_its_name(store: ReviewStore) -> None:
    assert [store.request(name) for name in ["nobody", *ODD]] == [None] * (1 + len(ODD))


def test_the_queue_is_listed_without_reading_a_word_of_it(store: ReviewStore) -> None:
    """Two hundred conversations with their scores are many megabytes, and a page shows none."""
    store.commit_flag(FLAG)
    heavy = ("messages", "answer", "token_texts", "token_positions", "token_scores")

    listed = {column.name for column in summaries(FLAG.created_at).selected_columns}

    assert not listed & {*heavy, "token_statistics", "probes"}
    (summary,) = store.cases().cases
    expected = {**asdict(FLAG), "id": 1, "state": "open", "decision": "flag", "action": "flag"}
    assert asdict(summary) == {name: expected[name] for name in asdict(summary)}


@pytest.mark.parametrize(
    ("column", "damage"),
    [("decision", "guess"), ("action", "shrug"), ("messages", "{"), ("model", "cut \x1a00")],
)
def test_a_damaged_row_is_listed_with_the_others_and_only_cannot_be_opened(
    store: ReviewStore, column: str, damage: str
) -> None:
    damaged, sound = (store.commit_flag(flag(number)).id for number in (1, 2))
    with store._database.writing() as connection:
        harm = f"UPDATE flags SET {column} = :damage WHERE id = 'flag-1'"
        connection.execute(text(harm), {"damage": damage})

    assert [case.id for case in store.cases().cases] == [sound, damaged]
    with pytest.raises(DamagedRow):
        store.case(damaged)


def test_pages_show_every_case_once_newest_first(store: ReviewStore) -> None:
    made = [store.commit_flag(flag(n)).id for n in range(7)]

    seen: list[int] = []
    cursor: int | None = None
    for _ in range(3):
        page = store.cases(limit=3, before=cursor)
        seen += [case.id for case in page.cases]
        cursor = page.next_cursor
        store.commit_flag(flag(100 + len(seen)))

    assert seen == made[::-1]
    assert cursor is None


def test_a_page_that_ends_exactly_has_no_next(store: ReviewStore) -> None:
    store.commit_flag(flag(1))

    assert store.cases(limit=1).next_cursor is None


def test_no_number_from_an_address_line_breaks_the_database(store: ReviewStore) -> None:
    for number in (-(2**80), -1, 0, 1, 2**31, 2**63, 2**80):
        assert store.case(number) is None
        assert store.cases(before=number, limit=number).cases == ()


def test_open_cases_are_counted(store: ReviewStore) -> None:
    assert store.counts() == dict.fromkeys(CaseState, 0)

    store.commit_flag(flag(1))

    assert store.counts()[CaseState.OPEN] == 1
    assert len(store.cases(state=CaseState.OPEN).cases) == 1


def test_a_check_writes(store: ReviewStore) -> None:
    """A full disk and a read-only database still answer a SELECT."""
    pulse = text("SELECT at FROM pulse")
    with store._database.reading() as connection:
        before = connection.scalar(pulse)

    store.check()

    with store._database.reading() as connection:
        assert connection.scalar(pulse) != before


def test_a_closed_store_says_so(store: ReviewStore) -> None:
    store.close()

    for call in (store.check, store.counts, lambda: store.commit_flag(FLAG)):
        with pytest.raises(StoreUnavailable, match="it was closed; open it again"):
            call()


def test_missing_tables_are_told_as_such(store: ReviewStore) -> None:
    with store._database.writing() as connection:
        connection.execute(text("DROP TABLE requests"))

    with pytest.raises(StoreUnavailable, match="tables are not this version's") as caught:
        store.record_request(REQUEST)
    assert caught.value.reason == "schema"


def test_an_unexpected_driver_error_is_ours_and_quotes_nothing(store: ReviewStore) -> None:
    """A driver quotes the values of the row in its message, and messages reach logs."""
    store.commit_flag(replace(FLAG, id="taken \N{SNOWMAN}"))

    with pytest.raises(StoreUnavailable) as caught:
        store.commit_flag(replace(FLAG, id="taken \N{SNOWMAN}", request_id="request-2"))
    assert caught.value.reason == "failed"
    assert "\N{SNOWMAN}" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_what_fails_inside_a_transaction_leaves_nothing(store: ReviewStore) -> None:
    def delete_and_fail() -> None:
        with store._database.writing() as connection:
            connection.execute(text("DELETE FROM pulse"))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        delete_and_fail()

    store.check()
