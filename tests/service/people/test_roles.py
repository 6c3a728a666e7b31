"""Who may do what, written out a second time: a change of the table is a change here too."""

from __future__ import annotations

import pytest

from service.people.roles import MAY, Act, PersonRole, may

OPERATOR, AUDITOR, LEAD, ADMIN, READ_ONLY = "operator", "auditor", "lead", "admin", "read-only"
EXPECTED = {
    "read_queue": {OPERATOR, AUDITOR, LEAD, ADMIN, READ_ONLY},
    "read_text": {AUDITOR, LEAD, ADMIN},
    "claim": {AUDITOR, LEAD, ADMIN},
    "rule": {AUDITOR, LEAD, ADMIN},
    "adjudicate": {LEAD, ADMIN},
    "assign": {LEAD, ADMIN},
    "promote": {OPERATOR, ADMIN},
    "approve": {LEAD, ADMIN},
    "manage_people": {ADMIN},
    "manage_queues": {LEAD, ADMIN},
    "read_audit": {LEAD, ADMIN},
    "read_reports": {OPERATOR, AUDITOR, LEAD, ADMIN, READ_ONLY},
    "export": {LEAD, ADMIN},
    "bypass": {OPERATOR, ADMIN},
}


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize("role", PersonRole)
def test_a_role_may_do_exactly_what_the_table_says(role: PersonRole, act: Act) -> None:
    assert may(role, act) == (role in EXPECTED[act])


def test_every_act_is_in_the_table() -> None:
    """One that is missing would be refused to everybody, which only its page would show."""
    assert set(MAY) == set(Act) == set(EXPECTED)


@pytest.mark.parametrize("act", ["read_everything", "", "READ_QUEUE", "read_queue "])
def test_an_act_that_is_not_in_the_table_is_refused_to_everybody(act: str) -> None:
    assert not any(may(role, act) for role in PersonRole)


def test_a_role_that_does_not_exist_may_nothing() -> None:
    assert not any(may("root", act) for act in Act)
