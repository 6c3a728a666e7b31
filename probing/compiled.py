"""Loops that run at every step, compiled by numba.

Between two forward passes the caches are cold and each call into numpy costs more than
its arithmetic; a compiled loop is one call. Machine code is kept beside the source, as
bytecode is, or not at all where nobody may write; docs/decisions/0007.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def compiled(
    function: Callable[Arguments, Result], *, any_order: bool = False
) -> Callable[Arguments, Result]:
    """Compile a function of arrays at its first call.

    Its loops may take and give numpy arrays and nothing else of Python.

    Args:
        any_order: sums may be taken in any order, several terms at a time; NaN and infinity
            keep their meaning.

    Raises:
        TypeError: it calls something of another file.
    """
    _require_whole(function)
    liberties = {"reassoc", "contract"} if any_order else set()
    try:
        made = numba.njit(cache=True, fastmath=liberties)(function)
    except RuntimeError:  # no folder for the machine code can be written
        made = numba.njit(fastmath=liberties)(function)
    return cast(Callable[Arguments, Result], made)


def _require_whole(function: Callable[..., object]) -> None:
    """What is kept is made anew when its own file changes, and would not see another's change."""
    for name in function.__code__.co_names:
        used = function.__globals__.get(name)
        if used is np or not (callable(used) or isinstance(used, ModuleType)):
            continue
        if getattr(used, "__module__", None) != function.__module__:
            raise TypeError(f"{function.__name__} uses {name} of another file: move it here")
