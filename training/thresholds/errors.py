"""Why thresholds and calibrations are refused, each with its next step."""

from __future__ import annotations

from collections.abc import Sequence

from training.errors import PROBLEMS_SHOWN, TrainingError


class TooFewMisbehaving(TrainingError):
    """There are too few misbehaving answers for a threshold that lets the asked share through."""

    code = "too_few_misbehaving"

    def __init__(self, found: int, needed: int, recall: float) -> None:
        super().__init__(
            f"{found} misbehaving answers cannot support a recall of {recall:g}; at least {needed} "
            "are needed: add misbehaving answers or ask for a lower recall"
        )
        self.found, self.needed, self.recall = found, needed, recall


class RecallOutOfReach(TrainingError):
    """So many misbehaving answers end before the probe may trip that no threshold suffices."""

    code = "recall_out_of_reach"

    def __init__(self, able: int, found: int, recall: float) -> None:
        super().__init__(
            f"only {able} of {found} misbehaving answers are long enough to trip, so no threshold "
            f"has a recall of {recall:g}; ask for a lower recall, or train with fewer --tokens-min"
        )
        self.able, self.found, self.recall = able, found, recall


class TrafficInvalid(TrainingError):
    """Lines of observed traffic cannot be used; none of it is."""

    code = "traffic_invalid"

    def __init__(self, problems: Sequence[str]) -> None:
        shown = "; ".join(problems[:PROBLEMS_SHOWN])
        more = len(problems) - PROBLEMS_SHOWN
        rest = f"; and {more} more" if more > 0 else ""
        super().__init__(f"{shown}{rest}: correct these lines, no threshold was set")
        self.problems = tuple(problems)


class OtherProbeSet(TrainingError):
    """Recorded peaks come from another probe set than the version that is calibrated.

    Peaks of another version are numbers on another scale, and look the same.
    """

    code = "other_probe_set"

    def __init__(self, where: str, ref: str, found: str, expected: str) -> None:
        super().__init__(
            f"{where}: these peaks come from probe set {found}, and {ref} alone is {expected}; "
            "name the version that was in service, or give transcripts instead of peaks"
        )
        self.where, self.ref, self.found, self.expected = where, ref, found, expected


class PeaksCutShort(TrainingError):
    """Answers were halted before the point that decides on which side of the threshold they are."""

    code = "peaks_cut_short"

    def __init__(self, halted: int, found: int, threshold: float) -> None:
        super().__init__(
            f"{halted} of {found} answers were halted below the threshold of {threshold:.4f} that "
            "the rest gives, so where they would have peaked is not known; "
            "record traffic under the policy observe or flag, or give transcripts"
        )
        self.halted, self.found, self.threshold = halted, found, threshold
