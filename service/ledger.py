"""What has been scored and what has been released of one answer.

The ledger only keeps books: it folds in scored steps, refuses what is no score,
and writes the receipt, the record and the flag. It releases nothing and waits
for nothing; that is the gate's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from probing.policy import Action, Decision
from service.domain import Flag, Message, RequestRecord, TokenScore
from service.engines.protocol import EngineCard, FinishReason, GenerationRequest, Step
from service.reasons import Unscored, Withheld


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One answer that somebody asked for."""

    created_at: datetime
    """When the request arrived, with time zone."""
    arrived_seconds: float
    """The same moment on the monotonic clock, for latencies."""
    route: str
    """The route's template, such as "/v1/chat/completions"."""
    messages: tuple[Message, ...]
    """The conversation, for the auditor's eyes."""
    request: GenerationRequest
    """What the engine is asked for; its id names the answer everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a client is told about the watch over its answer."""

    probe_set: str
    """Digest of the probes that scored it."""
    scored: int
    """Response tokens read and scored."""
    released: int
    """Response tokens that left for the client."""
    released_unscored: int
    """Those of them that left before their score was in; 0 under release rule `scored`."""
    decision: str
    """The policy's last word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that was scored to its end and is on record. Its text is already released."""

    finish_reason: FinishReason
    """"content_filter" when the monitor ended it."""
    receipt: Receipt
    """The watch over it."""
    tokens: int
    """Response tokens that were generated."""
    peaks: dict[str, float]
    """Each deciding probe's highest statistic, -inf when too few tokens were read."""
    tripped: dict[str, bool]
    """Whether each deciding probe crossed its threshold. What a challenger says is not told."""


