"""What human review refuses, each with its next step.

No message here holds text of a prompt, an answer or a verdict: these errors reach logs.
"""

from __future__ import annotations

from datetime import datetime


class ReviewRefused(Exception):
    """Something was asked of a queue, a case or a verdict that cannot be."""

    code = "review_refused"


class QueueRefused(ReviewRefused):
    """A queue's settings make no sense."""

    code = "queue_refused"

    def __init__(self, field: str, expected: str, found: str) -> None:
        super().__init__(f"a queue's {field}: expected {expected}, found {found}; correct it")
        self.field, self.expected, self.found = field, expected, found


class QueueExists(ReviewRefused):
    """A queue of that name exists already."""

    code = "queue_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"a queue {name!r} exists; change it or choose another name")
        self.name = name


class UnknownQueue(ReviewRefused):
    """No queue has that name."""

    code = "unknown_queue"

    def __init__(self, name: str) -> None:
        super().__init__(f"no queue {name!r}; list the queues to see their names")
        self.name = name


class UnknownCase(ReviewRefused):
    """No case has that number."""

    code = "unknown_case"

    def __init__(self, case: int) -> None:
        super().__init__(f"no case {case}; list the cases to see their numbers")
        self.case = case


class UnknownVerdict(ReviewRefused):
    """No verdict has that number."""

    code = "unknown_verdict"

    def __init__(self, verdict: int) -> None:
        super().__init__(f"no verdict {verdict}; open its case to see its verdicts")
        self.verdict = verdict


class CaseNotFree(ReviewRefused):
    """A case cannot be given to this reviewer now."""

    code = "case_not_free"

    def __init__(self, case: int, reviewer: str, found: str, next_step: str) -> None:
        super().__init__(
            f"expected case {case} to be free for {reviewer!r}, but {found}; {next_step}"
        )
        self.case, self.reviewer = case, reviewer


class ClaimLost(ReviewRefused):
    """A claim has expired, was given back, or the case is somebody else's by now.

    Nothing of what was to be done under it was done. Whoever gets this while holding a
    draft keeps the draft: it is good again as soon as the case is claimed again.
    """

    code = "claim_lost"

    def __init__(
        self, case: int, *, holder: str | None, until: datetime | None, found: str, next_step: str
    ) -> None:
        super().__init__(
            f"expected your claim of case {case} to hold, but {found}; "
            f"nothing was changed, so {next_step}"
        )
        self.case, self.holder, self.until = case, holder, until


class DraftRefused(ReviewRefused):
    """A verdict does not keep to its queue's rubric. The claim still stands."""

    code = "draft_refused"

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"a verdict's {field}: expected {expected}; correct it and send it again")
        self.field, self.expected = field, expected


class UndoRefused(ReviewRefused):
    """A verdict cannot be taken back by this person, or not now."""

    code = "undo_refused"

    def __init__(self, verdict: int, found: str, next_step: str) -> None:
        super().__init__(f"cannot undo verdict {verdict}: {found}; {next_step}")
        self.verdict = verdict
