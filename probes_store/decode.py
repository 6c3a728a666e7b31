"""From JSON to frozen dataclasses, strictly: no field missing, unknown or of another type."""

from __future__ import annotations

import math
import types
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class Undecodable(Exception):
    """The data is not of the expected shape; says where."""


def decode(kind: type[T], data: object, where: str = "") -> T:
    """Data as `json.loads` gives it, as an instance of a dataclass.

    Fields may be dataclasses, `str`, `int`, `float`, `bool`, an optional of these,
    `tuple[X, ...]` and `dict[str, X]`.

    Raises:
        Undecodable: names the first place that does not fit.
    """
    if not isinstance(data, dict):
        raise Undecodable(f"{where or 'the whole'} is no object")
    expected = {field.name for field in fields(cast(Any, kind))}
    if set(data) != expected:
        odd = ", ".join(sorted(set(data) ^ expected))
        raise Undecodable(f"{where or 'the whole'} lacks, or has too much: {odd}")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], data[name], f"{where}{name}") for name in data})


def _value(hint: Any, data: object, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        inner = next(option for option in get_args(hint) if option is not type(None))
        return None if data is None else _value(inner, data, where)
    if origin is tuple and isinstance(data, list):
        return tuple(_value(get_args(hint)[0], item, f"{where}[]") for item in data)
    if origin is dict and isinstance(data, dict):
        return {
            key: _value(get_args(hint)[1], item, f"{where}.{key}") for key, item in data.items()
        }
    if is_dataclass(hint):
        return decode(cast(type[Any], hint), data, f"{where}.")
    if hint is float and type(data) in (int, float) and math.isfinite(cast(float, data)):
        return float(cast(float, data))
    if type(data) is not hint or hint is float:
        raise Undecodable(f"{where} should be {getattr(hint, '__name__', hint)}")
    return data
