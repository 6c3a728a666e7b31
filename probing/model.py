"""Load any Hugging Face causal language model and say exactly which one it is.

Weights stay raw: nothing is folded, centred or replaced, because a probe reads
coordinates. transformer_lens is used for one thing, its table of what each
architecture calls its blocks; nothing is booted, so no module is exchanged.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from probing.errors import ModelUnavailable, UnknownArchitecture, UnknownSite
from probing.prompt import Tokenizer, template_of
from probing.spec import Hook, Provenance, ReadingSpec, Site, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLED = "magpie"
"""Name of the model that ships with the package."""
BUNDLED_PATH = Path(__file__).parent / "models" / BUNDLED

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_UNHASHED = (
    "_name_or_path",
    "architectures",
    "transformers_version",
    "dtype",
    "torch_dtype",
    "_attn_implementation",
    "attn_implementation",
    "use_cache",
)
"""Configuration that says where a model lies or how it is run, not what it computes."""

_CONTEXT_NAMES = ("max_position_embeddings", "seq_length", "max_seq_len", "n_positions")
"""What configurations call the tokens of a context: most, BLOOM, MPT, GPT-2."""
HUB_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Tap:
    """The module whose input or output is a site."""

    module: nn.Module
    """Module to hook."""
    side: Literal["input", "output"]
    """Which of its ends."""


@dataclass(frozen=True, slots=True)
class SiteMap:
    """Every site of a model and where it is tapped."""

    architecture: str
    """Class name of the model."""
    taps: dict[Site, Tap]
    """In the order of the forward pass."""
    refused: dict[str, str]
    """Hooks that this architecture does not have, with the reason."""

    def all_sites(self) -> list[Site]:
        """Every site, by block and then in the order in which a pass reaches them."""
        return list(self.taps)

    def require(self, site: Site) -> Tap:
        """Where to tap a site.

        Raises:
            UnknownSite: this model has no such layer or hook; says which it has.
        """
        if site not in self.taps:
            known = [str(s) for s in self.taps]
            raise UnknownSite(str(site), known, self.refused.get(site.hook, ""))
        return self.taps[site]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model ready to be read, with its identity."""

    model: Any
    """The Hugging Face model, in evaluation mode."""
    tokenizer: Tokenizer
    """Its tokenizer."""
    spec: ReadingSpec
    """What its readings depend on."""
    provenance: Provenance
    """Where it came from."""
    sites: SiteMap
    """Where it can be read."""
    context: int
    """Tokens that prompt and answer may have together."""
    end_ids: frozenset[int]
    """Tokens that end an answer."""
    device: torch.device
    """Where the forward pass runs."""

    @property
    def n_layers(self) -> int:
        """Blocks of the model."""
        return 1 + max(site.layer for site in self.sites.taps)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.spec.d_model


def load_model(
    source: str | Path | nn.Module,
    *,
    tokenizer: Tokenizer | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    revision: str | None = None,
) -> LoadedModel:
    """Load a causal language model for reading.

    Args:
        source: "magpie", a hub name, a Hugging Face directory, or a model already in memory,
            which is itself converted to `dtype`, moved to `device` and set to evaluation.
        tokenizer: needed for a model in memory; otherwise loaded beside the model.
        dtype: precision of the forward pass, "float32", "bfloat16" or "float16".
        device: "cpu", "cuda" or "cuda:N".
        revision: hub revision.

    Raises:
        ModelUnavailable: missing or damaged files, missing weights, no tokenizer, no such device.
        UnknownArchitecture: its blocks have no names in transformer_lens' table.
    """
    if dtype not in DTYPES:
        raise ModelUnavailable(str(source), f"dtype {dtype!r} is none of {', '.join(DTYPES)}")
    in_memory = isinstance(source, nn.Module)
    name = _name_of(source)
    place = str(BUNDLED_PATH) if source == BUNDLED else str(source)
    with _explained(name), _quiet():
        if isinstance(source, nn.Module):
            model: Any = source.to(DTYPES[dtype])
        else:
            model, tokenizer = _from_files(place, DTYPES[dtype], revision, tokenizer)
        if tokenizer is None:
            raise ModelUnavailable(name, "a model in memory needs its tokenizer given as well")
        model = model.to(device).eval()
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        spec=describe(model, tokenizer, dtype),
        provenance=Provenance(
            name=name,
            path=None if in_memory else str(source),
            revision=revision,
            engine="transformers",
            attention=str(getattr(model.config, "_attn_implementation", None)),
        ),
        sites=map_sites(model),
        context=_context(name, model.config),
        end_ids=_end_ids(model, tokenizer),
        device=torch.device(device),
    )


