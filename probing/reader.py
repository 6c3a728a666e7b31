"""Read a model's residual stream during its forward passes.

A `Reader` is the only owner of hooks. Within its `with` block every forward pass
hands over the readings of the asked sites; afterwards no hook is left. A site that
did not fire, or fired twice, is an error and never a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from probing.errors import LeftPaddedWithoutPositions, SiteDidNotFire, SitesDoNotAdd
from probing.model import LoadedModel, Tap
from probing.prompt import Rendered
from probing.spec import Hook, Site

Readings = dict[Site, Float[Tensor, "rows tokens d_model"]]

_ADDITIVITY = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.01}
"""Largest accepted difference, as a share of the largest reading, by precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What one forward pass reads."""

    input_ids: Int[Tensor, "rows tokens"]
    """Token ids; rows of unequal length are padded."""
    attention_mask: Int[Tensor, "rows seen"] | None = None
    """1 for real tokens, over what is cached and what is new; None where nothing is padded
    on the left."""
    position_ids: Int[Tensor, "rows tokens"] | None = None
    """Position of each new token in its own row; needed when a row is padded on the left."""
    cache: Any = None
    """A transformers Cache that this pass reads and extends, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one forward pass gave."""

    logits: Float[Tensor, "rows kept vocabulary"]
    """Next-token logits; of the last token only where that was asked for."""
    readings: Readings
    """One tensor per site, for the new tokens."""


class _AllRead(Exception):
    """Ends a pass of which nothing more is wanted."""


class Reader:
    """Owns the hooks on one model; a context manager."""

    def __init__(self, loaded: LoadedModel, sites: Sequence[Site]) -> None:
        """Prepare to read `sites`; nothing is hooked before the `with` block.

        Raises:
            UnknownSite: the model does not have one of them.
        """
        self.loaded = loaded
        self.sites = tuple(sites)
        self._taps = {site: loaded.sites.require(site) for site in self.sites}
        self._fired: dict[Site, list[Tensor]] = {site: [] for site in self.sites}
        self._handles: list[RemovableHandle] = []
        self._watched_whole = self._ends_early = False

    def __enter__(self) -> Self:
        """Attach the hooks.

        Raises:
            SitesDoNotAdd: a sublayer's output was asked for and is not what enters the stream.
        """
        for site, tap in self._taps.items():
            self._handles.append(_attach(tap, partial(self._take, site)))
        try:
            self._require_additive()
        except BaseException:
            self._detach()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._detach()

    @torch.inference_mode()
    def forward(self, inputs: Inputs, *, last_logits_only: bool = False) -> Pass:
        """Run one forward pass and hand over its readings.

        Raises:
            LeftPaddedWithoutPositions: see `Inputs.position_ids`.
            SiteDidNotFire: a hook gave no reading, or more than one.
        """
        _require_positions(inputs)
        for fired in self._fired.values():
            fired.clear()
        output = self.loaded.model(
            input_ids=inputs.input_ids,
            attention_mask=inputs.attention_mask,
            position_ids=inputs.position_ids,
            past_key_values=inputs.cache,
            use_cache=inputs.cache is not None,
            logits_to_keep=1 if last_logits_only else 0,
        )
        return Pass(logits=output.logits, readings=self._collect())

    @torch.inference_mode()
    def read(self, input_ids: Int[Tensor, "rows tokens"]) -> Readings:
        """Readings alone: a pass ends as soon as every site was read, which saves all behind it.

        The first runs to its end, where a site that fires twice shows.

        Raises:
            SiteDidNotFire: a hook gave no reading, or more than one.
        """
        for fired in self._fired.values():
            fired.clear()
        self._ends_early = self._watched_whole
        try:
            self.loaded.model(input_ids=input_ids, use_cache=False, logits_to_keep=1)
        except _AllRead:
            pass
        finally:
            self._ends_early = False
        readings = self._collect()
        self._watched_whole = True
        return readings

    def _take(self, site: Site, reading: Tensor) -> None:
        self._fired[site].append(reading)
        if self._ends_early and all(self._fired.values()):
            raise _AllRead

    def _collect(self) -> Readings:
        readings = {}
        for site, fired in self._fired.items():
            if len(fired) != 1:
                raise SiteDidNotFire(str(site), len(fired))
            readings[site] = fired.pop()
        return readings

    def _detach(self) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _require_additive(self) -> None:
        """Sublayer sites must be what is added to the stream; tried on a few tokens."""
        sublayers = {s.layer for s in self.sites if s.hook not in _STREAM}
        if not sublayers:
            return
        layer = min(sublayers)
        probe = Reader(self.loaded, [Site(layer, hook) for hook in (*_STREAM, *_ADDED)])
        with torch.inference_mode():
            probe._handles = [_attach(t, probe._fired[s].append) for s, t in probe._taps.items()]
            try:
                ids = torch.arange(1, 6, device=self.loaded.device)[None]
                readings = probe.forward(Inputs(input_ids=ids)).readings
            finally:
                probe._detach()
        pre, post, attention, mlp = (readings[s].float() for s in probe.sites)
        difference = (pre + attention + mlp - post).abs().max() / post.abs().max()
        if difference > _ADDITIVITY[self.loaded.model.dtype]:
            raise SitesDoNotAdd(self.loaded.sites.architecture, layer, float(difference))


_STREAM: tuple[Hook, ...] = ("hook_resid_pre", "hook_resid_post")
_ADDED: tuple[Hook, ...] = ("hook_attn_out", "hook_mlp_out")


def read_exchanges(
    reader: Reader, exchanges: Sequence[Rendered], *, tokens_max: int = 4096
) -> Iterator[tuple[int, dict[Site, Float[Tensor, "tokens d_model"]]]]:
    """Read finished exchanges, neighbours in length together.

    Rows are padded on the right and need no mask: under causal attention nothing looks there.

    Args:
        exchanges: tokens of each; all of its readings are handed on, prompt and answer.
        tokens_max: padded tokens of one forward pass.

    Yields:
        Index into `exchanges` and one tensor per site, in no particular order of indices.
    """
    order = sorted(range(len(exchanges)), key=lambda i: -len(exchanges[i].token_ids))
    while order:
        longest = len(exchanges[order[0]].token_ids)
        rows = max(1, tokens_max // longest)
        batch, order = order[:rows], order[rows:]
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        for row, index in enumerate(batch):
            ids[row, : len(exchanges[index].token_ids)] = torch.tensor(exchanges[index].token_ids)
        readings = reader.read(ids.to(reader.loaded.device))
        for row, index in enumerate(batch):
            length = len(exchanges[index].token_ids)
            yield index, {site: tensor[row, :length] for site, tensor in readings.items()}


def _require_positions(inputs: Inputs) -> None:
    """In a left-padded row without position ids every token would be read at a wrong place."""
    if inputs.attention_mask is None or inputs.position_ids is not None:
        return
    padded = (inputs.attention_mask[:, 0] == 0).nonzero()
    if len(padded):
        raise LeftPaddedWithoutPositions(int(padded[0]))


def _attach(tap: Tap, take: Callable[[Tensor], None]) -> RemovableHandle:
    def at_input(module: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        take(args[0] if args else named["hidden_states"])

    def at_output(module: Any, args: tuple[Any, ...], output: Any) -> None:
        take(output[0] if isinstance(output, tuple) else output)

    if tap.side == "input":
        return tap.module.register_forward_pre_hook(at_input, with_kwargs=True)
    return tap.module.register_forward_hook(at_output)
