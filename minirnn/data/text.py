"""Text from files and folders, whole or piece by piece."""

import os
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from minirnn.data.files import PIECE_BYTES, TextError, read_pieces

__all__ = ["Corpus", "TextFiles", "open_text", "read_lines", "read_text", "standard_library"]


class Corpus(NamedTuple):
    """A text, where it came from, how many files it was, and how many more were passed over as no UTF-8 text."""

    text: str
    source: str
    files: int
    skipped: int

    @property
    def characters(self) -> int:
        """How long the text is."""
        return len(self.text)

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """The characters from start to stop, in order."""
        end = len(self.text) if stop is None else min(stop, len(self.text))
        for at in range(start, end, PIECE_BYTES):
            yield self.text[at : min(at + PIECE_BYTES, end)]


class TextFiles:
    """As Corpus, but the text stays in its files and is read anew each time, piece by piece.

    Between two files of which the first does not end a line there is a newline. TextError: nothing but white space.
    """

    def __init__(self, paths: Sequence[Path], source: str, *, skip: bool = False):
        self.source, self.skipped = source, 0
        self._files: list[tuple[Path, int]] = []  # and how many characters each has, a newline put behind it included
        blank, ended = True, True
        for path in paths:
            length, last, empty = 0, "", True
            try:
                for piece in read_pieces(path):
                    length, last, empty = length + len(piece), piece, empty and not piece.strip()
            except TextError:
                if not skip:
                    raise
                self.skipped += 1
                continue
            if length and not ended:
                before, characters = self._files[-1]
                self._files[-1] = before, characters + 1
            self._files.append((path, length))
            blank, ended = blank and empty, last.endswith("\n") if length else ended
        self.files, self.characters = len(self._files), sum(length for _, length in self._files)
        if skip and not self._files:
            raise TextError(f"{source}: the folder holds no UTF-8 text ({self.skipped} other files)")
        if blank:
            raise _empty(source)

    @property
    def text(self) -> str:
        """All of it, in memory."""
        return "".join(self.pieces())

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """The characters from start to stop, in order. TextError: a file has changed since it was first read."""
        at = 0
        for path, length in self._files:
            if at + length > start and (stop is None or at < stop):
                for piece in self._whole(path, length):
                    part = piece[max(0, start - at) : None if stop is None else max(0, stop - at)]
                    at += len(piece)
                    if part:
                        yield part
                    if stop is not None and at >= stop:
                        return
            else:
                at += length

    def _whole(self, path: Path, length: int) -> Iterator[str]:
        """A file's pieces, and the newline behind them where one was put there."""
        came, last = 0, ""
        for piece in read_pieces(path):
            came, last = came + len(piece), piece
            yield piece
        if came == length - 1 and not last.endswith("\n"):
            yield "\n"
        elif came != length:
            raise TextError(f"{path}: the file changed while it was read: it had {length} characters, {came} came")


def open_text(path: str | os.PathLike[str]) -> Corpus | TextFiles:
    """As `read_text`, of a text that need not fit into memory: it is read once to see that it is one, and whenever it
    is asked for. What can be read but once, as a pipe, is read into memory."""
    path = Path(path)
    if path.exists() and not path.is_dir() and not path.is_file():
        return _corpus("".join(read_pieces(path)), str(path), 1, 0)
    if not path.is_dir():
        return TextFiles([path], str(path))
    seen = [f for f in sorted(path.rglob("*")) if not any(part[0] == "." for part in f.relative_to(path).parts)]
    return TextFiles([file for file in seen if file.is_file()], str(path), skip=True)


def read_text(path: str | os.PathLike[str]) -> Corpus:
    """A UTF-8 file, or all of a folder's (and its folders', in the order of their paths, hidden ones left out) as one,
    each file beginning a line.

    In a folder, files that are no UTF-8 text are passed over and counted. FileNotFoundError: nothing is there.
    TextError: a file that is no UTF-8 text, no text in a folder, or nothing but white space.
    """
    found = open_text(path)
    return found if isinstance(found, Corpus) else _in_memory(found)


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """A UTF-8 file's lines without their ends, blank ones left out. TextError: no UTF-8 text, or no lines."""
    lines = [line for line in "".join(read_pieces(path)).split("\n") if line.strip()]
    if not lines:
        raise TextError(f"{path}: the file holds no lines but blank ones")
    return lines


def standard_library() -> Corpus:
    """The source of the running Python's standard library, top-level modules only: text that is on every machine."""
    folder = Path(sysconfig.get_path("stdlib"))
    return _in_memory(TextFiles(sorted(folder.glob("*.py")), f"Python's standard library, {folder}"))


def _corpus(text: str, source: str, files: int, skipped: int) -> Corpus:
    if not text.strip():
        raise _empty(source)
    return Corpus(text, source, files, skipped)


def _empty(source: str) -> TextError:
    return TextError(f"{source}: the text is empty")


def _in_memory(files: TextFiles) -> Corpus:
    return _corpus(files.text, files.source, files.files, files.skipped)
