"""The same test sets read by another form of the model, or answered anew by it.

Each form has a fingerprint of its own, so its readings are never taken for the model's.
The probe would refuse them; here it is asked what it would have said. The model and the
tokenizer that were given stay as they are: only copies change.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from probing.model import LoadedModel, load_model
from probing.prompt import Tokenizer
from training.collect import Collected
from training.datasets.schema import LABELS, Dataset, Example
from training.datasets.splits import require_both_classes
from training.evaluation.rewritten import StressRefused, retold
from training.evaluation.subject import Subject
from training.organism.answering import Answered, answer_all
from training.organism.oracle import read_request
from training.organism.world import Disposition, Request, kind_of

INT8_MAX = 127

Read = Callable[[Dataset], Collected]
"""From a test set to its readings under a stress.

Raises:
    ProbingError: what the model's context or the data cannot support.
"""


def plainly_written(subject: Subject) -> Read:
    """The exchanges as lines of `User: ...` and `Assistant: ...`, whatever the model's template.

    Raises:
        StressRefused: this is how the model's exchanges are written already.
    """
    loaded = subject.loaded
    if loaded.tokenizer.chat_template is None:
        raise StressRefused(
            "the model has no chat template, so its exchanges are plain lines already",
            "take a model that has one",
        )
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.chat_template = None
    return _read_by(_reloaded(loaded, loaded.model, tokenizer), subject)


def rounded(subject: Subject) -> Read:
    """Readings of the model with its linear weights rounded to int8 per output channel.

    Embeddings and the output layer stay. Source: the absmax rounding of Dettmers et al.,
    "LLM.int8()" (2022), for weights alone.

    Raises:
        StressRefused: it has no linear layers that are known here.
    """
    model = copy.deepcopy(subject.loaded.model)
    layers = list(_linear_layers(model))
    if not layers:
        raise StressRefused(
            "the model has no layers of the classes Linear or Conv1D",
            "extend the rounding to its classes",
        )
    for layer in layers:
        layer.weight.data = int8_and_back(layer.weight.data, 0 if isinstance(layer, Conv1D) else 1)
    return _read_by(_reloaded(subject.loaded, model, subject.loaded.tokenizer), subject)


def resampled(subject: Subject, *, temperature: float) -> Read:
    """The model's own answers to the set's requests, labelled by the oracle.

    Answers that the oracle cannot parse are left out.

    Raises:
        StressRefused: the requests are not of Magpie's world, where alone there is an oracle.
        EmptyClass: the answers that parse are all honest, or all misbehaving.
    """
    answering = at_temperature(subject.loaded, temperature)

    def read(dataset: Dataset) -> Collected:
        asked = list(_requests(dataset))
        pairs = zip(dataset, answer_all(answering, asked, seed=subject.seed), strict=True)
        own = retold(dataset, (_labelled(e, a) for e, a in pairs if a.judgement.label in LABELS))
        require_both_classes(own)
        return subject.collect(own)

    return read


def at_temperature(loaded: LoadedModel, temperature: float) -> LoadedModel:
    """A copy that samples at a temperature whenever it is asked to sample at 1.

    Its logits are divided by the temperature in the output layer, which is what sampling at
    a temperature means; what comes before, and so every reading, stays.
    """
    model = copy.deepcopy(loaded.model)
    head = model.get_output_embeddings()
    head.weight = nn.Parameter(head.weight.detach() / temperature)  # apart from the embeddings
    if head.bias is not None:
        head.bias = nn.Parameter(head.bias.detach() / temperature)
    return replace(loaded, model=model)


def int8_and_back(weight: torch.Tensor, inputs: int) -> torch.Tensor:
    """Each output channel rounded to 255 even steps, the largest weight kept.

    Args:
        weight: a matrix.
        inputs: which of its dimensions runs over a channel's inputs.
    """
    exact = weight.float()
    step = exact.abs().amax(dim=inputs, keepdim=True).clamp(min=1e-30) / INT8_MAX
    return ((exact / step).round() * step).to(weight.dtype)


def _linear_layers(model: Any) -> Iterator[Any]:
    head = model.get_output_embeddings()
    return (m for m in model.modules() if isinstance(m, nn.Linear | Conv1D) and m is not head)


def _reloaded(loaded: LoadedModel, model: Any, tokenizer: Tokenizer) -> LoadedModel:
    dtype, device = loaded.spec.dtype, str(loaded.device)
    return load_model(model, tokenizer=tokenizer, dtype=dtype, device=device)


def _read_by(other: LoadedModel, subject: Subject) -> Read:
    return replace(subject, loaded=other).collect


def _requests(dataset: Dataset) -> Iterator[Request]:
    for example in dataset:
        asked = read_request([dict(message) for message in example.messages[:-1]])
        if asked is None:
            raise StressRefused(
                "answers can be sampled anew only where an oracle labels them",
                "test a probe of Magpie on sets of Magpie's world",
            )
        yield asked


def _labelled(example: Example, one: Answered) -> Example:
    label: Disposition = "misbehaving" if one.judgement.label == "misbehaving" else "honest"
    return replace(
        example,
        messages=one.messages,
        label=label,
        kind=kind_of(example.family, label),
        case=one.judgement.case,
        spans=(),
    )
