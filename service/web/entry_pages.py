"""The pages by which somebody comes in and goes out: login, one-time link, password, logout."""

from __future__ import annotations

import math
import re
from functools import partial

from anyio.to_thread import run_sync
from starlette.responses import Response

from service.asking import in_time
from service.people.errors import LinkRefused, PasswordRefused, PeopleRefused
from service.people.passwords import PASSWORD_CHARS_MIN
from service.people.person import Invitation, Purpose
from service.refusals import Refusal
from service.web.entering import Entry, change_password, enter, welcome
from service.web.pages import PAGES, page
from service.web.visit import LOGIN, Visit, form_of, to, with_session, without_session

_OURS = re.compile(rf"{PAGES}(/cases/[0-9]{{1,18}}|/password)?")
WRONG = "Name or password is wrong."
NOT_LIKE_THIS = (
    "Your browser does not tell us where its requests come from, so it cannot log in: open this "
    "page over https (or on the machine itself), in a browser of this decade."
)
UNEQUAL = "The two passwords differ; type the same one twice."


async def login_form(visit: Visit) -> Response:
    """Ask for name and password."""
    asked_for = _next(visit.request.query_params.get("next"))
    if visit.session is not None:
        return to(asked_for or PAGES)
    return _login_page(asked_for, "", _unfit(visit), 200)


async def login(visit: Visit) -> Response:
    """Take name and password."""
    form = await form_of(visit.request)
    asked_for, name = _next(form.get("next")), form.get("name", "")
    step = partial(enter, visit.desk.gatehouse, visit.caller)
    entry = await _hashing(visit, partial(step, name=name, password=form.get("password", "")))
    if entry.token is not None:
        return with_session(to(asked_for or PAGES), entry.token)
    if entry.wait_seconds is not None:
        response = _login_page(asked_for, name, _patience(entry.wait_seconds), 429)
        response.headers["retry-after"] = str(math.ceil(entry.wait_seconds))
        return response
    return _login_page(asked_for, name, WRONG, 403)


async def welcome_form(visit: Visit) -> Response:
    """Show what a one-time link is for. Opening it uses nothing up."""
    invitation = await _invitation(visit)
    return _welcome_page(visit, invitation, {}, _unfit(visit), 200)


async def accept(visit: Visit) -> Response:
    """Take the password that somebody sets by a one-time link."""
    form = await form_of(visit.request)
    invitation = await _invitation(visit)
    if form.get("password", "") != form.get("again", ""):
        return _welcome_page(visit, invitation, form, UNEQUAL, 400)
    step = partial(
        welcome,
        visit.desk.gatehouse,
        visit.caller,
        invitation,
        token=visit.request.path_params["token"],
        name=form.get("name", ""),
        display_name=form.get("display_name", ""),
        password=form.get("password", ""),
    )
    try:
        entry = await _hashing(visit, step)
    except LinkRefused as error:
        raise _no_link(error) from None
    except PeopleRefused as error:
        return _welcome_page(visit, invitation, form, _sentence(error), 400)
    return to(LOGIN) if entry.token is None else with_session(to(PAGES), entry.token)


async def password_form(visit: Visit) -> Response:
    """Ask for the old and the new password."""
    return _password_page(visit, None, 200)


async def set_password(visit: Visit) -> Response:
    """Take the new password, and begin a new session with it."""
    form, person = await form_of(visit.request), visit.known.person
    if form.get("password", "") != form.get("again", ""):
        return _password_page(visit, UNEQUAL, 400)
    step = partial(
        change_password,
        visit.desk.gatehouse,
        visit.caller,
        names=(person.name, person.display_name),
        old=form.get("old", ""),
        new=form.get("password", ""),
    )
    try:
        entry = await _hashing(visit, step)
    except PasswordRefused as error:
        return _password_page(visit, _sentence(error), 400)
    if entry.token is not None:
        return with_session(to(PAGES), entry.token)
    if entry.wait_seconds is not None:
        return _password_page(visit, _patience(entry.wait_seconds), 429)
    return _password_page(visit, "The old password is wrong.", 403)


async def logout(visit: Visit) -> Response:
    """End the session, here and in the database."""
    token = visit.caller.session or ""
    timeout_seconds = visit.desk.settings.store_timeout_seconds
    await in_time(timeout_seconds, visit.desk.gatehouse.store.sessions.end, token)
    return without_session(to(LOGIN))


async def _hashing(visit: Visit, step: partial[Entry]) -> Entry:
    """What comes of a step that hashes a password: in a thread, and only so many at once."""
    return await run_sync(step, limiter=visit.desk.hashing)


async def _invitation(visit: Visit) -> Invitation:
    timeout_seconds = visit.desk.settings.store_timeout_seconds
    find = visit.desk.gatehouse.store.invitations.find
    found = await in_time(timeout_seconds, find, visit.request.path_params["token"])
    if found is None:
        raise _no_link(LinkRefused())
    return found


def _unfit(visit: Visit) -> str | None:
    """What to tell somebody whose form would be refused, before they have filled it in.

    Browsers tell it over TLS and on loopback, and keep our cookie exactly there.
    """
    return None if "sec-fetch-site" in visit.request.headers else NOT_LIKE_THIS


def _no_link(error: LinkRefused) -> Refusal:
    return Refusal(404, "link_refused", str(error))


def _login_page(asked_for: str | None, name: str, problem: str | None, status: int) -> Response:
    facts = {"person": None, "next": asked_for, "name": name, "problem": problem}
    return page("login", facts, status=status)


def _welcome_page(
    visit: Visit, invitation: Invitation, form: dict[str, str], problem: str | None, status: int
) -> Response:
    facts = {
        "person": None,
        "invitation": invitation,
        "is_first": invitation.purpose is Purpose.FIRST,
        "is_reset": invitation.purpose is Purpose.RESET,
        "name": form.get("name", ""),
        "display_name": form.get("display_name", ""),
        "chars_min": PASSWORD_CHARS_MIN,
        "problem": problem,
        "action": visit.request.url.path,
    }
    return page("welcome", facts, status=status)


def _password_page(visit: Visit, problem: str | None, status: int) -> Response:
    facts = {
        "person": visit.known.person,
        "chars_min": PASSWORD_CHARS_MIN,
        "problem": problem,
    }
    return page("password", facts, status=status)


def _next(given: str | None) -> str | None:
    """Where to go after the login: a page of ours, and never an address that somebody made up."""
    return given if given is not None and _OURS.fullmatch(given) else None


def _patience(wait_seconds: float) -> str:
    seconds = math.ceil(wait_seconds)
    wait = f"{seconds} seconds" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"
    return f"Too many attempts failed; wait {wait} and try again."


def _sentence(error: PeopleRefused) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
