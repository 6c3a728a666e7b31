"""The page as a PDF, by a browser that happens to be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from training.report.errors import NotPrinted

BROWSER = "chromium"
SECONDS_MAX = 120
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-pdf-header-footer",
)


def print_pdf(page: Path, pdf: Path) -> None:
    """Print a written page.

    Raises:
        NotPrinted: there is no chromium on the path, or it did not print.
    """
    browser = shutil.which(BROWSER)
    if browser is None:
        raise NotPrinted(str(page), f"there is no {BROWSER} on the path")
    pdf.unlink(missing_ok=True)
    # chromium refuses to sandbox itself for root; the page has no script to confine
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    command = [browser, *FLAGS, *sandbox, f"--print-to-pdf={pdf}", page.resolve().as_uri()]
    try:
        subprocess.run(command, capture_output=True, timeout=SECONDS_MAX, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotPrinted(str(page), f"{BROWSER} failed ({type(error).__name__})") from error
    if not pdf.is_file():
        raise NotPrinted(str(page), f"{BROWSER} wrote nothing")
