"""A model as what another process needs in order to load the same one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from probing.model import LoadedModel, load_model
from training.scale.errors import ModelChanged, ModelInMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Where a model lies and which one it is."""

    path: str
    """What `load_model` is given: a whole path, or a name."""
    revision: str | None
    """Hub revision, where one was asked for."""
    dtype: str
    """Precision of the forward pass."""
    device: str
    """Where it runs."""
    fingerprint: str
    """Of its readings."""

    @classmethod
    def of(cls, loaded: LoadedModel) -> ModelSource:
        """Where a loaded model came from.

        Raises:
            ModelInMemory: from nowhere that another process could load it from.
        """
        path = loaded.provenance.path
        if path is None:
            raise ModelInMemory(loaded.provenance.name)
        return cls(
            path=str(Path(path).absolute()) if Path(path).is_dir() else path,
            revision=loaded.provenance.revision,
            dtype=loaded.spec.dtype,
            device=str(loaded.device),
            fingerprint=loaded.spec.fingerprint,
        )

    def load(self) -> LoadedModel:
        """The model, once more.

        Raises:
            ModelUnavailable: it does not lie there.
            ModelChanged: its readings would be others.
        """
        loaded = load_model(self.path, dtype=self.dtype, device=self.device, revision=self.revision)
        found = loaded.spec.fingerprint
        if found != self.fingerprint:
            raise ModelChanged(self.path, self.fingerprint, found)
        return loaded
