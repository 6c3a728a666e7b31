"""Versions of probes on disk, immutable once published and verified before they are parsed.

`<root>/<name>/<version>/` holds one artifact: `manifest.json` with the hash of every
other file, and `manifest.sha256` with the hash of the manifest, so that not a byte is
parsed that was not hashed first. A store may be read-only and shared. Probes that ship
with the package are read through the same class, behind the store's own.

Invariant: nothing here unpickles, and nothing here opens an ONNX file.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from probes_store.decode import Undecodable
from probes_store.draft import GOLDEN, MANIFEST, MANIFEST_HASH, PROBE, Artifact, Draft
from probes_store.errors import (
    ArtifactDamaged,
    DraftRefused,
    InvalidReference,
    ProbeNotFound,
    StoreUnreadable,
    StoreUnwritable,
)
from probes_store.files import (
    Irregular,
    read_regular,
    record_of,
    require_directory,
    sync_directory,
    write_durably,
)
from probes_store.manifest import Manifest
from probes_store.ref import NAME, VERSION, Ref
from probes_store.tensors import golden_from_bytes, probe_from_bytes
from probing.probe import Role

BUILTIN = Path(__file__).parent / "builtin"
"""Probes that ship with the package, as data."""
DEFAULT_ROOT = Path("var/probes")
ALIASES = "aliases.json"
INCOMING = ".incoming-"
"""Beginning of the directories in which versions are written before they exist."""
ROLES: tuple[str, ...] = get_args(Role)


class ProbeStore:
    """All published versions under one directory, with the shipped ones behind them."""

    def __init__(self, root: Path, *, shipped: Path | None = BUILTIN) -> None:
        """Open a store; the directory need not exist until something is published."""
        self.root = Path(root)
        self._roots = (self.root,) if shipped is None else (self.root, shipped)

    def list(self) -> tuple[Ref, ...]:
        """Every published version, by name and then by number."""
        with _explained_reading(self.root):
            return tuple(sorted({ref for root in self._roots for ref in _versions(root)}))

    def resolve(self, ref: Ref) -> Ref:
        """The same reference with its version: the newest, where none is given.

        Raises:
            ProbeNotFound: no such name or version.
        """
        known = self.list()
        found = [
            one for one in known if one.name == ref.name and ref.version in (None, one.version)
        ]
        if not found:
            raise ProbeNotFound(str(ref), str(self.root), [str(one) for one in known])
        return found[-1]

    def load(self, ref: Ref) -> Artifact:
        """A version ready to serve; every file of it was hashed before any was parsed.

        Raises:
            ProbeNotFound: no such name or version.
            ArtifactDamaged: a file is edited, truncated, missing, a link, or one too many.
        """
        ref = self.resolve(ref)
        with _explained_damage(ref, self._home(ref)):
            return _decoded(_verified(_folder(self._home(ref), ref), ref), ref)

    def manifest(self, ref: Ref) -> Manifest:
        """What is known of a version, verified as in `load`."""
        return self._files(ref).manifest

    def companion(self, ref: Ref, name: str) -> bytes | None:
        """A file that the store keeps and does not parse, such as `card.md`; None if absent."""
        return self._files(ref).bytes.get(name)

    def verify(self, ref: Ref) -> Manifest:
        """Check every byte of a version, and that it parses. Raises as `load` does."""
        return self.load(ref).manifest

    def require_writable(self) -> None:
        """Find out before long work whether its result could be published.

        Raises:
            StoreUnwritable: a full disk or a directory that cannot be written.
        """
        with _explained_writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(b"whether there is room")

    def publish(self, draft: Draft) -> Ref:
        """Write a new version; it appears whole or not at all, and never changes again.

        What was written is loaded before it gets its number: a version that nobody can
        load would stay for ever.

        Raises:
            DraftRefused: the draft is not coherent, or `load` would refuse it.
            StoreUnwritable: a full disk or a read-only directory; nothing was published.
        """
        name = Ref(draft.probe.name).name
        with _explained_writing(self.root), _refused_drafts(name):
            contents = draft.contents()
            self.root.mkdir(parents=True, exist_ok=True)
            incoming = Path(tempfile.mkdtemp(prefix=INCOMING, dir=self.root))
            try:
                incoming.chmod(0o755)
                for file, data in contents.items():
                    write_durably(incoming / file, data)
                return self._settle(incoming, name, draft, contents)
            finally:
                shutil.rmtree(incoming, ignore_errors=True)

    def alias(self, role: Role) -> Ref | None:
        """The version that an empty database begins with in a role, if one is named.

        Raises:
            StoreUnreadable: the alias file is damaged.
        """
        for root in self._roots:
            named = _aliases(root).get(role)
            if named is not None:
                return named
        return None

    def set_alias(self, role: Role, ref: Ref) -> Ref:
        """Name the version that an empty database begins with; it must exist and be sound.

        Raises:
            ProbeNotFound, ArtifactDamaged: as `load`.
            StoreUnwritable: a full disk or a read-only directory; the old alias stands.
        """
        ref = self.load(ref).ref
        with _explained_writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            named = {r: str(v) for r, v in {**_aliases(self.root), role: ref}.items()}
            incoming = self.root / f"{INCOMING}aliases-{os.getpid()}"
            incoming.unlink(missing_ok=True)
            try:
                write_durably(incoming, (json.dumps(named, indent=1) + "\n").encode(), mode=0o644)
                incoming.replace(self.root / ALIASES)
            finally:
                incoming.unlink(missing_ok=True)
            sync_directory(self.root)
        return ref

    def _files(self, ref: Ref) -> _Files:
        ref = self.resolve(ref)
        with _explained_damage(ref, self._home(ref)):
            return _verified(_folder(self._home(ref), ref), ref)

    def _home(self, ref: Ref) -> Path:
        """The root that a version lies under; the store's own hides a shipped one."""
        return next(root for root in self._roots if ref in _versions(root))

    def _settle(
        self, incoming: Path, name: str, draft: Draft, contents: Mapping[str, bytes]
    ) -> Ref:
        """Give the first free number; another publisher may be doing the same."""
        home = self.root / name
        home.mkdir(exist_ok=True)
        require_directory(home)
        while True:
            taken = [ref.version or 0 for ref in self.list() if ref.name == name]
            ref = Ref(name, max(taken, default=0) + 1)
            manifest = draft.manifest(ref, contents).to_bytes()
            for file, data in {MANIFEST: manifest, MANIFEST_HASH: _hash_line(manifest)}.items():
                (incoming / file).unlink(missing_ok=True)
                write_durably(incoming / file, data)
            sync_directory(incoming)
            _decoded(_verified(incoming, ref), ref)
            try:
                incoming.rename(home / str(ref.version))
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                continue
            sync_directory(home)
            return ref


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of an artifact after every one was hashed."""

    manifest: Manifest
    bytes: dict[str, bytes]
    digest: str


def _folder(root: Path, ref: Ref) -> Path:
    """Where a version lies; neither it nor its name's directory may be a link."""
    folder = root / ref.name / str(ref.version)
    require_directory(folder.parent)
    require_directory(folder)
    return folder