def describe(model: Any, tokenizer: Tokenizer, dtype: str) -> ReadingSpec:
    """The reading spec of a model in memory, hashed from what it is and not from where it lay."""
    config = {k: v for k, v in model.config.to_dict().items() if k not in _UNHASHED}
    modules = [(name, type(m).__qualname__) for name, m in model.named_modules()]
    return ReadingSpec(
        weights=_weights_digest(model),
        config=digest_of(json.loads(json.dumps(config, default=str))),
        modules=digest_of(modules),
        tokenizer=_tokenizer_digest(tokenizer),
        template=hashlib.sha256(template_of(tokenizer).encode()).hexdigest(),
        dtype=dtype,
        d_model=model.get_input_embeddings().weight.shape[1],
    )


def map_sites(model: Any) -> SiteMap:
    """Name every site of a model by transformer_lens' table of architectures.

    Gemma-2 and its like pass a sublayer's output through a second norm before adding
    it: what is added to the stream is the site. Parallel blocks have no `resid_mid`.

    Raises:
        UnknownArchitecture: the table does not cover it, or names modules that are not there.
    """
    architecture = type(model).__name__
    names, parallel = _block_names(model, architecture)
    ends, refused = _ends(names, parallel)
    taps: dict[Site, Tap] = {}
    try:
        for layer, block in enumerate(model.get_submodule(names["blocks"])):
            for hook, (module, side) in ends.items():
                taps[Site(layer, hook)] = Tap(block.get_submodule(module), side)
    except AttributeError as error:
        raise UnknownArchitecture(architecture, str(error)) from error
    return SiteMap(architecture, taps, refused)


def _ends(
    names: dict[str, str], parallel: bool
) -> tuple[dict[Hook, tuple[str, Literal["input", "output"]]], dict[str, str]]:
    """Module and end within a block for each hook, and the hooks it does not have."""
    ends: dict[Hook, tuple[str | None, Literal["input", "output"]]] = {
        "hook_resid_pre": ("", "input"),
        "hook_attn_out": (names.get("ln1_post", names.get("attn")), "output"),
        "hook_resid_mid": (None if parallel else names.get("ln2"), "input"),
        "hook_mlp_out": (names.get("ln2_post", names.get("mlp")), "output"),
        "hook_resid_post": ("", "output"),
    }
    why = "attention and MLP run in parallel" if parallel else "its architecture names no module"
    found = {hook: (module, side) for hook, (module, side) in ends.items() if module is not None}
    return found, {hook: why for hook in ends if hook not in found}


def _block_names(model: Any, architecture: str) -> tuple[dict[str, str], bool]:
    """Module paths of the blocks and of what is inside one, and whether blocks are parallel."""
    from transformer_lens.factories.architecture_adapter_factory import (
        ArchitectureAdapterFactory,
    )
    from transformer_lens.model_bridge.sources._bridge_builder import (
        build_bridge_config_from_hf,
    )

    try:
        config = build_bridge_config_from_hf(model.config, architecture, architecture, model.dtype)
        adapter = ArchitectureAdapterFactory.select_architecture_adapter(config)
    except (ValueError, KeyError, AttributeError) as error:
        raise UnknownArchitecture(architecture, str(error).splitlines()[0]) from error
    blocks = adapter.component_mapping["blocks"]
    names = {key: part.name for key, part in blocks.submodules.items() if part.name}
    return {**names, "blocks": blocks.name}, bool(config.parallel_attn_mlp)


