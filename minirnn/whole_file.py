"""Files that appear whole or not at all, also when the machine stops in between.

They are written under a passing name in the same folder, flushed to the disk, renamed, and the folder flushed too.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["remove_passing", "whole_file", "write_whole"]

PASSING = ".part"  # how the names of files end that are being written


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write; it takes its name when the block ends, on disk by then, and leaves nothing if the block fails.

    with whole_file("tokens") as file: file.write(b"...")
    """
    target = Path(path)
    handle, passing = tempfile.mkstemp(prefix=f".{target.name}.", suffix=PASSING, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(passing, 0o666 & ~umask)  # mkstemp's files are private; this one is an ordinary file
        os.replace(passing, target)
    except BaseException:
        Path(passing).unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write all of a file's content at once."""
    with whole_file(path) as file:
        file.write(content)


def remove_passing(folder: str | os.PathLike[str]) -> None:
    """Remove what writers that were killed left behind; only where no other writer is at work."""
    for left in Path(folder).glob(f".*{PASSING}"):
        left.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """A rename is on the disk only once its folder is."""
    if os.name != "posix":
        return  # elsewhere folders cannot be opened, and renames are flushed by the system
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