def _decoded(files: _Files, ref: Ref) -> Artifact:
    """What is served, from files that were hashed."""
    golden = golden_from_bytes(files.bytes[GOLDEN], files.manifest.channels)
    return Artifact(
        ref=ref,
        probe=probe_from_bytes(files.bytes[PROBE], files.manifest),
        manifest=files.manifest,
        golden=golden,
        digest=files.digest,
    )


def _verified(folder: Path, ref: Ref) -> _Files:
    """Hash the manifest, then read it, then hash everything that it names."""
    data = read_regular(folder / MANIFEST)
    if read_regular(folder / MANIFEST_HASH) != _hash_line(data):
        raise Undecodable(f"{MANIFEST} has other bytes than {MANIFEST_HASH} says")
    manifest = Manifest.from_bytes(data)
    if (manifest.name, manifest.version) != (ref.name, ref.version):
        raise Undecodable(f"its manifest is that of {manifest.name}@{manifest.version}")
    if not {PROBE, GOLDEN} <= set(manifest.files):
        raise Undecodable(f"its manifest names no {PROBE} or no {GOLDEN}")
    there = {entry.name for entry in os.scandir(folder)}
    odd = sorted(there ^ {*manifest.files, MANIFEST, MANIFEST_HASH})
    if odd:
        how = "is not in its manifest" if odd[0] in there else "is missing"
        raise Undecodable(f"{odd[0]} {how}")
    return _Files(
        manifest,
        {name: _hashed(folder / name, manifest) for name in manifest.files},
        record_of(data).sha256,
    )


def _hashed(path: Path, manifest: Manifest) -> bytes:
    """A file's bytes, once they are those that the manifest names."""
    data, expected = read_regular(path), manifest.files[path.name]
    if len(data) != expected.bytes:
        raise Undecodable(f"{path.name} has {len(data)} bytes, {expected.bytes} were published")
    if record_of(data) != expected:
        raise Undecodable(f"{path.name} has other bytes than its manifest says")
    return data


def _hash_line(manifest: bytes) -> bytes:
    """As `sha256sum` writes it, so that a person can check by hand."""
    return f"{record_of(manifest).sha256}  {MANIFEST}\n".encode()


def _versions(root: Path) -> Iterator[Ref]:
    """Versions that lie under a root, sound or not; links are not followed."""
    if not root.is_dir():
        return
    for home in os.scandir(root):
        if NAME.fullmatch(home.name) and home.is_dir(follow_symlinks=False):
            for version in os.scandir(home):
                if VERSION.fullmatch(version.name) and not version.is_file(follow_symlinks=False):
                    yield Ref(home.name, int(version.name))


def _aliases(root: Path) -> dict[str, Ref]:
    try:
        named = json.loads(read_regular(root / ALIASES))
        if not isinstance(named, dict):
            raise TypeError("no JSON object")
        return {role: Ref.parse(named[role]) for role in ROLES if role in named}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, Irregular, ValueError, TypeError, AttributeError, InvalidReference) as error:
        raise StoreUnreadable(str(root), f"{ALIASES} is damaged ({error})") from error


@contextmanager
def _explained_damage(ref: Ref, root: Path) -> Iterator[None]:
    try:
        yield
    except (Undecodable, Irregular) as error:
        raise ArtifactDamaged(str(ref), str(root), str(error)) from error
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise ArtifactDamaged(str(ref), str(root), f"{missing} is missing") from error
    except OSError as error:
        raise StoreUnreadable(str(root), error.strerror or str(error)) from error


@contextmanager
def _refused_drafts(name: str) -> Iterator[None]:
    """Whatever keeps a draft from being written or loaded again is the draft's fault."""
    try:
        yield
    except (Undecodable, ValueError) as error:
        raise DraftRefused(name, f"it could not be loaded again ({error})") from error


@contextmanager
def _explained_reading(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnreadable(str(root), error.strerror or str(error)) from error


@contextmanager
def _explained_writing(root: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, Irregular) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreUnwritable(str(root), reason) from error
