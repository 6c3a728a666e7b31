"""What the figures must not know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import service.figures

MODULES = sorted(
    f"service.figures.{path.stem}"
    for path in Path(service.figures.__file__).parent.glob("*.py")
    if path.stem != "__init__"
)


def test_the_figures_load_without_torch_sql_and_http() -> None:
    """They are worked out wherever the counts are: in a page, a report, a notebook."""
    code = (
        "import sys, importlib\n"
        f"[importlib.import_module(one) for one in {MODULES!r}]\n"
        "known = {'torch', 'sqlalchemy', 'fastapi', 'prometheus_client'} & set(sys.modules)\n"
        "sys.exit(', '.join(known) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
