"""Domain records as rows, and rows as domain records."""

from __future__ import annotations

import math
from typing import Any, cast

from sqlalchemy import RowMapping

from probing.policy import Action, Decision
from service.domain import Case, CaseState, Flag, Outcome, RequestRecord, Source
from service.store.errors import DamagedRow
from service.store.packing import (
    pack_messages,
    pack_peaks,
    pack_scores,
    pack_texts,
    pack_tokens,
    unpack_messages,
    unpack_peaks,
    unpack_scores,
    unpack_texts,
    unpack_tokens,
)


def row_of_flag(flag: Flag) -> dict[str, Any]:
    """The values of a row of `flags`.

    Raises:
        ValueError: a token has not one score and one statistic per probe, or the
            threshold or statistic is NaN.
    """
    if math.isnan(flag.threshold) or math.isnan(flag.statistic):
        raise ValueError("a flag's threshold and statistic are numbers, but one of them is NaN")
    return {
        "id": flag.id,
        "request_id": flag.request_id,
        "created_at": flag.created_at,
        "model": flag.model,
        "probe_set": flag.probe_set,
        "probe": flag.probe,
        "probe_version": flag.probe_version,
        "threshold": float(flag.threshold),
        "statistic": float(flag.statistic),
        "step": int(flag.step),
        "decision": flag.decision.word,
        "action": flag.action.value,
        "release_rule": flag.release_rule,
        "source": flag.source,
        "messages": pack_messages(flag.messages),
        "answer": flag.answer_so_far,
        "probes": pack_texts(flag.probes),
        "tokens": len(flag.tokens),
        **pack_tokens(flag.tokens, len(flag.probes)),
    }


def flag_of_row(row: RowMapping) -> Flag:
    """The flag in a row of `flags`.

    Raises:
        DamagedRow: a value is not one that `row_of_flag` writes.
    """
    probes = unpack_texts(row["probes"])
    return Flag(
        id=row["id"],
        request_id=row["request_id"],
        created_at=row["created_at"],
        model=row["model"],
        probe_set=row["probe_set"],
        probe=row["probe"],
        probe_version=row["probe_version"],
        threshold=row["threshold"],
        statistic=row["statistic"],
        step=row["step"],
        decision=_decision(row["decision"]),
        action=_action(row["action"]),
        release_rule=row["release_rule"],
        messages=unpack_messages(row["messages"]),
        answer_so_far=row["answer"],
        probes=probes,
        tokens=unpack_tokens(
            row["token_texts"],
            row["token_positions"],
            row["token_scores"],
            row["token_statistics"],
            len(probes),
        ),
        source=cast(Source, row["source"]),
    )


def case_of_row(row: RowMapping) -> Case:
    """The case in a row of `cases` joined with `flags`.

    Raises:
        DamagedRow: a value is not one that the store writes.
    """
    return Case(
        id=row["case_id"],
        state=_state(row["state"]),
        created_at=row["case_created_at"],
        flag=flag_of_row(row),
    )


def row_of_request(record: RequestRecord) -> dict[str, Any]:
    """The values of a row of `requests`."""
    return {
        "id": record.id,
        "created_at": record.created_at,
        "model": record.model,
        "route": record.route,
        "probe_set": record.probe_set,
        "action": record.action.value,
        "release_rule": record.release_rule,
        "outcome": record.outcome,
        "reason": record.reason,
        "decision": record.decision.word,
        "tripped_at": record.tripped_at,
        "tokens_scored": record.tokens_scored,
        "tokens_released": record.tokens_released,
        "tokens_released_unscored": record.tokens_released_unscored,
        "probes": pack_texts(record.probes),
        "peaks": pack_peaks(record.peaks, record.probes),
        "scores": pack_scores(record.scores),
    }


def request_of_row(row: RowMapping) -> RequestRecord:
    """The record in a row of `requests`.

    Raises:
        DamagedRow: a value is not one that `row_of_request` writes.
    """
    probes = unpack_texts(row["probes"])
    return RequestRecord(
        id=row["id"],
        created_at=row["created_at"],
        model=row["model"],
        route=row["route"],
        probe_set=row["probe_set"],
        action=_action(row["action"]),
        release_rule=row["release_rule"],
        outcome=cast(Outcome, row["outcome"]),
        reason=row["reason"],
        decision=_decision(row["decision"]),
        tripped_at=row["tripped_at"],
        tokens_scored=row["tokens_scored"],
        tokens_released=row["tokens_released"],
        tokens_released_unscored=row["tokens_released_unscored"],
        peaks=unpack_peaks(row["peaks"], probes),
        probes=probes,
        scores=unpack_scores(row["scores"], len(probes)),
    )


def _decision(word: str) -> Decision:
    try:
        return Decision[word.upper()]
    except KeyError:
        raise DamagedRow("a decision", f"{word!r} is none") from None


def _action(word: str) -> Action:
    try:
        return Action(word)
    except ValueError:
        raise DamagedRow("an action", f"{word!r} is none") from None


def _state(word: str) -> CaseState:
    try:
        return CaseState(word)
    except ValueError:
        raise DamagedRow("a case's state", f"{word!r} is none") from None
