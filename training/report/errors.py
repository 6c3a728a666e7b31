"""Why a report is not written, each with its next step."""

from __future__ import annotations

from training.errors import TrainingError


class EvaluationUnreadable(TrainingError):
    """A file that should hold an evaluation holds something else."""

    code = "evaluation_unreadable"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"cannot read the evaluation {path}: {reason}; "
            "expected the JSON file that `probewatch evaluate` writes"
        )
        self.path, self.reason = path, reason


class RuleUnreadable(TrainingError):
    """A rule's file does not say what is asked of a probe."""

    code = "rule_unreadable"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"cannot read the rule {path}: {reason}; "
            "correct it after the pattern of training/report/rule.toml"
        )
        self.path, self.reason = path, reason


class NotPrinted(TrainingError):
    """The page is written and its PDF is not."""

    code = "not_printed"

    def __init__(self, page: str, reason: str) -> None:
        super().__init__(
            f"no PDF was made: {reason}; the page is in {page}, "
            "print it from any browser or install chromium"
        )
        self.page, self.reason = page, reason
