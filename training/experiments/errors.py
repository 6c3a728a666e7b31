"""Why an experiment refuses."""

from __future__ import annotations

from training.errors import TrainingError


class WordsNotAligned(TrainingError):
    """The tokens of an answer do not spell its words, so no reading belongs to a word."""

    code = "words_not_aligned"

    def __init__(self, where: str, spelled: str, text: str) -> None:
        super().__init__(
            f"{where}: the answer is {text!r} and its tokens spell {spelled!r}; "
            "choose a model whose tokenizer keeps the letters of English apart"
        )
        self.where, self.spelled, self.text = where, spelled, text


class TooFewGroups(TrainingError):
    """Words stand in fewer sentences, or families, than parts to deal them into."""

    code = "too_few_groups"

    def __init__(self, found: int, needed: int) -> None:
        super().__init__(
            f"the tagged words stand in {found} groups, and {needed} parts were asked for; "
            "ask for fewer with --folds"
        )
        self.found, self.needed = found, needed


class PairMissing(TrainingError):
    """One of two pairs of sets was named, and the other was not."""

    code = "pair_missing"

    def __init__(self, given: str, missing: str) -> None:
        super().__init__(f"{given} names one pair of sets; name the other with {missing}")
        self.given, self.missing = given, missing