def _from_files(
    place: str, dtype: torch.dtype, revision: str | None, tokenizer: Tokenizer | None
) -> tuple[Any, Tokenizer]:
    """The model and its tokenizer from a directory or the cache, or else from the hub.

    What the cache holds is taken as it is, so that a loaded model does not change and no
    network is waited for; the hub is asked once, before its own client would ask for 30 s.
    """
    if Path(place).is_dir():
        return _read(place, dtype, revision, tokenizer, local=True)
    try:
        return _read(place, dtype, revision, tokenizer, local=True)
    except OSError:
        _require_on_hub(place, revision)
        return _read(place, dtype, revision, tokenizer, local=False)


def _require_on_hub(place: str, revision: str | None) -> None:
    """Ask the hub for a model's configuration, once and with little patience."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        url = hf_hub_url(place, "config.json", revision=revision)
        get_hf_file_metadata(url, timeout=HUB_TIMEOUT_SECONDS)
    except Exception as error:  # its client's errors have no ancestor of their own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ModelUnavailable(
            place, f"no such directory, not in the local cache, and not from the hub ({reason})"
        ) from error


def _read(
    place: str,
    dtype: torch.dtype,
    revision: str | None,
    tokenizer: Tokenizer | None,
    *,
    local: bool,
) -> tuple[Any, Tokenizer]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, report = AutoModelForCausalLM.from_pretrained(
        place, dtype=dtype, revision=revision, output_loading_info=True, local_files_only=local
    )
    absent = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    if absent:
        raise ModelUnavailable(
            place, f"{len(absent)} tensors are missing or misshapen, the first is {absent[0]}"
        )
    if tokenizer is None:
        tokenizer = AutoTokenizer.from_pretrained(place, revision=revision, local_files_only=local)
    return model, tokenizer


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Whatever the libraries raise while loading becomes one sentence."""
    from safetensors import SafetensorError

    try:
        yield
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        AssertionError,
        SafetensorError,
    ) as error:  # torch asserts that it was built for the device
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelUnavailable(name, lines[0].rstrip(".")) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own progress bar: a few seconds of loading need none."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _name_of(source: str | Path | nn.Module) -> str:
    if isinstance(source, nn.Module):
        return str(getattr(source, "name_or_path", "")) or type(source).__name__
    return Path(source).name if Path(source).is_dir() else str(source)


def _weights_digest(model: Any) -> str:
    """Hash of each tensor by itself, in threads, then of the sorted list of them."""

    def one(item: tuple[str, torch.Tensor]) -> list[str]:
        name, tensor = item
        data = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data
        facts = [name, str(list(tensor.shape)), str(tensor.dtype)]
        return [*facts, hashlib.sha256(data).hexdigest()]

    tensors = sorted(model.state_dict().items())
    with ThreadPoolExecutor(4) as pool:
        return digest_of(list(pool.map(one, tensors)))


def _tokenizer_digest(tokenizer: Tokenizer) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return digest_of([tokenizer.get_vocab(), str(tokenizer.special_tokens_map)])
    state = json.loads(backend.to_str())
    state.pop("truncation"), state.pop("padding")  # set by callers as they go, not by the model
    return digest_of(state)


def _context(name: str, config: Any) -> int:
    """Tokens that the configuration promises; older ones call it otherwise.

    Raises:
        ModelUnavailable: none of the names is there, so nobody knows when a text is too long.
    """
    text = config.get_text_config()
    for key in _CONTEXT_NAMES:
        tokens = getattr(text, key, None)
        if isinstance(tokens, int) and tokens > 0:
            return tokens
    reason = f"its configuration has none of {', '.join(_CONTEXT_NAMES)}; add one to config.json"
    raise ModelUnavailable(name, reason)


def _end_ids(model: Any, tokenizer: Tokenizer) -> frozenset[int]:
    generation = getattr(model, "generation_config", None)
    found: set[int] = set()
    for source in (generation, model.config, tokenizer):
        ids = getattr(source, "eos_token_id", None)
        if ids is not None:
            found.update(ids if isinstance(ids, list) else [ids])
    return frozenset(found)
