"""What can go wrong between a text and a decision, each with its next step.

Every error here says what was expected, what was found and what to do. Data
stands in fields; there is no HTTP and no markup. `code` is a short stable word
that metrics and clients may depend on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class ProbingError(Exception):
    """Something in the probing core refused to go on."""

    code = "probing_error"


class ModelUnavailable(ProbingError):
    """A model could not be loaded: the place is missing, or its files are damaged."""

    code = "model_unavailable"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(
            f"cannot load model {source!r}: {reason}; "
            "expected a Hugging Face directory with config.json, weights and a tokenizer, "
            "a hub name that is in the local cache, or 'magpie' for the bundled one"
        )
        self.source, self.reason = source, reason


class UnknownArchitecture(ProbingError):
    """The naming table has no entry for a model's architecture."""

    code = "unknown_architecture"

    def __init__(self, architecture: str, reason: str) -> None:
        super().__init__(
            f"cannot name the blocks of a {architecture}: {reason}; "
            "use an architecture that transformer_lens supports"
        )
        self.architecture, self.reason = architecture, reason


class UnknownSite(ProbingError):
    """A site was asked for that this model does not have."""

    code = "unknown_site"

    def __init__(self, site: str, known: Iterable[str], reason: str = "") -> None:
        known = tuple(known)
        why = f" ({reason})" if reason else ""
        super().__init__(f"no site {site!r} in this model{why}; it has {_shortened(known)}")
        self.site, self.known = site, known


class SiteDidNotFire(ProbingError):
    """A forward pass ran and a site gave no reading, or gave more than one."""

    code = "site_did_not_fire"

    def __init__(self, site: str, times: int) -> None:
        super().__init__(
            f"site {site} fired {times} times in one forward pass where once was expected; "
            "the model's code takes another path than its architecture says, so refuse its scores"
        )
        self.site, self.times = site, times


class ReadingShapeMismatch(ProbingError):
    """A site gave readings of another shape than a step has."""

    code = "reading_shape_mismatch"

    def __init__(self, site: str, expected: tuple[int, ...], found: tuple[int, ...]) -> None:
        super().__init__(
            f"site {site} gave readings of shape {list(found)} where {list(expected)} was "
            "expected, one token of every stream; scores would be some other token's"
        )
        self.site, self.expected, self.found = site, expected, found


class SitesDoNotAdd(ProbingError):
    """What the sublayers put out is not what enters the residual stream.

    A reading taken there would have the right shape and another meaning.
    """

    code = "sites_do_not_add"

    def __init__(self, architecture: str, layer: int, difference: float) -> None:
        super().__init__(
            f"in block {layer} of this {architecture}, resid_pre + attn_out + mlp_out differs "
            f"from resid_post by {difference:.1%}; "
            "read hook_resid_pre or hook_resid_post on this model"
        )
        self.architecture, self.layer, self.difference = architecture, layer, difference


class LeftPaddedWithoutPositions(ProbingError):
    """A left-padded batch came without position ids.

    The model would count positions from the padding on and every reading would
    be another one than alone, with the right shape and no error.
    """

    code = "left_padded_without_positions"

    def __init__(self, row: int) -> None:
        super().__init__(
            f"row {row} is padded on the left and the batch has no position ids; "
            "pass position_ids that start at 0 with each row's first real token"
        )
        self.row = row


class ReadingMismatch(ProbingError):
    """A probe was offered readings that it was not trained on.

    Scoring them would give a number with no meaning, so we refuse instead of
    warning. Retrain the probe, or serve the model that it was trained on.
    """

    code = "reading_mismatch"

    def __init__(self, probe: str, trained_on: str, offered: str) -> None:
        super().__init__(
            f"probe {probe!r} was trained on readings {trained_on}, "
            f"but was offered {offered}; retrain it or serve the model it knows"
        )
        self.probe, self.trained_on, self.offered = probe, trained_on, offered


class GoldenMismatch(ProbingError):
    """Replaying a probe's golden sequences did not give its golden scores."""

    code = "golden_mismatch"

    def __init__(self, probe: str, difference: float, tolerance: float) -> None:
        super().__init__(
            f"probe {probe!r} scores its golden sequences off by {difference:.2e}, "
            f"more than the {tolerance:.0e} its manifest allows; "
            "this engine reads other numbers than training did, so do not serve with it"
        )
        self.probe, self.difference, self.tolerance = probe, difference, tolerance


class NonFiniteScore(ProbingError):
    """A score is NaN or infinite. `nan >= threshold` is False, so it would let a text through."""

    code = "non_finite_score"

    def __init__(self, rows: Sequence[int], probes: Sequence[str]) -> None:
        super().__init__(
            f"non-finite scores in streams {list(rows)} from probes {list(probes)}; "
            "nothing of these streams may be released: check the model's weights and precision"
        )
        self.rows, self.probes = tuple(rows), tuple(probes)


class ScoreShapeMismatch(ProbingError):
    """Scores came in another shape than the probe set has."""

    code = "score_shape_mismatch"

    def __init__(self, expected: tuple[int, ...], found: tuple[int, ...]) -> None:
        super().__init__(
            f"expected scores of shape {list(expected)}, found {list(found)}; "
            "the bank and the monitor must be built from the same probe set"
        )
        self.expected, self.found = expected, found


class DuplicateProbe(ProbingError):
    """Two probes of a set would be told apart by nothing, so one would hide what the other says."""

    code = "duplicate_probe"

    def __init__(self, names: Sequence[str]) -> None:
        twice = sorted({name for name in names if list(names).count(name) > 1})
        super().__init__(
            f"{_shortened(twice)} stands in the probe set more than once; "
            "give each role a version of its own"
        )
        self.names = names


class PromptTooLong(ProbingError):
    """A prompt leaves no room for an answer in the model's context."""

    code = "prompt_too_long"

    def __init__(self, tokens: int, context: int) -> None:
        super().__init__(
            f"the prompt has {tokens} tokens and the model's context holds {context}; "
            "shorten the prompt so that at least one token can be answered"
        )
        self.tokens, self.context = tokens, context


class TemplateError(ProbingError):
    """A chat template cannot express these messages."""

    code = "template_error"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the model's chat template refuses these messages: {reason}; "
            "check the roles and their order"
        )
        self.reason = reason


class InvalidSpecification(ProbingError):
    """A short text that names a site, span, aggregator or action cannot be read."""

    code = "invalid_specification"

    def __init__(self, what: str, found: str, expected: str) -> None:
        super().__init__(f"cannot read {what} {found!r}; expected {expected}")
        self.what, self.found, self.expected = what, found, expected


class TooFewNegatives(ProbingError):
    """There are too few benign samples to set a threshold at the asked rate."""

    code = "too_few_negatives"

    def __init__(self, found: int, needed: int, fpr: float) -> None:
        super().__init__(
            f"{found} benign samples cannot support a false-positive rate of {fpr:g}; "
            f"at least {needed} are needed: add benign samples or ask for a higher rate"
        )
        self.found, self.needed, self.fpr = found, needed, fpr


def _shortened(names: Sequence[str]) -> str:
    if len(names) <= 6:
        return ", ".join(names)
    return f"{', '.join(names[:3])}, ... {', '.join(names[-2:])} ({len(names)} in all)"
