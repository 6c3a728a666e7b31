"""Who is let in, and what a stolen database does not tell."""

from __future__ import annotations

import hmac

import pytest
from sqlalchemy import text

from service.domain import KeyScope
from service.store import keys as module
from service.store.errors import KeyExists, UnknownKey
from service.store.review import ReviewStore


def name_of(store: ReviewStore, key: str) -> str | None:
    holder = store.keys.holder(key)
    return None if holder is None else holder.name


def test_a_key_tells_whose_it_is(store: ReviewStore) -> None:
    ada, ben = store.keys.create("ada", by="op"), store.keys.create("ben", by="op")

    assert (name_of(store, ada), name_of(store, ben)) == ("ada", "ben")


def test_a_key_opens_what_it_was_made_for_and_by_default_only_asks(store: ReviewStore) -> None:
    asking = store.keys.create("ada", by="op")
    reviewing = store.keys.create("ben", by="op", scope=KeyScope.REVIEW)

    held = [store.keys.holder(key) for key in (asking, reviewing)]
    assert [key.scope for key in held if key] == [KeyScope.ASK, KeyScope.REVIEW]
    assert [key.scope for key in store.keys.list()] == [KeyScope.ASK, KeyScope.REVIEW]


def test_a_scope_is_on_record(store: ReviewStore) -> None:
    store.keys.create("ben", by="op", scope=KeyScope.REVIEW)
    store.keys.revoke("ben", by="op")

    ended, made = store.audit.latest()
    assert made.after is not None
    assert made.after.endswith(" (review)")
    assert ended.before == made.after


def test_a_key_is_stored_nowhere(store: ReviewStore) -> None:
    key = store.keys.create("ada", by="op")

    secret = key.rsplit("-", 1)[-1]
    with store._database.reading() as connection:
        rows = connection.execute(text("SELECT * FROM api_keys")).all()
        rows += connection.execute(text("SELECT * FROM audit")).all()
    assert secret not in repr(rows)
    assert key not in repr(rows)


def test_keys_are_long_and_all_different(store: ReviewStore) -> None:
    made = {store.keys.create(f"user-{n}", by="op") for n in range(5)}

    assert len(made) == 5
    assert {len(key) for key in made} == {63}


@pytest.mark.parametrize(
    "wrong", ["", "pw-", "ada", "\x00", "\ud800", "pw-0000000000000000-" + "A" * 43, "é" * 63]
)
def test_what_is_no_key_is_nobody(store: ReviewStore, wrong: str) -> None:
    store.keys.create("ada", by="op")

    assert name_of(store, wrong) is None


def test_the_right_row_with_the_wrong_secret_is_nobody(store: ReviewStore) -> None:
    key = store.keys.create("ada", by="op")

    changed = key[:-2] + ("AA" if not key.endswith("AA") else "BB")
    assert name_of(store, changed) is None


def test_digests_are_compared_in_constant_time_even_without_a_row(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    key = store.keys.create("ada", by="op")
    monkeypatch.setattr(module, "hmac", type("spying", (), {"compare_digest": staticmethod(spy)}))

    name_of(store, key)
    name_of(store, "pw-" + "0" * 16 + "-" + "A" * 43)

    assert [len(one) for one, _ in compared] == [32, 32]


def test_a_revoked_key_is_nobody(store: ReviewStore) -> None:
    key = store.keys.create("ada", by="op")

    store.keys.revoke("ada", by="op", reason="lost laptop")

    assert name_of(store, key) is None
    assert store.keys.list()[0].revoked_at is not None


def test_a_name_is_free_again_after_its_key_is_revoked(store: ReviewStore) -> None:
    old = store.keys.create("ada", by="op")
    store.keys.revoke("ada", by="op")

    new = store.keys.create("ada", by="op")

    assert (name_of(store, old), name_of(store, new)) == (None, "ada")
    assert [key.name for key in store.keys.list()] == ["ada", "ada"]


def test_a_name_has_one_valid_key(store: ReviewStore) -> None:
    store.keys.create("ada", by="op")

    with pytest.raises(KeyExists, match="revoke it first"):
        store.keys.create("ada", by="op")


@pytest.mark.parametrize("revoked", [False, True])
def test_only_a_valid_key_can_be_revoked(store: ReviewStore, revoked: bool) -> None:
    if revoked:
        store.keys.create("ada", by="op")
        store.keys.revoke("ada", by="op")

    with pytest.raises(UnknownKey, match="list the keys"):
        store.keys.revoke("ada", by="op")


def test_making_and_ending_a_key_is_on_record(store: ReviewStore) -> None:
    store.keys.create("ada", by="op")
    store.keys.revoke("ada", by="eve", reason="lost laptop")

    lines = store.audit.latest()
    assert [(line.actor, line.action, line.subject, line.reason) for line in lines] == [
        ("eve", "key.revoke", "ada", "lost laptop"),
        ("op", "key.create", "ada", ""),
    ]
