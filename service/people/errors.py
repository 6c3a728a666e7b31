"""What is refused about people, each with its next step. No message holds a password or a link."""

from __future__ import annotations


class PeopleRefused(Exception):
    """Something was asked about a person that cannot be."""

    code = "people_refused"


class NameRefused(PeopleRefused):
    """A name that somebody could not log in with, or that nobody could read."""

    code = "name_refused"

    def __init__(self, expected: str) -> None:
        super().__init__(f"expected {expected}; choose another")
        self.expected = expected


class PasswordRefused(PeopleRefused):
    """A password that would soon be guessed. Says which rule it breaks."""

    code = "password_refused"

    def __init__(self, found: str, next_step: str) -> None:
        super().__init__(f"this password {found}; {next_step}")
        self.found = found


class PersonExists(PeopleRefused):
    """Somebody of that name is there already."""

    code = "person_exists"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is a person {name!r}; choose another name, or give them a new password with "
            f"`probewatch people reset-password {name}`"
        )
        self.name = name


class UnknownPerson(PeopleRefused):
    """Nobody of that name can log in."""

    code = "unknown_person"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"nobody called {name!r} can log in; `probewatch people list` shows who there is"
        )
        self.name = name


class LinkRefused(PeopleRefused):
    """A one-time link is unknown, used or too old. Which of them is not told."""

    code = "link_refused"

    def __init__(self) -> None:
        super().__init__(
            "this link was used, replaced or is older than a day; ask for a new one: "
            "`probewatch people invite NAME --role ROLE` makes it"
        )
