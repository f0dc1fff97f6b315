"""Text in pieces from files."""

import codecs
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["PIECE_BYTES", "TextError", "read_json", "read_pieces"]

PIECE_BYTES = 1 << 20
"""How much of a file is read at a time."""


_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\f\r")  # which no text has


class TextError(ValueError):
    """What was given is no text, or not enough of it."""


def read_pieces(path: str | os.PathLike[str], piece_bytes: int = PIECE_BYTES) -> Iterator[str]:
    """Yield a UTF-8 file's text piece by piece, without its byte order mark, any of the line ends as a newline.

    The pieces, joined, are the text; no more than about piece_bytes of the file are in memory. A file without text
    gives no piece. TextError: UTF-16; bytes that are not UTF-8, or NUL bytes, named by their offset. OSError: as of
    `open`.
    """
    if piece_bytes < 1:
        raise ValueError(f"read_pieces: piece_bytes={piece_bytes} came, a positive integer was expected")
    utf8 = codecs.getincrementaldecoder("utf-8")()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    offset, started = 0, False
    with open(path, "rb") as file:
        if encoding := _other_encoding(file.peek(1 << 12)[: 1 << 12]):
            raise TextError(f"{path}: {encoding} text came, UTF-8 expected; convert it: iconv -f {encoding} -t UTF-8")
        while True:
            content = file.read(piece_bytes)
            if b"\0" in content:
                place = offset + content.index(0)
                raise TextError(f"{path}: a binary file came (a NUL byte at offset {place}), UTF-8 text expected")
            pending = len(utf8.getstate()[0])
            try:
                decoded = utf8.decode(content, final=not content)
            except UnicodeDecodeError as error:
                raise TextError(
                    f"{path}: byte 0x{error.object[error.start]:02x} at offset {offset - pending + error.start} is not "
                    "UTF-8; convert the file first (iconv -t UTF-8)"
                ) from error
            offset += len(content)
            if decoded and not started:
                started, decoded = True, decoded.removeprefix("\ufeff")
            piece = newlines.decode(decoded, final=not content)
            if piece:
                yield piece
            if not content:
                return


def _other_encoding(start: bytes) -> str | None:
    """UTF-32 or UTF-16 by their byte order mark, or UTF-16 by the zeros that half of its bytes are in most scripts."""
    marks = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32"}
    marks |= {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}  # the first of which begins UTF-32's too
    for mark, name in marks.items():
        if start.startswith(mark):
            return name
    even, odd = start[::2], start[1::2]
    for name, zeros, others in (("UTF-16LE", odd, even), ("UTF-16BE", even, odd)):
        if len(zeros) > 3 and 2 * zeros.count(0) > len(zeros) and not _CONTROLS & set(others):
            return name
    return None


def read_json(path: str | os.PathLike[str]) -> Any:
    """What a JSON file holds. ValueError: no JSON, or damaged. OSError: as of `open`."""
    try:
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON, or is damaged ({error})") from error
