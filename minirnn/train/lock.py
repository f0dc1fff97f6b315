"""One writer a folder: a lock that the operating system holds, so that it dies with the process that took it."""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["FolderInUseError", "FolderLock"]

NAME = ".lock"


class FolderInUseError(OSError):
    """Another process, or another training in this one, writes to the folder."""


class FolderLock:
    """A context manager: within it, no one else who asks for the folder's lock gets it.

    What is locked is the file `.lock` in it. It stays behind, and means nothing once its process has ended.
    FolderInUseError: someone else holds the lock; it names the process.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.path = Path(folder) / NAME
        self._handle: int | None = None

    def __enter__(self) -> Self:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _take(handle)
        except OSError:
            holder = os.pread(handle, 20, 1).decode("ascii", "replace").strip() if os.name == "posix" else ""
            os.close(handle)
            who = f"process {holder}" if holder else "another process"
            raise FolderInUseError(
                f"{self.path.parent}: {who} is training into this folder; wait for it, or choose another folder"
            ) from None
        os.ftruncate(handle, 0)
        os.lseek(handle, 1, os.SEEK_SET)  # the first byte is what Windows locks, and nobody else could read it
        os.write(handle, str(os.getpid()).encode())
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
