"""A drawing made fit to stand inside a page: a tree in, safe markup out."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from markupsafe import Markup

INK, QUIET, PAPER = "#010101", "#020202", "#030303"
"""Placeholder colours of text, of axes, and of the page."""
SERIES = tuple(f"#0{number}0a0a" for number in range(1, 7))
"""Placeholder colours of lines."""
COLOURS = {
    INK: "var(--ink)",
    QUIET: "var(--quiet)",
    PAPER: "var(--paper)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)},
}
"""What the style sheet calls them."""

_PLACEHOLDER = re.compile("|".join(COLOURS))
_REFERENCE = re.compile(r"#([\w-]+)")
_REFERRING = ("href", "clip-path")
_LEFT_OUT = ("metadata", "style")
"""Elements that would date the drawing, or style the page around it."""


def inline(root: ElementTree.Element, label: str) -> Markup:
    """The drawing as one element of a page.

    Args:
        root: what matplotlib wrote, parsed; it is changed.
        label: what it shows, for those who do not see it.
    """
    for element in root.iter():
        element.tag = _local(element.tag)
        for part in [part for part in element if _local(part.tag) in _LEFT_OUT]:
            element.remove(part)
        attributes = {_local(key): value for key, value in element.attrib.items()}
        if "style" in attributes:
            attributes["style"] = _PLACEHOLDER.sub(_colour, attributes["style"])
        element.attrib.clear()
        element.attrib.update(attributes)
    _keep_needed_ids(root)
    root.set("role", "img")
    root.set("aria-label", label)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _keep_needed_ids(root: ElementTree.Element) -> None:
    """Leave only the ids that something refers to: several drawings share a page."""
    needed = {
        name
        for element in root.iter()
        for key in _REFERRING
        for name in _REFERENCE.findall(element.get(key, ""))
    }
    for element in root.iter():
        if element.get("id") not in needed:
            element.attrib.pop("id", None)


def _colour(found: re.Match[str]) -> str:
    return COLOURS[found.group()]


def _local(name: str) -> str:
    return name.rpartition("}")[2]
