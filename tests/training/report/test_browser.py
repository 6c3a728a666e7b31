"""The page in a real browser, offline: quiet, wide or narrow, by day and by night."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.report.examples import evaluation_json, written
from tests.training.report.pages import page
from training.report.cli import report

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
AA, AA_LARGE = 4.5, 3.0
"""Least contrast of text, and of large text and of what is drawn (WCAG 2.2, 1.4.3 and 1.4.11)."""
CONTRASTS = """
() => {
  const parse = text => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = rgb => {
    const [r, g, b] = rgb.map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const { rgb, a } = parse(getComputedStyle(at).backgroundColor);
      if (a === 1) return rgb;
      if (a > 0) throw new Error("half a background");
    }
    throw new Error("no background");
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const style = getComputedStyle(element);
    const drawn = element.closest("svg");
    if (own) {
      const colour = parse(drawn ? style.fill : style.color);
      const large = parseFloat(style.fontSize) >= 24;
      found.push([large, contrast(colour.rgb, behind(element)), element.textContent.trim()]);
    } else if (drawn && element.tagName === "path" && style.stroke.startsWith("rgb")
               && !element.closest("defs") && parseFloat(style.strokeOpacity) === 1) {
      found.push([true, contrast(parse(style.stroke).rgb, behind(element)), style.stroke]);
    }
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium through Playwright."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright for Python is not installed"
    )
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the example, with an older one beside it."""
    folder = tmp_path_factory.mktemp("page")
    path = folder / "report.html"
    path.write_text(
        page(folder, evaluation_json(model={"name": "magpie"}), since=evaluation_json())
    )
    return path.as_uri()


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_quiet_and_fits(browser: Any, address: str, width: int, scheme: str) -> None:
    """A page that asks the network, fails in the console or runs out to the right."""
    context = browser.new_context(
        offline=True, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    opened, said, asked = context.new_page(), [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))

    opened.goto(address)

    room = opened.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert said == []
    assert asked == [address]
    assert room <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_and_line_can_be_told_from_what_is_behind_it(
    browser: Any, address: str, scheme: str
) -> None:
    context = browser.new_context(offline=True, color_scheme=scheme)
    opened = context.new_page()
    opened.goto(address)

    found = opened.evaluate(CONTRASTS)

    context.close()
    faint = [one for one in found if one[1] < (AA_LARGE if one[0] else AA)]
    assert len(found) > 300
    assert faint == []


def test_findings_that_are_folded_on_the_screen_are_printed(browser: Any, tmp_path: Path) -> None:
    """Paper cannot be unfolded: the page would be printed without them."""
    evaluation = evaluation_json()
    evaluation["sections"]["delay"]["findings"] = [f"finding {n}" for n in range(13)]
    path = tmp_path / "report.html"
    path.write_text(page(tmp_path, evaluation))
    opened = browser.new_page()
    opened.goto(path.as_uri())
    last = opened.get_by_text("finding 12", exact=True)

    on_screen = last.is_visible()
    opened.emulate_media(media="print")
    on_paper = last.is_visible()

    opened.close()
    assert (on_screen, on_paper) == (False, True)


def test_the_page_is_printed_on_a4(browser: Any, tmp_path: Path) -> None:
    report(written(tmp_path), tmp_path, pdf=True)

    printed = (tmp_path / "report.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert b"/MediaBox [0 0 594.95996 841.91998]" in printed or b"/MediaBox [0 0 595" in printed
