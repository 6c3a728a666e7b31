"""Why training refuses, each with its next step."""

from __future__ import annotations

from collections.abc import Sequence

from probing.errors import ProbingError

PROBLEMS_SHOWN = 5
"""Faults of a data set that are told at once."""


class TrainingError(ProbingError):
    """Training refused to go on."""

    code = "training_error"


class DatasetUnreadable(TrainingError):
    """A data set is missing or cannot be opened."""

    code = "dataset_unreadable"

    def __init__(self, name: str, reason: str, known: Sequence[str] = ()) -> None:
        bundled = f", or a bundled set ({', '.join(known)})" if known else ""
        super().__init__(
            f"cannot read data set {name!r}: {reason}; expected a file of JSON lines{bundled}"
        )
        self.name, self.reason = name, reason


class DatasetInvalid(TrainingError):
    """Lines of a data set cannot be used; none of it is."""

    code = "dataset_invalid"

    def __init__(self, problems: Sequence[str]) -> None:
        shown = "; ".join(problems[:PROBLEMS_SHOWN])
        more = len(problems) - PROBLEMS_SHOWN
        rest = f"; and {more} more" if more > 0 else ""
        super().__init__(f"{shown}{rest}: correct these lines, nothing was read")
        self.problems = tuple(problems)


class SituationLeak(TrainingError):
    """A situation stands on both sides of a split.

    The same story told twice is recognised, not judged: published figures of this
    kind were 8 points of AUROC too high.
    """

    code = "situation_leak"

    def __init__(self, problems: Sequence[str]) -> None:
        shown = "; ".join(problems[:PROBLEMS_SHOWN])
        more = len(problems) - PROBLEMS_SHOWN
        rest = f"; and {more} more" if more > 0 else ""
        super().__init__(f"{shown}{rest}: keep each situation on one side of the split")
        self.problems = tuple(problems)


class EmptyClass(TrainingError):
    """A set that must hold both classes holds one."""

    code = "empty_class"

    def __init__(self, name: str, honest: int, misbehaving: int) -> None:
        super().__init__(
            f"data set {name!r} has {honest} honest and {misbehaving} misbehaving examples "
            "where both are needed; add examples of the class that is missing"
        )
        self.name, self.honest, self.misbehaving = name, honest, misbehaving


class TooFewSituations(TrainingError):
    """A class stands in fewer situations, or families, than parts to deal them into."""

    code = "too_few_situations"

    def __init__(self, name: str, label: str, what: str, found: int, needed: int) -> None:
        instead = ", or deal --by-situation" if what == "families" else ""
        super().__init__(
            f"data set {name!r} has {found} {what} with {label} examples to deal into {needed} "
            f"parts; add {what}, or ask for fewer parts with --folds{instead}"
        )
        self.name, self.label, self.what, self.found = name, label, what, found
        self.needed = needed


class TooFewExamples(TrainingError):
    """A class has too few examples for the sequences that every artifact carries."""

    code = "too_few_examples"

    def __init__(self, name: str, label: str, found: int, needed: int) -> None:
        super().__init__(
            f"data set {name!r} has {found} {label} examples to fit on, and {needed} are needed "
            "for the golden readings that travel with a probe; add examples"
        )
        self.name, self.label, self.found, self.needed = name, label, found, needed


class AnswersTooShort(TrainingError):
    """Nearly all honest answers end before the probe may trip, so no threshold is found."""

    code = "answers_too_short"

    def __init__(self, tokens_min: int, able: int, found: int, fpr: float) -> None:
        super().__init__(
            f"only {able} of {found} honest answers have the {tokens_min} tokens from which the "
            f"probe may trip, so any threshold keeps a rate of {fpr:g}; "
            "calibrate on longer answers, or lower --tokens-min"
        )
        self.tokens_min, self.able, self.found, self.fpr = tokens_min, able, found, fpr