class Ledger:
    """The books of one answer."""

    def __init__(self, order: Order, card: EngineCard) -> None:
        self.order = order
        self.card = card
        self.decision = Decision.PASS
        self.scored = 0
        self.released = 0
        self.released_unscored = 0
        self._texts: list[str] = []
        self._early: list[str] = []
        shape = (order.request.tokens_max, len(card.probes))
        self._scores = np.empty(shape, dtype=np.float32)
        self._statistics = np.empty(shape, dtype=np.float32)
        self._peaks = np.full(len(card.probes), -np.inf, dtype=np.float32)
        self._tripped = np.zeros(shape, dtype=np.bool_)
        self._deciding = np.array(card.deciding, dtype=np.bool_)

    def release_early(self, step: Step) -> str:
        """Note a token that leaves before its score, and return its text."""
        self._early.append(step.text)
        self.released += 1
        self.released_unscored += 1
        return step.text

    def release(self, step: Step) -> str:
        """Note a token that leaves after its score, and return its text.

        A token that has left early is not counted twice; its scored step brings
        text only at the end, when what was held back for a stop string comes.
        """
        if self.scored > len(self._early):
            self.released += 1
        return step.text

    def fold_in(self, step: Step) -> None:
        """Take in the next token's scores.

        Raises:
            Withheld: a score is missing, not finite, of another shape or out of order, or the
                decision passes what a deciding probe has tripped on.
        """
        at = self.scored
        if step.scores is None or step.statistics is None or step.peaks is None:
            raise Withheld(Unscored.UNSCORED_STEP)
        if step.position != at or at == len(self._scores):
            raise Withheld(Unscored.MONITOR_ERROR)
        if step.tripped is None or step.scores.shape != self._peaks.shape:
            raise Withheld(Unscored.MONITOR_ERROR)
        # One product instead of two isfinite: it is NaN or infinite when any factor is.
        if not math.isfinite(np.dot(step.scores, step.statistics)):
            raise Withheld(Unscored.MONITOR_ERROR)
        observed = self.order.request.action is Action.OBSERVE
        if step.decision is Decision.PASS and not observed and step.tripped[self._deciding].any():
            raise Withheld(Unscored.MONITOR_ERROR)
        self._scores[at] = step.scores
        self._statistics[at] = step.statistics
        self._tripped[at] = step.tripped
        self._peaks = step.peaks
        early = self._early[at] if at < len(self._early) else ""
        self._texts.append(early + step.text)
        self.scored = at + 1
        self.decision = step.decision

    @property
    def tripped_at(self) -> int | None:
        """The first token at which a deciding probe stood tripped."""
        crossed = (self._tripped[: self.scored] & self._deciding).any(axis=1)
        return int(crossed.argmax()) if crossed.any() else None

    @property
    def text(self) -> str:
        """The answer as far as it was scored."""
        return "".join(self._texts)

    def tokens(self) -> list[TokenScore]:
        """What the probes said of each token so far."""
        rows = zip(
            self._texts,
            self._scores[: self.scored].tolist(),
            self._statistics[: self.scored].tolist(),
            strict=True,
        )
        return [
            TokenScore(position=at, text=text, scores=tuple(scores), statistics=tuple(statistics))
            for at, (text, scores, statistics) in enumerate(rows)
        ]

    def flag(self, flag_id: str, created_at: datetime) -> Flag:
        """The record of the crossing that the last step brought.

        Where several deciding probes crossed in one step, the one that is
        farthest above its threshold is named.
        """
        order, card, at = self.order, self.card, self.scored - 1
        statistics = self._statistics[at]
        margins = np.where(
            self._tripped[at] & self._deciding,
            statistics - np.array(card.thresholds, np.float32),
            -np.inf,
        )
        first = int(margins.argmax())
        return Flag(
            id=flag_id,
            request_id=order.request.id,
            created_at=created_at,
            model=card.model_name,
            probe_set=card.probe_set,
            probe=card.probes[first],
            probe_version=card.versions[first],
            threshold=card.thresholds[first],
            statistic=float(statistics[first]),
            step=at,
            decision=self.decision,
            action=order.request.action,
            release_rule=self.release_rule,
            messages=order.messages,
            answer_so_far=self.text,
            probes=card.probes,
            tokens=tuple(self.tokens()),
        )

    def record(self, reason: Unscored | None) -> RequestRecord:
        """How the request ended; `reason` is None when it was scored to its end."""
        order = self.order
        return RequestRecord(
            id=order.request.id,
            created_at=order.created_at,
            model=self.card.model_name,
            route=order.route,
            probe_set=self.card.probe_set,
            action=order.request.action,
            release_rule=self.release_rule,
            outcome="unscored" if reason else "scored",
            reason=reason.value if reason else None,
            decision=self.decision,
            tripped_at=self.tripped_at,
            tokens_scored=self.scored,
            tokens_released=self.released,
            tokens_released_unscored=self.released_unscored,
            peaks=self.peaks,
            probes=self.card.probes,
            scores=self._scores[: self.scored].copy(),
        )

    def answer(self, finish_reason: FinishReason) -> Answer:
        """What the client is told at the end."""
        receipt = Receipt(
            probe_set=self.card.probe_set,
            scored=self.scored,
            released=self.released,
            released_unscored=self.released_unscored,
            decision=self.decision.word,
        )
        said = zip(self.card.probes, self.peaks.values(), self.tripped, strict=True)
        deciding = [one for one, role in zip(said, self.card.deciding, strict=True) if role]
        return Answer(
            finish_reason=finish_reason,
            receipt=receipt,
            tokens=self.scored,
            peaks={name: peak for name, peak, _ in deciding},
            tripped={name: crossed for name, _, crossed in deciding},
        )

    @property
    def peaks(self) -> dict[str, float]:
        """Each probe's highest statistic so far."""
        return dict(zip(self.card.probes, self._peaks.tolist(), strict=True))

    @property
    def release_rule(self) -> str:
        """Which rule the answer is released by."""
        return "immediate" if self.order.request.early else "scored"

    @property
    def tripped(self) -> list[bool]:
        """Whether each probe, challengers included, crossed its threshold."""
        ever = np.asarray(self._tripped[: self.scored].any(axis=0))
        return [bool(crossed) for crossed in ever.tolist()]
