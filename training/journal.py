"""What an interrupted comparison has found so far, so that the next run goes on from there.

A file of JSON lines beside the readings, one line a unit of work, removed when all is done:
what it holds is never older than the run that was cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

Json = dict[str, Any]


class Journal:
    """Results by unit of work."""

    def __init__(self, path: Path) -> None:
        """Nothing is written before the first result.

        Args:
            path: named after all that the results depend on.
        """
        self._path = path

    def read(self) -> dict[str, list[Json]]:
        """Results of the units that were done; lines that were cut off are not among them."""
        try:
            lines = self._path.read_text().splitlines()
        except FileNotFoundError:
            return {}
        found = {}
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            found[entry["unit"]] = entry["results"]
        return found

    def add(self, unit: str, results: Sequence[Json]) -> None:
        """Put down what a unit of work gave."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"unit": unit, "results": list(results)}) + "\n"
        with self._path.open("a+b") as file:
            file.write((b"\n" if _is_cut_off(file) else b"") + line.encode())

    def done(self) -> None:
        """Forget everything: the whole is written elsewhere."""
        self._path.unlink(missing_ok=True)


def _is_cut_off(file: BinaryIO) -> bool:
    """Whether the last line was not written to its end, so that what follows would join it."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
