"""The rules of the house, checked on the code itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("probing", "probes_store", "training", "service", "bench")
FILES = sorted(
    [ROOT / "probewatch.py", *(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))]
)
LINES_MAX, BODY_MAX, BODY_P90_MAX, METHODS_MAX = 400, 60, 25, 12
BANNED_NAMES = {"utils", "helpers", "common", "misc", "manager"}

Function = ast.FunctionDef | ast.AsyncFunctionDef

HOMES = {
    "register_forward": ("probing/reader.py",),
    "apply_chat_template": ("probing/prompt.py",),
    "import transformer_lens": ("probing/model.py",),
    "from transformer_lens": ("probing/model.py", "bench/"),
    "from sqlalchemy": ("service/store/",),
    "import sqlalchemy": ("service/store/",),
    "os.environ": ("service/settings.py",),
    "getenv": ("service/settings.py",),
}
TORCH_FREE = (
    "probing.spec",
    "probing.errors",
    "probing.aggregators",
    "probing.channel_aggregators",
    "probing.score_aggregators",
    "probing.policy",
    "probing.monitor",
    "service.domain",
    "service.engines.protocol",
    "service.engines.scheduler",
    "service.reviewing",
    "service.store",
)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[Function]:
    return (n for n in ast.walk(tree) if isinstance(n, Function))


def body_lines(function: Function) -> int:
    """Lines from the first statement after the docstring to the end."""
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:] or body
    return (function.end_lineno or 0) - body[0].lineno + 1


def passes_on_kwargs(function: Function) -> bool:
    """Whether `**kwargs` comes in and goes out again to a call."""
    taken = function.args.kwarg
    calls = (n for n in ast.walk(function) if isinstance(n, ast.Call))
    passed = (k.value for call in calls for k in call.keywords if k.arg is None)
    return taken is not None and any(isinstance(v, ast.Name) and v.id == taken.arg for v in passed)


def public_methods(cls: ast.ClassDef) -> list[str]:
    """Methods that callers see, properties not counted."""
    return [
        f.name
        for f in cls.body
        if isinstance(f, Function)
        and f.name[0] != "_"
        and not any(isinstance(d, ast.Name) and d.id == "property" for d in f.decorator_list)
    ]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)

    assert text.count("\n") <= LINES_MAX
    assert not BANNED_NAMES & set(path.with_suffix("").relative_to(ROOT).parts)
    for function in functions(tree):
        where = f"{relative(path)}:{function.lineno} {function.name}"
        assert body_lines(function) <= BODY_MAX, where
        assert not passes_on_kwargs(function), f"{where} hides its arguments in **kwargs"
    for cls in (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)):
        assert len(public_methods(cls)) <= METHODS_MAX, f"{relative(path)} {cls.name}"


def test_nine_functions_in_ten_are_short() -> None:
    lengths = sorted(body_lines(f) for p in FILES for f in functions(ast.parse(p.read_text())))

    assert lengths[int(0.9 * len(lengths))] <= BODY_P90_MAX


@pytest.mark.parametrize("what", HOMES)
def test_each_thing_has_one_home(what: str) -> None:
    """Two places that hook, render or connect would drift apart without an error."""
    users = {relative(p) for p in FILES if what in p.read_text()}

    strangers = [user for user in users if not user.startswith(HOMES[what])]
    assert not strangers


@pytest.mark.parametrize("module", TORCH_FREE)
def test_these_modules_load_without_torch(module: str) -> None:
    done = python(f"import {module}, sys; sys.exit('torch' in sys.modules)")

    assert done.returncode == 0, done.stderr or f"{module} imports torch"


def test_importing_everything_starts_nothing_and_says_nothing() -> None:
    modules = [
        relative(p).removesuffix(".py").replace("/", ".")
        for p in FILES
        if p.name not in ("__init__.py", "__main__.py", "env.py") and "versions" not in p.parts
    ]
    done = python(
        "import threading, importlib, os, logging\n"
        "before = dict(os.environ), threading.active_count(), logging.getLogger().level\n"
        "import torch, transformers, sklearn, onnxruntime\n"
        "os_before, threads = dict(os.environ), threading.active_count()\n"
        f"[importlib.import_module(m) for m in {modules!r}]\n"
        "assert threading.active_count() == threads, threading.enumerate()\n"
        "changed = {k for k, v in os.environ.items() if os_before.get(k) != v}\n"
        "assert changed <= {'TORCHINDUCTOR_CACHE_DIR'}, changed\n"  # torch's own doing
        "assert logging.getLogger().level == before[2]\n"
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("gone", "left"),
    [("service", "training.cli"), ("training", "service.cli"), ("training", "service.app")],
)
def test_each_half_works_without_the_other(gone: str, left: str) -> None:
    done = python(f"import sys; sys.modules[{gone!r}] = None; import {left}")

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["service", "service/engines", "probing", "training"])
def test_packages_load_nothing_of_themselves(package: str) -> None:
    assert (ROOT / package / "__init__.py").read_text() == ""


def test_the_project_speaks_of_itself_alone() -> None:
    """No path of a builder's machine and no host of a package registry stands in any file."""
    words = ["/" + "work" + "/", "/" + "root" + "/", "py" + "pi.org", "file" + "://" + "/opt"]
    listed = subprocess.run(
        ["git", "grep", "-lIF", *(w for word in words for w in ("-e", word))],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip

    assert listed.stdout == ""
