"""Files that pages need, under names that change with their content.

A browser may keep such a file for a year and never asks again; a new version of it has
another name. The list is closed: a name that is not on it is not looked for on the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = "/review/static"
FOR_EVER = "public, max-age=31536000, immutable"
_TYPES = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_HERE = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is served."""

    body: bytes
    """Its content."""
    media_type: str
    """Of which type it is."""


def address_of_file(name: str) -> str:
    """Where a file of this package is served, with its digest in the name."""
    return f"{FOLDER}/{_served_names()[name]}"


def file_called(served: str) -> StaticFile | None:
    """The file that is served under a name; None for any other name."""
    return _files().get(served)


@cache
def _files() -> Mapping[str, StaticFile]:
    names = _served_names()
    return {
        served: StaticFile((_HERE / name).read_bytes(), _TYPES[Path(name).suffix])
        for name, served in names.items()
    }


@cache
def _served_names() -> Mapping[str, str]:
    found = {}
    for path in sorted(_HERE.iterdir()):
        if path.suffix in _TYPES:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            found[path.name] = f"{path.stem}.{digest}{path.suffix}"
    return found
