"""Names of probes: the only texts that become part of a path in the store."""

from __future__ import annotations

import re
from dataclasses import dataclass

from probes_store.errors import InvalidReference

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """A probe, and one of its versions or (None) its newest."""

    name: str
    """Small letters, digits, - and _; at most 63."""
    version: int | None = None
    """Counted from 1."""

    def __post_init__(self) -> None:
        whole = isinstance(self.version, int) and 0 < self.version < 10**9
        if not NAME.fullmatch(self.name) or not (self.version is None or whole):
            raise InvalidReference(f"{self.name}@{self.version}")

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Read `petty@3` or `petty`.

        Raises:
            InvalidReference: anything else, such as a path.
        """
        name, at, version = text.partition("@")
        if not NAME.fullmatch(name) or (at and not VERSION.fullmatch(version)):
            raise InvalidReference(text)
        return cls(name, int(version) if at else None)

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"
