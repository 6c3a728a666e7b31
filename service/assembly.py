"""The real parts, made from settings: store, model, probes, engine, application.

Everything that could make the watch a sham is refused here, before a port opens:
no probe deployed, an artifact that is not as published, a probe that was trained
on other readings, golden scores that this engine does not reproduce.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from probes_store.draft import Artifact
from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.golden import check_golden
from probing.model import LoadedModel, load_model
from probing.probe import ProbeSet
from probing.reader import Reader
from service.app import create_app
from service.auth import require_keys
from service.domain import Role
from service.engines.local import LocalEngine
from service.engines.protocol import Engine
from service.engines.scheduler import Limits
from service.settings import CannotStart, Settings, make_home
from service.store.opening import open_store
from service.store.review import ReviewStore

log = logging.getLogger(__name__)

ROLES: tuple[Role, ...] = ("champion", "challenger")


class NothingDeployed(CannotStart):
    """There is no champion, so nothing would decide and every answer would look watched."""

    def __init__(self, root: str) -> None:
        super().__init__(
            f"no probe is deployed as champion, and the store {root} names none to begin with; "
            "train one with `probewatch train`, then `probewatch probes promote NAME@VERSION`"
        )
        self.root = root


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A service that is ready to start."""

    app: FastAPI
    """Serves; starts the engine if nobody has."""
    engine: Engine
    """Not started."""
    store: ReviewStore
    """Open; to be closed by whoever asked for the assembly."""


def build(settings: Settings) -> Assembly:
    """Make all parts from settings and join them.

    Raises:
        StoreError: the database is out of reach.
        NoKeys: keys are demanded, and there is none.
        NothingDeployed: no champion.
        ProbingError: a model, artifact or probe that cannot or must not be served.
    """
    make_home(settings)
    url = settings.database_url.get_secret_value()
    store = open_store(url, timeout_seconds=settings.store_timeout_seconds)
    try:
        require_keys(settings, store.keys)
        artifacts = deployed(ProbeStore(settings.probe_store), store)
        loaded = load_model(settings.model, dtype=settings.dtype, device=settings.device)
        engine = watched_engine(settings, loaded, artifacts)
        app = create_app(settings, engine, store, CollectorRegistry())
    except BaseException:
        store.close()
        raise
    return Assembly(app=app, engine=engine, store=store)


def deployed(probes: ProbeStore, store: ReviewStore) -> dict[Role, Artifact]:
    """The verified artifact in each role; the store's aliases fill roles that never had one.

    Raises:
        NothingDeployed: no champion.
        ProbeStoreError: what is deployed is missing or damaged.
    """
    found: dict[Role, Artifact] = {}
    for role in ROLES:
        name = store.deployments.deployed(role) or _seeded(probes, store, role)
        if name is not None:
            found[role] = probes.load(Ref.parse(name))
    if "champion" not in found:
        raise NothingDeployed(str(probes.root))
    return found


def _seeded(probes: ProbeStore, store: ReviewStore, role: Role) -> str | None:
    alias = probes.alias(role)
    if alias is None:
        return None
    ref = str(probes.resolve(alias))
    why = "the probe store's alias, as the database had none"
    return store.deployments.seed(role, ref, by="probewatch serve", reason=why).ref


def watched_engine(
    settings: Settings, loaded: LoadedModel, artifacts: dict[Role, Artifact]
) -> LocalEngine:
    """An engine whose scores were compared with those that training saw.

    Raises:
        ReadingMismatch: a probe was trained on other readings than this model gives.
        GoldenMismatch: this engine reads other numbers than training did.
    """
    probe_set = ProbeSet(tuple(a.probe.as_role(role) for role, a in artifacts.items()))
    probe_set.require(loaded.spec)
    for artifact in artifacts.values():
        with Reader(loaded, artifact.probe.sites) as reader:
            tolerance = artifact.manifest.golden_tolerance
            difference = check_golden(reader, artifact.probe, artifact.golden, tolerance)
        log.info("%s reproduces its golden scores within %.1e", artifact.ref, difference)
    limits = Limits(rows_max=settings.streams_max, waiting_max=settings.queue_requests_max)
    return LocalEngine(loaded, probe_set, model_name=settings.served_name, limits=limits)
