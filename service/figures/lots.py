"""Which unflagged outputs a human sees: drawn by lot, at a stated chance for each.

What the probes miss can only be known by looking at outputs that they let pass, and
most of those are harmless. So the outputs are parted into strata by how near they came
to the threshold, and those that came near are drawn more often. The chance is recorded
with the lot, and `service.figures.misses` weighs by it.

The lot is a hash of a secret and the request's id: gateways that share the secret
agree on it without speaking, it is the same when asked again, and nobody who lacks the
secret can choose an id, or an answer, that is passed over.
"""

from __future__ import annotations

import bisect
import hashlib
import hmac
import itertools
import math
from dataclasses import dataclass, field

from probing.errors import InvalidSpecification

SECRET_BYTES_MIN = 16
_PURPOSE = b"probewatch review lot 1\0"
"""Keeps these lots apart from whatever else is derived from the same secret."""
_STEPS = 2**53
"""Every multiple of 1 / 2^53 in [0, 1) is a float, so none is rounded up to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Outputs whose margin lies between two edges."""

    name: str
    """What it is called in cases and reports, such as "near"."""
    margin_min: float
    """Its lower edge: the lowest statistic less the threshold that belongs to it."""
    inclusion_probability: float
    """The chance of each of its outputs to be drawn, in (0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """What was drawn for one output. Recorded for all of them, drawn or not."""

    stratum: str
    """The stratum that it fell into."""
    inclusion_probability: float
    """The chance that it had."""
    drawn: bool
    """Whether a human shall see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingPlan:
    """The strata of all margins, and the secret behind the lots."""

    strata: tuple[Stratum, ...]
    """From the lowest margin up; the first begins at minus infinity."""
    secret: bytes = field(repr=False)
    """Shared by all gateways and shown to nobody; at least 16 bytes."""

    def __post_init__(self) -> None:
        if len(self.secret) < SECRET_BYTES_MIN:
            found, expected = f"of {len(self.secret)} bytes", f"at least {SECRET_BYTES_MIN}"
            raise InvalidSpecification("sampling secret", found, f"{expected}, or lots are guessed")
        edges = [stratum.margin_min for stratum in self.strata]
        rising = all(low < high for low, high in itertools.pairwise(edges))
        if not edges or edges[0] != -math.inf or not rising:
            expected = "rising edges from -inf up, so that each margin has one stratum"
            raise InvalidSpecification("strata", str(edges), expected)
        if len({stratum.name for stratum in self.strata}) < len(self.strata):
            names = ", ".join(stratum.name for stratum in self.strata)
            raise InvalidSpecification("names of strata", names, "a different one for each")
        for stratum in self.strata:
            if not 0 < stratum.inclusion_probability <= 1:
                found = f"{stratum.inclusion_probability:g} of {stratum.name}"
                expected = "more than 0 and at most 1: misses where nobody looks have no bound"
                raise InvalidSpecification("inclusion probability", found, expected)

    def stratum_of(self, margin: float) -> Stratum:
        """The stratum of an output by its highest statistic less the threshold.

        Args:
            margin: below 0 for what was not flagged; minus infinity where too few tokens
                were read for a statistic. Of several probes, the highest margin counts.

        Raises:
            InvalidSpecification: the margin is NaN or plus infinity.
        """
        if not margin < math.inf:
            raise InvalidSpecification("margin", f"{margin:g}", "a number, or -inf")
        edges = [stratum.margin_min for stratum in self.strata]
        return self.strata[bisect.bisect_right(edges, margin) - 1]

    def lot(self, request_id: str, margin: float) -> Lot:
        """The lot of one output.

        The same secret and id always draw the same number, and an output is drawn when it
        is below its probability: who raises a probability keeps all that were drawn before.

        Args:
            request_id: the id that the gateway gave the request, not one that a client chose:
                a client that reuses an id gets the same lot again.
            margin: as in `stratum_of`.

        Raises:
            InvalidSpecification: the margin is NaN or plus infinity.
        """
        stratum = self.stratum_of(margin)
        return Lot(
            stratum=stratum.name,
            inclusion_probability=stratum.inclusion_probability,
            drawn=_number(self.secret, request_id) < stratum.inclusion_probability,
        )


def _number(secret: bytes, request_id: str) -> float:
    """A number in [0, 1) that looks uniform to whoever lacks the secret."""
    message = _PURPOSE + request_id.encode("utf-8", "surrogatepass")
    digest = hmac.new(secret, message, hashlib.sha256).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / _STEPS
