"""The pages as people meet them, in a real browser: from the one-time link to the logout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from service.domain import Message
from service.people.roles import PersonRole
from service.web.visit import COOKIE
from tests.service.serving import Served
from tests.service.store.examples import SECRET_TEXT, flag
from tests.service.store.house import joined, logged_in
from tests.service.web.visitor import PASSWORD
from tests.training.report.test_browser import AA, AA_LARGE, CONTRASTS

PATHS = ["/review", "/review?state=closed", "/review/cases/1", "/review/password", "/review/login"]
PATHS += ["/review/cases/999"]


@pytest.fixture(scope="module")
def peopled(house: Served) -> Served:
    """Sixty cases, and somebody of each kind."""
    for number in range(1, 61):
        said = Message(role="user", content=f"{SECRET_TEXT}, {number}")
        house.store.commit_flag(flag(number, messages=(said,)))
    return house


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def signed_in(context: Any, served: Served, role: PersonRole = PersonRole.LEAD) -> None:
    name = f"the-{role.value}"
    if served.store.people.password_of(name) is None:
        joined(served.store, name, role.value)
    context.add_cookies(
        [{"name": COOKIE, "value": logged_in(served.store, name), "secure": True,
          "url": served.url.replace("http:", "https:"), "httpOnly": True, "sameSite": "Strict"}]
    )  # fmt: skip


def test_from_the_one_time_link_to_the_logout(opened: Any, peopled: Served) -> None:
    link = peopled.store.invitations.first(by="probewatch serve")
    opened.goto(f"{peopled.url}/review/welcome/{link}")

    opened.get_by_label("Name with which").fill("ruth")
    opened.get_by_label("Display name").fill("Ruth Adeyemi")
    opened.get_by_label("Password at least").fill(PASSWORD)
    opened.get_by_label("Password again").fill(PASSWORD)
    opened.get_by_role("button", name="Begin").click()
    opened.get_by_role("heading", name="Inbox").wait_for()
    in_inbox = opened.inner_text("body")
    opened.get_by_role("link", name="60", exact=True).click()
    opened.get_by_role("heading", name="Case 60").wait_for()
    in_case = opened.inner_text("body")
    opened.get_by_role("button", name="Log out").click()
    opened.get_by_role("heading", name="Log in").wait_for()
    opened.go_back()
    opened.get_by_role("heading", name="Log in").wait_for()
    after = opened.inner_text("body")

    assert "Ruth Adeyemi" in in_inbox
    assert SECRET_TEXT not in in_inbox
    assert f"{SECRET_TEXT}, 60" in in_case
    assert "Ruth Adeyemi" not in after
    assert SECRET_TEXT not in after
    assert opened.context.cookies() == []


def test_the_login_asks_again_and_then_lets_in(opened: Any, peopled: Served) -> None:
    peopled.store.invitations.accept(
        peopled.store.invitations.join("cora", PersonRole.AUDITOR, by="op"),
        name="",
        display_name="Cora",
        password=_hash(),
    )
    opened.goto(f"{peopled.url}/review/cases/7")

    opened.get_by_label("Name").fill("cora")
    opened.get_by_label("Password").fill("not it, I am afraid")
    opened.keyboard.press("Enter")
    problem = opened.get_by_role("alert").inner_text()
    opened.get_by_label("Password").fill(PASSWORD)
    opened.keyboard.press("Enter")
    opened.get_by_role("heading", name="Case 7").wait_for()

    assert problem == "Name or password is wrong."


def test_the_inbox_is_paged_by_where_one_is_and_not_by_counting(
    opened: Any, peopled: Served
) -> None:
    """Cases that arrive meanwhile must not push some off the page unseen."""
    signed_in(opened.context, peopled)
    opened.goto(f"{peopled.url}/review")
    first = opened.locator("tbody th").all_inner_texts()
    peopled.store.commit_flag(flag(1000))

    opened.get_by_role("link", name="Older").click()
    second = opened.locator("tbody th").all_inner_texts()

    assert [int(number) for number in first + second][:60] == list(range(60, 0, -1))
    assert opened.get_by_role("link", name="Older").count() == 0


def test_the_inbox_is_narrowed_to_a_state(opened: Any, peopled: Served) -> None:
    signed_in(opened.context, peopled)
    opened.goto(f"{peopled.url}/review")

    opened.get_by_role("link", name="Closed").click()

    assert opened.get_by_text("No case is in this state.").is_visible()
    assert opened.locator(".filters [aria-current]").inner_text().startswith("Closed")


def test_the_first_key_leads_past_the_bar_to_the_page(opened: Any, peopled: Served) -> None:
    signed_in(opened.context, peopled)
    opened.goto(f"{peopled.url}/review")

    opened.keyboard.press("Tab")
    skip = opened.evaluate("document.activeElement.textContent")
    opened.keyboard.press("Enter")

    assert skip == "Skip to the page"
    assert opened.evaluate("document.activeElement.id") == "main"


def test_every_thing_that_can_be_pressed_shows_that_it_is_next(
    opened: Any, peopled: Served
) -> None:
    signed_in(opened.context, peopled)
    opened.goto(f"{peopled.url}/review/cases/1")
    faint = []
    count = opened.locator("a, button, input").count()
    for _ in range(count):
        opened.keyboard.press("Tab")
        style = opened.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.textContent, s.outlineStyle, parseFloat(s.outlineWidth)]; }"
        )
        if style[1] == "none" or style[2] < 2:
            faint.append(style)

    assert count >= 6
    assert faint == []


@pytest.mark.parametrize("path", PATHS)
def test_a_page_has_its_landmarks_and_one_heading(opened: Any, peopled: Served, path: str) -> None:
    if path != "/review/login":
        signed_in(opened.context, peopled)

    opened.goto(f"{peopled.url}{path}")

    counts = {
        what: opened.locator(what).count() for what in ("header.bar", "main", "h1", "html[lang=en]")
    }
    assert set(counts.values()) == {1}, counts
    assert opened.title().endswith(" · Probewatch")
    unnamed = opened.evaluate(
        "() => [...document.querySelectorAll('input:not([type=hidden])')]"
        ".filter(one => !one.labels.length).length"
    )
    assert unnamed == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_quiet_fits_and_can_be_read(
    browser: Any, peopled: Served, path: str, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    if path != "/review/login":
        signed_in(context, peopled)
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"{peopled.url}{path}")
    room = page.evaluate("document.documentElement.scrollWidth")
    contrasts = page.evaluate(CONTRASTS)

    context.close()
    faint = [one for one in contrasts if one[1] < (AA_LARGE if one[0] else AA)]
    said = [line for line in said if path != "/review/cases/999" or "404" not in line]
    assert said == []
    assert all(url.startswith(f"{peopled.url}/review") for url in asked)
    assert room <= width
    assert len(contrasts) > 5
    assert faint == []


def _hash() -> str:
    from service.people.passwords import Passwords

    return Passwords().hash(PASSWORD)
