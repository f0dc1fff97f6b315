"""Checkpoints: a folder of them. The newest few are kept, and the best; the newest intact one is found again."""

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from minirnn.train.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from minirnn.train.lock import FolderLock
from minirnn.whole_file import remove_passing

__all__ = ["Checkpoints", "DamagedCheckpointWarning", "Found"]

_NAME = re.compile(r"(step|best)-(\d{9,})\.safetensors")


class DamagedCheckpointWarning(UserWarning):
    """A checkpoint that cannot be read was passed over for an older one."""


class Found(NamedTuple):
    """A checkpoint that was read."""

    path: Path
    step: int
    state: dict[str, Any]


class Checkpoints:
    """A folder of checkpoints, for `fit(..., checkpoints=Checkpoints("runs/1/checkpoints", every=500))`.

    every: steps between two saves, None for the last step alone; keep: how many of the newest to keep, None for all of
    them; best: whether to keep the one with the lowest validation metric beside them.

    The folder is made when it is first written to. ValueError: every or keep is not a positive integer.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, every: int | None = None, keep: int | None = 2, best: bool = True
    ):
        for name, value in {"every": every, "keep": keep}.items():
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"Checkpoints: {name}={value!r} came, a positive integer or None was expected")
        self.folder = Path(folder)
        self.every, self.keep, self.best = every, keep, best

    def lock(self) -> FolderLock:
        """Makes the folder; within the block no one else writes to it, and leftovers of killed writers are gone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return _Cleaning(self.folder)

    def paths(self, kind: str | None = None) -> list[Path]:
        """The files, the newest first; kind: "step", "best" or both."""
        named = [(m, path) for path in self.folder.glob("*.safetensors") if (m := _NAME.fullmatch(path.name))]
        chosen = [(int(m[2]), m[1], path) for m, path in named if kind in (None, m[1])]
        return [path for _, _, path in sorted(chosen, reverse=True)]

    def save(self, step: int, state: Mapping[str, Any], kind: str = "step") -> Path:
        """Write a checkpoint; then, and only then, remove those of its kind that are too many."""
        path = self.folder / f"{kind}-{step:09d}.safetensors"
        write_checkpoint(path, state)
        keep = 1 if kind == "best" else self.keep
        if keep is not None:
            others = [other for other in self.paths(kind) if other != path]
            older = [other for other in others if _step(other) < step]  # names are longer from step 10^9 on
            for old in [*older[keep - 1 :], *(other for other in others if other not in older)]:
                old.unlink(missing_ok=True)  # a later one was damaged: training went back behind it
        return path

    def latest(self) -> Found | None:
        """The newest checkpoint that is intact, or None where the folder holds none at all.

        A damaged one is passed over with a DamagedCheckpointWarning that names it and why. CheckpointError: there are
        some, and all are damaged.
        """
        problems = []
        for path in self.paths():
            try:
                found = self._read(path)
            except (CheckpointError, OSError) as error:
                problems.append(str(error))
                continue
            for problem in problems:
                warnings.warn(f"{problem}; going back to {path.name}", DamagedCheckpointWarning, stacklevel=2)
            return found
        if problems:
            raise CheckpointError(f"no checkpoint in {self.folder} is intact: {'; '.join(problems)}")
        return None

    def best_one(self) -> Found | None:
        """The checkpoint with the lowest validation metric, or None. CheckpointError: it is damaged."""
        paths = self.paths("best")
        return self._read(paths[0]) if paths else None

    def _read(self, path: Path) -> Found:
        if path.is_symlink() and path.resolve().parent != self.folder.resolve():
            raise CheckpointError(f"{path}: a link that leads out of the folder")
        return Found(path, _step(path), read_checkpoint(path))


def _step(path: Path) -> int:
    return int(path.stem.partition("-")[2])


class _Cleaning(FolderLock):
    def __enter__(self) -> "_Cleaning":
        super().__enter__()
        remove_passing(self.path.parent)
        return self
