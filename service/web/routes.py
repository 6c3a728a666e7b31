"""Every page of the review house, in one table, with who it is for."""

from __future__ import annotations

from anyio import CapacityLimiter
from starlette.responses import Response
from starlette.routing import Route

from service.people.passwords import Passwords
from service.people.person import SessionLimits
from service.people.roles import Act
from service.refusals import Refusal
from service.settings import Settings
from service.store.review import ReviewStore
from service.web.entering import Gatehouse
from service.web.entry_pages import (
    accept,
    login,
    login_form,
    logout,
    password_form,
    set_password,
    welcome_form,
)
from service.web.pages import PAGES
from service.web.queue_pages import case, inbox
from service.web.static import FOLDER, FOR_EVER, file_called
from service.web.visit import LOGIN, Desk, Door, Place, Visit, endpoint

HASHING_MAX = 2


async def static_file(visit: Visit) -> Response:
    """A style sheet or a sign."""
    found = file_called(visit.request.path_params["name"])
    if found is None:
        raise Refusal(404, "unknown_file", "there is no such file")
    headers = {"cache-control": FOR_EVER}
    return Response(found.body, media_type=found.media_type, headers=headers)


PLACES = (
    Place(LOGIN, {"GET": (Door.OPEN, login_form), "POST": (Door.OPEN, login)}),
    Place(
        f"{PAGES}/welcome/{{token}}",
        {"GET": (Door.OPEN, welcome_form), "POST": (Door.OPEN, accept)},
    ),
    Place(f"{FOLDER}/{{name}}", {"GET": (Door.OPEN, static_file)}),
    Place(f"{PAGES}/logout", {"POST": (Door.SESSION, logout)}),
    Place(
        f"{PAGES}/password",
        {"GET": (Door.SESSION, password_form), "POST": (Door.SESSION, set_password)},
    ),
    Place(PAGES, {"GET": (Act.READ_QUEUE, inbox)}),
    Place(f"{PAGES}/cases/{{case_id}}", {"GET": (Act.READ_QUEUE, case)}),
)


def review_routes(settings: Settings, store: ReviewStore) -> list[Route]:
    """A guarded route for each place."""
    limits = SessionLimits(
        idle_seconds=settings.session_idle_seconds,
        absolute_seconds=settings.session_absolute_seconds,
    )
    gatehouse = Gatehouse(store=store, passwords=Passwords(), limits=limits)
    desk = Desk(settings=settings, gatehouse=gatehouse, hashing=CapacityLimiter(HASHING_MAX))
    return [
        Route(place.path, endpoint(place, desk), methods=list(place.methods)) for place in PLACES
    ]
