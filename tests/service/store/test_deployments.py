"""A role and its audit line change together or not at all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.store import deployments as module
from service.store.errors import NothingToRollBack, UnknownRole
from service.store.review import ReviewStore

BY = {"by": "ada", "reason": "better at context cases \x00"}


def test_nothing_is_deployed_at_first(store: ReviewStore) -> None:
    assert store.deployments.deployed("champion") is None


def test_roles_are_apart(store: ReviewStore) -> None:
    store.deployments.promote("champion", "petty@1", **BY)
    store.deployments.promote("challenger", "petty@2", **BY)

    assert store.deployments.deployed("champion") == "petty@1"
    assert store.deployments.deployed("challenger") == "petty@2"


def test_rollback_returns_step_by_step(store: ReviewStore) -> None:
    for version in (1, 2, 3):
        store.deployments.promote("champion", f"petty@{version}", **BY)

    back = [store.deployments.rollback("champion", **BY).ref for _ in range(2)]

    assert back == ["petty@2", "petty@1"]
    assert store.deployments.deployed("champion") == "petty@1"


def test_rollback_then_promote_then_rollback_does_not_return_to_what_was_withdrawn(
    store: ReviewStore,
) -> None:
    store.deployments.promote("champion", "petty@1", **BY)
    store.deployments.promote("champion", "petty@2", **BY)
    store.deployments.rollback("champion", **BY)
    store.deployments.promote("champion", "petty@3", **BY)

    assert store.deployments.rollback("champion", **BY).ref == "petty@1"


@pytest.mark.parametrize("promoted", [0, 1])
def test_there_must_be_something_to_return_to(store: ReviewStore, promoted: int) -> None:
    """An empty role would leave the service without a probe that decides."""
    for _ in range(promoted):
        store.deployments.promote("champion", "petty@1", **BY)

    with pytest.raises(NothingToRollBack, match="promote a version instead"):
        store.deployments.rollback("champion", **BY)
    assert store.deployments.deployed("champion") == ("petty@1" if promoted else None)


def test_every_change_leaves_one_audit_line(store: ReviewStore) -> None:
    store.deployments.promote("champion", "petty@1", **BY)
    store.deployments.promote("champion", "petty@2", **BY)
    store.deployments.rollback("champion", by="ben", reason="too many alarms")

    lines = store.audit.latest()
    assert [(line.actor, line.action, line.before, line.after) for line in lines] == [
        ("ben", "deployment.rollback", "petty@2", "petty@1"),
        ("ada", "deployment.promote", "petty@1", "petty@2"),
        ("ada", "deployment.promote", None, "petty@1"),
    ]
    assert [line.reason for line in lines] == ["too many alarms", BY["reason"], BY["reason"]]
    assert {line.subject for line in lines} == {"champion"}


def test_promoting_what_stands_changes_nothing(store: ReviewStore) -> None:
    """Else a repeated command would make `rollback` return to the same version."""
    first = store.deployments.promote("champion", "petty@1", **BY)

    assert store.deployments.promote("champion", "petty@1", **BY) == first
    assert len(store.audit.latest()) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda deployments: deployments.promote("champion", "petty@3", **BY),
        lambda deployments: deployments.rollback("champion", **BY),
    ],
    ids=["promote", "rollback"],
)
def test_without_its_audit_line_a_change_is_not_made(
    store: ReviewStore,
    change: Callable[[module.Deployments], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.deployments.promote("champion", "petty@1", **BY)
    store.deployments.promote("champion", "petty@2", **BY)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no line")

    monkeypatch.setattr(module, "add_entry", fail)
    with pytest.raises(RuntimeError, match="no line"):
        change(store.deployments)

    assert store.deployments.deployed("champion") == "petty@2"


def test_a_seed_fills_only_an_empty_role(store: ReviewStore) -> None:
    store.deployments.seed("champion", "petty@1", **BY)

    assert store.deployments.seed("champion", "petty@9", **BY).ref == "petty@1"
    assert store.deployments.deployed("champion") == "petty@1"


def test_gateways_that_seed_at_once_agree(store: ReviewStore) -> None:
    def seed(number: int) -> str:
        return store.deployments.seed("champion", f"petty@{number}", **BY).ref

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(seed, range(6)))) == 1
    assert len(store.audit.latest()) == 1


def test_promotions_at_once_form_one_chain(store: ReviewStore) -> None:
    """Each line's `before` is the `after` of the line below it, or the record tells stories."""

    def promote(number: int) -> None:
        store.deployments.promote("champion", f"petty@{number}", **BY)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(promote, range(6)))

    lines = store.audit.latest()
    assert [line.before for line in lines] == [line.after for line in lines[1:]] + [None]


@pytest.mark.parametrize("call", ["deployed", "current"])
def test_an_unknown_role_is_refused(store: ReviewStore, call: str) -> None:
    with pytest.raises(UnknownRole, match="use 'champion' or 'challenger'"):
        getattr(store.deployments, call)("chief")
