"""Our own resources: what they show, what they keep back, and how they refuse."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import text

from service.store.review import ReviewStore
from tests.service.scripted import ScriptedEngine, script
from tests.service.serving import MESSAGE, Served, serving
from tests.service.store.examples import FLAG, flag

PROBLEM = {"type", "title", "status", "detail", "code"}


def flagged(served: Served, times: int = 1) -> list[str]:
    return [str(served.chat().json()["id"]) for _ in range(times)]


def test_a_request_shows_every_tokens_scores(store: ReviewStore) -> None:
    with serving(ScriptedEngine(steps=script("a", "b", above=1)), store) as served:
        (request_id,) = flagged(served)
        record = served.client.get(f"/v1/monitor/requests/{request_id}").json()

    assert record["probes"] == ["petty", "shadow"]
    assert record["scores"] == [[-2.0, -2.0], [2.0, -2.0]]
    assert (record["outcome"], record["reason"], record["tripped_at"]) == ("scored", None, 1)
    assert record["peaks"] == {"petty": 2.0, "shadow": -2.0}


def test_a_statistic_that_never_was_is_null(store: ReviewStore) -> None:
    """JSON has no infinity, and 0 would be a statistic."""
    never = np.full(2, -np.inf, np.float32)
    steps = [replace(step, peaks=never) for step in script("a")]
    with serving(ScriptedEngine(steps=steps), store) as served:
        (request_id,) = flagged(served)
        record = served.client.get(f"/v1/monitor/requests/{request_id}").json()

    assert record["peaks"] == {"petty": None, "shadow": None}


def test_cases_are_listed_newest_first_without_text(store: ReviewStore) -> None:
    with serving(ScriptedEngine(steps=script("a secret", above=0)), store) as served:
        requests = flagged(served, 3)
        response = served.client.get("/v1/monitor/cases")

    assert [case["request_id"] for case in response.json()["cases"]] == requests[::-1]
    assert "secret" not in response.text
    assert MESSAGE["content"] not in response.text


def test_pages_follow_each_other_without_gap_or_overlap(store: ReviewStore) -> None:
    with serving(ScriptedEngine(steps=script("a", above=0)), store) as served:
        flagged(served, 5)
        seen, cursor = [], ""
        while True:
            page = served.client.get(f"/v1/monitor/cases?state=open&limit=2{cursor}").json()
            seen += [case["id"] for case in page["cases"]]
            if page["next"] is None:
                break
            cursor = f"&before={page['next']}"

    assert seen == [5, 4, 3, 2, 1]


def test_one_case_has_the_conversation_and_each_tokens_scores(store: ReviewStore) -> None:
    with serving(ScriptedEngine(steps=script("I", " lied", above=1)), store) as served:
        flagged(served)
        case = served.client.get("/v1/monitor/cases/1").json()

    assert (case["messages"], case["answer"]) == ([MESSAGE], "I lied")
    assert [token["text"] for token in case["tokens"]] == ["I", " lied"]
    assert case["tokens"][1]["scores"] == [2.0, -2.0]
    assert (case["probe"], case["probe_version"], case["step"]) == ("petty", "1", 1)


def test_the_probe_set_is_shown_with_roles_and_thresholds(store: ReviewStore) -> None:
    with serving(ScriptedEngine(), store) as served:
        shown = served.client.get("/v1/monitor/probes").json()

    assert shown["probe_set"] == "abcdefabcdef"
    assert shown["probes"][1] == {
        "name": "shadow",
        "version": "2",
        "threshold": 0.5,
        "role": "challenger",
    }


def test_refusals_are_problem_details(store: ReviewStore) -> None:
    paths = {
        "/v1/monitor/requests/none": 404,
        "/v1/monitor/cases/7": 404,
        "/v1/monitor/cases/abc": 404,
        "/v1/monitor/cases/99999999999999999999": 404,
        "/v1/monitor/nothing": 404,
        "/v1/monitor/cases?limit=0": 400,
        "/v1/monitor/cases?limit=201": 400,
        "/v1/monitor/cases?before=x": 400,
        "/v1/monitor/cases?state=lost": 400,
        "/v1/monitor/cases?page=2": 400,
    }
    with serving(ScriptedEngine(), store) as served:
        for path, status in paths.items():
            response = served.client.get(path)

            assert response.status_code == status, path
            assert response.headers["content-type"] == "application/problem+json"
            assert set(response.json()) == PROBLEM


def test_an_unknown_parameter_is_not_repeated(store: ReviewStore) -> None:
    with serving(ScriptedEngine(), store) as served:
        response = served.client.get("/v1/monitor/cases?my_diagnosis=2")

    assert response.status_code == 400
    assert "my_diagnosis" not in response.text


def test_a_statistic_before_the_first_counted_token_is_null(store: ReviewStore) -> None:
    """JSON has no infinity, and a case that cannot be written out cannot be judged."""
    store.commit_flag(FLAG)
    with serving(ScriptedEngine(), store) as served:
        case = served.client.get("/v1/monitor/cases/1").json()

    assert case["tokens"][0]["statistics"] == [0.5, None]


def test_one_damaged_row_is_told_as_such_and_hides_no_other(store: ReviewStore) -> None:
    for number in (1, 2):
        store.commit_flag(flag(number))
    with store._database.writing() as connection:
        connection.execute(text("UPDATE flags SET decision = 'my diagnosis' WHERE id = 'flag-1'"))
    with serving(ScriptedEngine(), store) as served:
        listed = served.client.get("/v1/monitor/cases")
        damaged = served.client.get("/v1/monitor/cases/1")
        sound = served.client.get("/v1/monitor/cases/2")

    assert [case["id"] for case in listed.json()["cases"]] == [2, 1]
    assert (damaged.status_code, damaged.json()["code"]) == (500, "damaged_row")
    assert "diagnosis" not in damaged.text
    assert sound.status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("request", "requests/r1"), ("cases", "cases"), ("case", "cases/1")],
)
def test_a_store_that_hangs_is_a_503(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    let = threading.Event()

    def hang(*_: object, state: object = None, limit: int = 0, before: object = None) -> None:
        let.wait(60)

    monkeypatch.setattr(store, method, hang)
    with serving(ScriptedEngine(), store, store_timeout_seconds=0.1) as served:
        response = served.client.get(f"/v1/monitor/{path}", timeout=10)
        let.set()

    assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")


def test_a_store_that_is_gone_is_a_503(store: ReviewStore) -> None:
    with serving(ScriptedEngine(), store) as served:
        store.close()
        response = served.client.get("/v1/monitor/cases")

    assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