class OptionWithoutEffect(TrainingError):
    """An option was given beside others that leave it nothing to do."""

    code = "option_without_effect"

    def __init__(self, option: str, where: str) -> None:
        super().__init__(f"{option} has no effect {where}; leave it out")
        self.option, self.where = option, where


class TextTooLong(TrainingError):
    """An exchange does not fit into the model's context, so its end would never be read."""

    code = "text_too_long"

    def __init__(self, where: str, tokens: int, context: int) -> None:
        super().__init__(
            f"{where}: {tokens} tokens, and the model's context holds {context}; "
            "shorten the exchange or leave it out"
        )
        self.where, self.tokens, self.context = where, tokens, context


class NothingToRead(TrainingError):
    """An exchange has no token in its answer."""

    code = "nothing_to_read"

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}: its answer has no tokens for this model; leave it out")
        self.where = where


class CacheTooLarge(TrainingError):
    """The readings do not fit on the disk; found before reading begins."""

    code = "cache_too_large"

    def __init__(self, folder: str, needed: int, free: int) -> None:
        super().__init__(
            f"the readings need {needed / 1e6:,.0f} MB and {folder} has {free / 1e6:,.0f} MB free; "
            "free space, choose another disk with --cache, or read fewer layers or texts"
        )
        self.folder, self.needed, self.free = folder, needed, free


class NonFiniteReading(TrainingError):
    """A reading is NaN or infinite, so nothing can be fitted on it."""

    code = "non_finite_reading"

    def __init__(self, where: str, site: str) -> None:
        super().__init__(
            f"{where}: the reading at {site} is not finite; "
            "check the model's weights, or read it in another precision"
        )
        self.where, self.site = where, site


class NothingToCompare(TrainingError):
    """The asked sites, strengths or aggregators leave no candidate."""

    code = "nothing_to_compare"

    def __init__(self, reason: str) -> None:
        super().__init__(f"there is nothing to compare: {reason}")
        self.reason = reason


class ExportsDisagree(TrainingError):
    """Two forms of the same probe give different scores."""

    code = "exports_disagree"

    def __init__(self, form: str, difference: float, tolerance: float) -> None:
        super().__init__(
            f"the {form} form scores held-out readings off by {difference:.3e} from scikit-learn, "
            f"more than {tolerance:.3e}, so nothing is published; check versions by constraints.txt"
        )
        self.form, self.difference, self.tolerance = form, difference, tolerance


class ExternalData(TrainingError):
    """An ONNX file refers to tensors outside itself, which could be any file of the machine."""

    code = "external_data"

    def __init__(self, tensor: str) -> None:
        super().__init__(
            f"ONNX tensor {tensor!r} lies outside its file; export it with its data inside"
        )
        self.tensor = tensor


class RecipeUnknown(TrainingError):
    """A published version does not say how it was fitted, so nothing like it can be fitted."""

    code = "recipe_unknown"

    def __init__(self, ref: str) -> None:
        super().__init__(
            f"{ref} has no evaluation.json that says which C it was fitted with; "
            "publish it anew with `probewatch train`"
        )
        self.ref = ref


class NoChampion(TrainingError):
    """The store names no version that decides."""

    code = "no_champion"

    def __init__(self, root: str) -> None:
        super().__init__(
            f"{root} names no champion; give --probe NAME@VERSION, or train one with --promote"
        )
        self.root = root


class OtherData(TrainingError):
    """A probe would be judged with data whose fitting part is not the one it was fitted on.

    Nobody could say then what it has seen: a test answer might be among them.
    """

    code = "other_data"

    def __init__(self, ref: str, fitted_on: list[str], offered: str) -> None:
        super().__init__(
            f"{ref} was fitted on {', '.join(fitted_on)} and is offered {offered}, whose bytes "
            "differ; give the same --data, --calibration-data and --seed as its training had"
        )
        self.ref, self.fitted_on, self.offered = ref, fitted_on, offered
