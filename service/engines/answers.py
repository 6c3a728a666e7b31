"""One answer while it is being generated: what was sampled, what was read, what it says.

A token passes here twice. `sampled` turns it into text and says whether the answer
ends with it; `read`, one forward pass later, makes the step that carries its scores.
This module imports no torch.
"""

from __future__ import annotations

import numpy as np

from probing.monitor import Judgement
from probing.policy import Decision
from service.engines.detokenize import Decoder, StopFilter
from service.engines.protocol import FinishReason, GenerationRequest, Step
from service.engines.streams import LocalStream

_DRAWS = 64


class Uniforms:
    """Numbers in (0, 1] from a seed, drawn in portions because a single draw costs more."""

    def __init__(self, seed: int | None) -> None:
        """Any integer is a seed; None takes fresh entropy."""
        self._generator = np.random.default_rng(None if seed is None else seed % 2**64)
        self._drawn: list[float] = []

    def next(self) -> float:
        """The next number; never 0, so that it never points at a token of no probability."""
        if not self._drawn:
            self._drawn = (1.0 - self._generator.random(_DRAWS)).tolist()[::-1]
        return self._drawn.pop()


class Answer:
    """State of one request, from its prompt to its last step."""

    def __init__(
        self,
        request: GenerationRequest,
        stream: LocalStream,
        decoder: Decoder,
        end_ids: frozenset[int],
        context: int,
    ) -> None:
        self.request = request
        self.stream = stream
        self.uniforms = Uniforms(request.seed)
        self.token = -1
        """Sampled and not yet read."""
        self.position = -1
        """Of `token` in the answer."""
        self.closing: FinishReason | None = None
        """Set when `token` is the last: it is read once more and nothing is sampled."""
        self._decoder = decoder
        self._stops = StopFilter(request.stop)
        self._end_ids = end_ids
        self._tokens_max = min(request.tokens_max, context - len(request.prompt_ids))
        self._text = ""

    def ends_with(self, token: int) -> bool:
        """Whether this token ends the answer without being part of it."""
        return token in self._end_ids

    def sampled(self, token: int) -> None:
        """Take the next token, which is no end token."""
        self.token = token
        self.position += 1
        text, stopped = self._stops.push(self._decoder.push(token))
        self._text += text
        if stopped:
            self.closing = "stop"
        elif self.position + 1 == self._tokens_max:
            self.closing = "length"

    def early(self) -> Step:
        """The sampled token before it is read, for a request that asked for it."""
        return Step(
            position=self.position,
            token_id=self.token,
            text=self._take_text(),
            scores=None,
            statistics=None,
            peaks=None,
            decision=Decision.PASS,
        )

    def read(self, row: int, judged: Judgement, reason: FinishReason | None) -> Step:
        """The step of the token that was just read.

        Args:
            row: of this answer in `judged`.
            reason: why it is the last step, or None.
        """
        if reason is not None and self.closing != "stop":
            self._text += self._stops.push(self._decoder.flush())[0] + self._stops.flush()
        return Step(
            position=self.position,
            token_id=self.token,
            text=self._take_text(),
            scores=judged.scores[row],
            statistics=judged.statistics[row],
            peaks=judged.peaks[row],
            tripped=judged.tripped[row],
            decision=judged.decisions[row],
            finish_reason=reason,
        )

    def nothing(self, end_id: int) -> Step:
        """The only step of an answer that ended before it began."""
        return Step(
            position=0,
            token_id=end_id,
            text="",
            scores=None,
            statistics=None,
            peaks=None,
            decision=Decision.PASS,
            finish_reason="stop",
        )

    def _take_text(self) -> str:
        text, self._text = self._text, ""
        return text
