"""The documents say what the code does now."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from probewatch import COMMANDS, Family, app
from probing.aggregators import _KINDS
from training.families.table import NAMES

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
)


def commands() -> set[str]:
    names = {name for name, entry in COMMANDS.items() if not isinstance(entry, Family)}
    for family, entry in COMMANDS.items():
        if isinstance(entry, Family):
            names |= {f"{family} {name}" for name in entry.commands}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_local_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"probewatch ([a-z]+(?: [a-z]+)?)", page.read_text())

    known = commands() | {name.split()[0] for name in commands()}
    unknown = [n for n in named if n not in known and n.split()[0] not in known]
    assert not unknown


@pytest.mark.parametrize("verb", ["setup", "demo", "serve", "test", "check", "bench"])
def test_make_alone_names_the_verb(verb: str) -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert re.search(rf"^{verb} ", listed.stdout, re.MULTILINE)


def test_the_glossary_defines_every_aggregator() -> None:
    page = (ROOT / "docs/glossary.md").read_text()

    assert all(re.search(rf"`{kind}[`:]", page) for kind in _KINDS)


def test_the_glossary_defines_every_probe_family() -> None:
    page = (ROOT / "docs/glossary.md").read_text()

    assert all(f"| `{name}` |" in page for name in NAMES)


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_command_can_be_imported_and_explains_itself(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command whose function was renamed would fail only when somebody calls it."""
    app.main(args=[*name.split(), "--help"], prog_name="probewatch", standalone_mode=False)

    assert len(capsys.readouterr().out) > 200


@pytest.mark.parametrize("words", [["nonsense"], ["train", "--fpr", "much"], ["probes", "sell"]])
def test_a_mistyped_command_line_is_told_without_a_traceback(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "probewatch", *words], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [["organism", "train", "--out"], ["demo", "--out"], ["sweep", "--out"]]
)
def test_a_place_that_cannot_be_written_is_told_before_the_work_begins(
    words: list[str], tmp_path: Path
) -> None:
    """An error after forty minutes of training would lose the model."""
    occupied = tmp_path / "a file"
    occupied.write_text("")

    done = subprocess.run(
        [sys.executable, "-m", "probewatch", *words, str(occupied / "results" / "new")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert f"{occupied}/results" in done.stderr
    assert "cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
