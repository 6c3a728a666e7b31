"""Why a probe store refuses, each with its next step."""

from __future__ import annotations

from collections.abc import Iterable

from probing.errors import ProbingError


class ProbeStoreError(ProbingError):
    """The probe store refused to go on."""

    code = "probe_store_error"


class InvalidReference(ProbeStoreError):
    """A text does not name a probe, and must never become part of a path."""

    code = "invalid_probe_reference"

    def __init__(self, found: str) -> None:
        super().__init__(
            f"{found!r} does not name a probe; expected NAME or NAME@VERSION, with a name of up to "
            "63 small letters, digits, - and _, for example misbehaviour@3"
        )
        self.found = found


class ProbeNotFound(ProbeStoreError):
    """No such probe or version in the store."""

    code = "probe_not_found"

    def __init__(self, ref: str, root: str, known: Iterable[str]) -> None:
        known = tuple(known)
        there = f"it has {', '.join(known[-6:])}" if known else "it is empty"
        super().__init__(
            f"no probe {ref} in the store {root}; {there}; "
            "publish one with `probewatch train --store`, or name another with --store"
        )
        self.ref, self.root, self.known = ref, root, known


class ArtifactDamaged(ProbeStoreError):
    """An artifact's files are not, byte for byte, what was published.

    Nothing of it is parsed: an edited threshold or weight would decide with the
    name of a version that was measured otherwise.
    """

    code = "artifact_damaged"

    def __init__(self, ref: str, root: str, reason: str) -> None:
        super().__init__(
            f"probe {ref} in {root} is not what was published: {reason}; "
            "restore its directory from a copy, or train and publish it again"
        )
        self.ref, self.root, self.reason = ref, root, reason


class StoreUnwritable(ProbeStoreError):
    """A probe could not be published; the store is as it was before."""

    code = "probe_store_unwritable"

    def __init__(self, root: str, reason: str) -> None:
        super().__init__(
            f"cannot write to the probe store {root}: {reason}; nothing was published: "
            "free space or choose a writable directory with --store"
        )
        self.root, self.reason = root, reason


class StoreUnreadable(ProbeStoreError):
    """The store's directory or alias file cannot be read."""

    code = "probe_store_unreadable"

    def __init__(self, root: str, reason: str) -> None:
        super().__init__(
            f"cannot read the probe store {root}: {reason}; "
            "check the path and its permissions, or choose another with --store"
        )
        self.root, self.reason = root, reason


class DraftRefused(ProbeStoreError):
    """What was offered for publishing is not a complete, coherent artifact."""

    code = "draft_refused"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"probe {name!r} is not published: {reason}; correct it and publish again")
        self.name, self.reason = name, reason
