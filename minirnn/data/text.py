"""Text from files and folders."""

import os
import sysconfig
from pathlib import Path
from typing import NamedTuple

from minirnn.data.files import TextError, read_pieces

__all__ = ["Corpus", "read_lines", "read_text", "standard_library"]


class Corpus(NamedTuple):
    """A text, where it came from, how many files it was, and how many more were passed over as no UTF-8 text."""

    text: str
    source: str
    files: int
    skipped: int


def read_text(path: str | os.PathLike[str]) -> Corpus:
    """A UTF-8 file, or all of a folder's (and its folders', in the order of their paths, hidden ones left out) as one.

    In a folder, files that are no UTF-8 text are passed over and counted. FileNotFoundError: nothing is there.
    TextError: a file that is no UTF-8 text, no text in a folder, or nothing but white space.
    """
    path = Path(path)
    if not path.is_dir():
        return _corpus([_read(path)], str(path), 0)
    texts: list[str] = []
    skipped = 0
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if hidden or not file.is_file():
            continue
        try:
            texts.append(_read(file))
        except TextError:
            skipped += 1
    if not texts:
        raise TextError(f"{path}: the folder holds no UTF-8 text ({skipped} other files)")
    return _corpus(texts, str(path), skipped)


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """A UTF-8 file's lines without their ends, blank ones left out. TextError: no UTF-8 text, or no lines."""
    lines = [line for line in _read(Path(path)).split("\n") if line.strip()]
    if not lines:
        raise TextError(f"{path}: the file holds no lines but blank ones")
    return lines


def standard_library() -> Corpus:
    """The source of the running Python's standard library, top-level modules only: text that is on every machine."""
    folder = Path(sysconfig.get_path("stdlib"))
    return _corpus([_read(file) for file in sorted(folder.glob("*.py"))], f"Python's standard library, {folder}", 0)


def _corpus(texts: list[str], source: str, skipped: int) -> Corpus:
    text = "".join(texts)
    if not text.strip():
        raise TextError(f"{source}: the text is empty")
    return Corpus(text, source, len(texts), skipped)


def _read(path: Path) -> str:
    return "".join(read_pieces(path))
