"""Why work that is spread out, or goes over an archive, refuses."""

from __future__ import annotations

from training.errors import TrainingError


class ModelInMemory(TrainingError):
    """A model that lies nowhere on a disk cannot be loaded by a second process."""

    code = "model_in_memory"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} was made in memory, and each worker has to load a model of its own; "
            "save it and name its directory, or work in one process"
        )
        self.name = name


class ModelChanged(TrainingError):
    """A worker loaded another model than the one the work was planned with."""

    code = "model_changed"

    def __init__(self, place: str, expected: str, found: str) -> None:
        super().__init__(
            f"a worker read {place} as {found}, and the work was planned with {expected}; "
            "give every machine the same files, and let nobody change them meanwhile"
        )
        self.place, self.expected, self.found = place, expected, found


class WorkerDied(TrainingError):
    """A worker process ended before its work did, most often for want of memory."""

    code = "worker_died"

    def __init__(self, workers: int) -> None:
        super().__init__(
            f"one of {workers} workers was ended from outside, most often for want of memory; "
            "what was finished is kept: run the same command again, with fewer --processes"
        )
        self.workers = workers


class RayMissing(TrainingError):
    """Work was to go over Ray, which is not installed."""

    code = "ray_missing"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"--ray needs Ray Data, which cannot be imported here ({reason}); "
            "install it with: pip install 'probewatch[scale]', or leave --ray out"
        )
        self.reason = reason


class ArchiveUnreadable(TrainingError):
    """An archive of transcripts is missing or cannot be opened."""

    code = "archive_unreadable"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"cannot read the archive {path}: {reason}; expected a file of JSON lines, "
            "each with an id and messages"
        )
        self.path, self.reason = path, reason


class TranscriptUnusable(TrainingError):
    """A line of an archive cannot be scored."""

    code = "transcript_unusable"

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(
            f"{where}: {problem}; correct the line and go on with --resume, "
            "or count such lines and leave them out with --skip-bad"
        )
        self.where, self.problem = where, problem


class OutputExists(TrainingError):
    """The place for new scores holds a file."""

    code = "output_exists"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} exists and is left as it is; name another --out, "
            "or go on with an interrupted run with --resume"
        )
        self.path = path


class OutputOfAnother(TrainingError):
    """A file of scores does not go with this archive and probe, so nothing can be added to it."""

    code = "output_of_another"

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(
            f"{path} cannot be resumed: in its line {line}, {reason}; "
            "give the archive and the probe that it was begun with, or name another --out"
        )
        self.path, self.line, self.reason = path, line, reason
