"""Somebody who asks for pages as a browser does, without being one."""

from __future__ import annotations

from dataclasses import dataclass, field
from http.cookies import SimpleCookie

import httpx2

from service.people.passwords import Passwords
from service.people.roles import PersonRole
from service.store.review import ReviewStore
from service.web.visit import COOKIE
from tests.service.serving import Served
from tests.service.store.house import joined, logged_in

PASSWORD = "seven herons ate my umbrella"
FROM_US = {"sec-fetch-site": "same-origin"}


@dataclass
class Visitor:
    """Keeps its cookie by hand: over plain HTTP a client library sends no secure one."""

    client: httpx2.Client
    cookie: str | None = None
    headers: dict[str, str] = field(default_factory=lambda: dict(FROM_US))

    def ask(self, method: str, path: str, **form: str) -> httpx2.Response:
        """One request, redirects not followed; takes and keeps the cookie."""
        headers = dict(self.headers)
        if self.cookie is not None:
            headers["cookie"] = f"{COOKIE}={self.cookie}"
        self.client.cookies.clear()
        data = form if method == "POST" else None
        if method == "POST" and not form:
            headers["content-type"] = "application/x-www-form-urlencoded"
        response = self.client.request(method, path, headers=headers, data=data)
        for line in response.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if name == COOKIE:
                    self.cookie = morsel.value or None
        return response

    def get(self, path: str) -> httpx2.Response:
        """Ask for a page."""
        return self.ask("GET", path)

    def post(self, path: str, **form: str) -> httpx2.Response:
        """Send a form."""
        return self.ask("POST", path, **form)

    def log_in(self, name: str = "anna", password: str = PASSWORD, **more: str) -> httpx2.Response:
        """Send the form of the login page."""
        return self.post("/review/login", name=name, password=password, **more)


def visitor_as(served: Served, role: PersonRole | None) -> Visitor:
    """Somebody of that role who is logged in; a stranger for None."""
    if role is None:
        return Visitor(served.client)
    name = f"the-{role.value}"
    if served.store.people.password_of(name) is None:
        joined(served.store, name, role.value)
    return Visitor(served.client, logged_in(served.store, name))


def with_password(store: ReviewStore, name: str = "anna", role: str = "auditor") -> None:
    """Somebody who can really log in, by `PASSWORD`."""
    joined(store, name, role)
    old = store.people.password_of(name) or ""
    store.people.renew_password(name, verified=old, password=Passwords().hash(PASSWORD))
