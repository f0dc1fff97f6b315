"""A text's tokens in a file that is larger than memory: written in pieces, read through a memory map.

The file is a safetensors file of one array, "tokens" (N,), and in its header the tokenizer that made it.
"""

import itertools
import json
import os
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from minirnn.data.files import PIECE_BYTES, TextError, read_pieces
from minirnn.data.tokenizers import Tokenizer, tokenizer_from_dict
from minirnn.module import Array
from minirnn.whole_file import whole_file

__all__ = ["TokenFile", "encode_file", "kept_tokens"]

_DTYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype("<u1"), "U16": np.dtype("<u2"), "U32": np.dtype("<u4")}
_IN_MEMORY = 1 << 24  # bytes of tokens that need no file
_MOST = 2**62  # more tokens than any file holds: the header's room is measured with it
_LONGEST_HEADER = 100_000_000  # as the format has it


def encode_file(
    path: str | os.PathLike[str],
    tokenizer: Tokenizer,
    out: str | os.PathLike[str],
    *,
    piece_bytes: int = PIECE_BYTES,
) -> "TokenFile":
    """Write the tokens of a UTF-8 file to `out`, in the smallest unsigned dtype that holds them all.

    The text passes through memory in pieces of about piece_bytes; `out` appears whole or not at all. Returns it,
    opened. TextError: no UTF-8 text, or an empty one. OSError: the file cannot be read, or `out` not be written.
    """
    kind = _kind_of(len(tokenizer))
    dtype = _DTYPES[kind]
    room = len(_header(kind, _MOST, _MOST, _MOST, tokenizer))
    count = unknown = crc = 0
    with whole_file(out) as file:
        file.write(b" " * room)
        for tokens in tokenizer.encode_pieces(read_pieces(path, piece_bytes)):
            content = tokens.astype(dtype).tobytes()
            file.write(content)
            count += tokens.size
            unknown += 0 if tokenizer.unknown is None else int((tokens == tokenizer.unknown).sum())
            crc = zlib.crc32(content, crc)
        if not count:
            raise TextError(f"{path}: the text is empty")
        file.seek(0)
        file.write(_header(kind, count, unknown, crc, tokenizer, room))
    return TokenFile(out)


def kept_tokens(pieces: Iterable[Array], size: int) -> Array:
    """Tokens 0 .. size - 1 that come piece by piece as one array (N,), in the smallest unsigned dtype that holds them.

    A long one is in a file without a name in the folder for passing files (TMPDIR), read from there where it is looked
    at, and gone when the array is. OSError: there is no room for it.
    """
    dtype, kept, held = _DTYPES[_kind_of(size)], [], 0
    source = iter(pieces)
    for piece in source:
        kept.append(piece.astype(dtype))
        held += kept[-1].nbytes
        if held > _IN_MEMORY:
            break
    else:
        return np.concatenate(kept) if kept else np.empty(0, dtype)
    with tempfile.TemporaryFile() as file:
        for piece in itertools.chain(kept, source):
            file.write(piece.astype(dtype).tobytes())
        file.flush()
        return np.memmap(file, dtype, mode="r")


def _kind_of(size: int) -> str:
    return next(name for name, dtype in _DTYPES.items() if size <= 256**dtype.itemsize)


class TokenFile:
    """Tokens that `encode_file` wrote. tokens: (N,) unsigned, read-only, read from disk where they are looked at.

    tokenizer: what made them. unknown: how many of them are its unknown token.

    FileNotFoundError: no such file. ValueError: no file of encode_file, or cut short. `verify` reads all of it.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        try:
            described, offset = _read_header(self.path)
            kind, count, self.unknown, self._crc, self.tokenizer = _parse(described)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{path} is no token file, or is damaged ({error}); encode_file writes one") from error
        expected, size = offset + count * _DTYPES[kind].itemsize, self.path.stat().st_size
        if size != expected:
            raise ValueError(f"{path}: {size} bytes are there, {expected} were expected for {count} tokens; damaged")
        self.tokens: Array = np.memmap(self.path, _DTYPES[kind], mode="r", offset=offset, shape=(count,))

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"TokenFile({str(self.path)!r}, {len(self)} {self.tokens.dtype} tokens of {self.tokenizer!r})"

    def verify(self) -> None:
        """Read every token. ValueError: they are not those that were written (CRC-32)."""
        crc = 0
        for start in range(0, len(self), PIECE_BYTES):
            crc = zlib.crc32(self.tokens[start : start + PIECE_BYTES].tobytes(), crc)
        if crc != self._crc:
            raise ValueError(
                f"{self.path}: CRC-32 {crc:08x} came, {self._crc:08x} was expected: the tokens are damaged"
            )


def _header(kind: str, count: int, unknown: int, crc: int, tokenizer: Tokenizer, room: int = 0) -> bytes:
    """The header's length (8 bytes), then the header, filled up with spaces to `room`, or to a multiple of 8."""
    metadata = {"tokenizer": json.dumps(tokenizer.to_dict()), "unknown": str(unknown), "crc32": str(crc)}
    tokens = {"dtype": kind, "shape": [count], "data_offsets": [0, count * _DTYPES[kind].itemsize]}
    text = json.dumps({"__metadata__": metadata, "tokens": tokens}).encode()
    length = room - 8 if room else -(-len(text) // 8) * 8
    return length.to_bytes(8, "little") + text.ljust(length)


def _read_header(path: Path) -> tuple[Any, int]:
    """The header, and the offset of what comes after it."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(_LONGEST_HEADER, path.stat().st_size - 8):
            raise ValueError(f"its header would be {length} bytes long")
        return json.loads(file.read(length)), 8 + length


def _parse(described: Any) -> tuple[str, int, int, int, Tokenizer]:
    """dtype's name, number of tokens, number of unknown ones, checksum, tokenizer."""
    if not isinstance(described, dict) or described.keys() != {"__metadata__", "tokens"}:
        raise ValueError("its header does not describe one array of tokens")
    metadata, array = described["__metadata__"], described["tokens"]
    kind, (count,) = array["dtype"], array["shape"]
    if kind not in _DTYPES:
        raise ValueError(f"dtype {kind!r} came, one of {', '.join(_DTYPES)} was expected")
    if not isinstance(count, int) or not 0 < count <= _MOST:
        raise ValueError(f"{count!r} tokens came, a positive integer was expected")
    if array["data_offsets"] != [0, count * _DTYPES[kind].itemsize]:
        raise ValueError(f"offsets {array['data_offsets']} do not fit {count} tokens of {kind}")
    unknown, crc = (int(metadata[name]) for name in ("unknown", "crc32"))
    return kind, count, unknown, crc, tokenizer_from_dict(json.loads(metadata["tokenizer"]))
