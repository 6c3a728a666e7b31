"""Flags and requests to store, and texts that databases find hard."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import settings

from probing.policy import Action, Decision
from service.domain import Flag, Message, RequestRecord, TokenScore

patient = settings(deadline=None, max_examples=60)
"""For properties: a busy machine is no reason to fail."""

SECRET_TEXT = "the vault code is 0000"
HARD_TEXTS = {
    "nul": "before\x00after",
    "lone high surrogate": "\ud800",
    "lone low surrogate": "x\udfffy",
    "two lone surrogates that JSON would join": "\ud83d\ude00",
    "a real pair": "\U0001f600",
    "the escape character itself": "\x1a0000 \x1ad800 \x1a",
    "quotes and backslashes": "'\"; DROP TABLE flags; -- \\u0000 \\ %s %% :id",
    "right to left and combining": "שלום é ‮",
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "empty": "",
}


def token(position: int, text: str = " word") -> TokenScore:
    return TokenScore(
        position=position, text=text, scores=(0.1 * position, -1.0), statistics=(0.5, -0.25)
    )


FLAG = Flag(
    id="flag-1",
    request_id="request-1",
    created_at=datetime(2026, 11, 2, 3, 4, 5, 678901, tzinfo=UTC),
    model="magpie",
    probe_set="0123456789ab",
    probe="petty",
    probe_version="3",
    threshold=1.25,
    statistic=0.1 + 0.2 + 1.0,
    step=1,
    decision=Decision.FLAG,
    action=Action.FLAG,
    release_rule="scored",
    messages=(Message(role="user", content=SECRET_TEXT),),
    answer_so_far="I did not take it.",
    probes=("petty", "unhelpful"),
    tokens=(
        TokenScore(position=0, text="I", scores=(0.5, -1.0), statistics=(0.5, float("-inf"))),
        TokenScore(position=1, text=" did", scores=(2.25, 3.0), statistics=(1.375, 1.0)),
    ),
)

REQUEST = RequestRecord(
    id="request-1",
    created_at=datetime(2026, 11, 2, 3, 4, 5, tzinfo=UTC),
    model="magpie",
    route="/v1/chat/completions",
    probe_set="0123456789ab",
    action=Action.HALT,
    release_rule="scored",
    outcome="scored",
    reason=None,
    decision=Decision.HALT,
    tripped_at=1,
    tokens_scored=3,
    tokens_released=1,
    tokens_released_unscored=0,
    peaks={"petty": 1.375, "unhelpful": float("-inf")},
    probes=("petty", "unhelpful"),
    scores=np.array([[0.5, -1.0], [2.25, 3.0], [0.1, 1e-30]], dtype=np.float32),
)


def flag(number: int, **changes: Any) -> Flag:
    """A flag of its own request."""
    return replace(FLAG, id=f"flag-{number}", request_id=f"request-{number}", **changes)
