"""Foreign text in a real browser: shown faithfully, and it does nothing.

Two guards hold it back, escaping and the content security policy; here each is shown to
hold alone, so that a mistake in one is not the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from service.domain import Message
from service.people.roles import PersonRole
from service.web import pages
from service.web.shown import parts_of
from service.web.visit import COOKIE
from tests.service.serving import Served
from tests.service.store.examples import flag
from tests.service.store.house import KEPT, logged_in
from tests.service.web.elsewhere import Elsewhere
from tests.service.web.hostile import PAYLOADS, payload

SETTLING_MS = 150
PRESS_ALL = """
() => {
  document.querySelectorAll('a[href^="javascript:"]').forEach(one => one.click());
  document.querySelectorAll('form[action^="http"]').forEach(one => one.submit());
}
"""


@dataclass
class Seen:
    """What a browser did while it looked at pages."""

    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    hit: bool = False
    texts: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)


def stored(house: Served, name: str, text: str) -> tuple[int, str]:
    """A case with the text everywhere, and a session of somebody who is called like it."""
    number = list(PAYLOADS).index(name) + 1
    person = f"person-{number}"
    case = house.store.commit_flag(
        flag(
            number,
            model=text,
            messages=(Message(role="user", content=text), Message(role=text[:50], content="x")),
            answer_so_far=text,
        )
    )
    if house.store.people.password_of(person) is None:
        link = house.store.invitations.join(person, PersonRole.AUDITOR, by="op")
        house.store.invitations.accept(link, name="", display_name=text[:100], password=KEPT)
    return case.id, logged_in(house.store, person)


def looked_at(browser: Any, house: Served, case: int, session: str) -> Seen:
    """Open the inbox and the case, wait, press whatever can be pressed, and tell."""
    seen = Seen()
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies(
        [{"name": COOKIE, "value": session, "url": house.url.replace("http:", "https:"),
          "secure": True, "httpOnly": True, "sameSite": "Strict"}]
    )  # fmt: skip
    page = context.new_page()
    page.on("request", lambda request: seen.asked.append(request.url))
    page.on("console", lambda message: seen.said.append(message.text))
    page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
    for path in ("/review", f"/review/cases/{case}"):
        page.goto(house.url + path)
        page.wait_for_timeout(SETTLING_MS)
        seen.hit |= page.evaluate("() => window.hit === 1")
        seen.texts = page.evaluate(
            "() => [...document.querySelectorAll('.said')].map(e => e.textContent)"
        )
        page.evaluate(PRESS_ALL)
        page.wait_for_timeout(SETTLING_MS)
        seen.hit |= page.evaluate("() => window.hit === 1")
        seen.places.append(page.url.removeprefix(house.url))
    context.close()
    return seen


@pytest.mark.parametrize("name", PAYLOADS)
def test_foreign_text_is_shown_and_does_nothing(
    browser: Any, house: Served, elsewhere: Elsewhere, name: str
) -> None:
    text = payload(name, elsewhere.url)
    case, session = stored(house, name, text)

    seen = looked_at(browser, house, case, session)

    shown = "".join(part.text for part in parts_of(text))
    assert seen.texts == [shown, "x", shown]
    assert seen.places == ["/review", f"/review/cases/{case}"]
    assert (seen.hit, seen.dialogs, seen.said, elsewhere.asked) == (False, [], [], [])
    assert all(url.startswith(f"{house.url}/review") for url in seen.asked)


@pytest.mark.parametrize("name", PAYLOADS)
def test_with_escaping_switched_off_the_policy_alone_still_holds(
    browser: Any,
    house: Served,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    text = payload(name, elsewhere.url)
    case, session = stored(house, name, text)
    unescaped = pages.environment().overlay(autoescape=False)
    monkeypatch.setattr(pages, "environment", lambda: unescaped)

    seen = looked_at(browser, house, case, session)

    assert (seen.hit, seen.dialogs, elsewhere.asked) == (False, [], [])
    assert seen.places == ["/review", f"/review/cases/{case}"]


def test_switching_escaping_off_lets_markup_in(
    browser: Any, house: Served, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the test before would show nothing of the policy."""
    text = payload("frame", elsewhere.url)
    case, session = stored(house, "frame", text)
    unescaped = pages.environment().overlay(autoescape=False)
    monkeypatch.setattr(pages, "environment", lambda: unescaped)
    monkeypatch.setattr(pages, "policy", lambda nonce: "frame-ancestors 'none'")

    seen = looked_at(browser, house, case, session)

    assert "GET /frame" in elsewhere.asked
    elsewhere.asked.clear()
    assert seen.places[0] == "/review"


@pytest.mark.parametrize("name", [name for name in PAYLOADS if name != "lone surrogates"])
def test_what_was_typed_comes_back_as_text(house: Served, elsewhere: Elsewhere, name: str) -> None:
    """A form that is refused shows again what was typed, within an attribute."""
    text = payload(name, elsewhere.url)[:200]
    headers = {"sec-fetch-site": "same-origin"}
    form = {"name": text, "password": "x"}

    response = house.client.post("/review/login", data=form, headers=headers)

    assert response.status_code in (403, 429)
    for markup in (
        "<script",
        "<img src",
        "<svg",
        "<iframe",
        "<meta http-equiv",
        "<base",
        "<form action",
    ):
        assert markup not in response.text.replace('<img src="/review/static/', "")
    assert '" autofocus onfocus' not in response.text
