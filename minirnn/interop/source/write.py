"""`write`: a cell as one file of another framework, which needs no minirnn."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minirnn.compile.errors import CannotCompile
from minirnn.interop.source import jax_file, torch_file
from minirnn.interop.source.content import Content, Namings, content_of
from minirnn.interop.source.expressions import LIKE, Dialect
from minirnn.interop.source.layout import laid_out
from minirnn.interop.source.sizes import Unlike, one_text
from minirnn.interop.source.what import BASES, What, options_of, what_of
from minirnn.whole_file import write_whole

__all__ = ["source", "write"]

_PRINTERS: dict[str, tuple[Dialect, set[str], Callable[[Content], str]]] = {
    "torch": (torch_file.DIALECT, torch_file.RESERVED, torch_file.torch_file),
    "jax": (jax_file.DIALECT, jax_file.RESERVED, jax_file.jax_file),
}


def write(what: Any, path: str | os.PathLike[str], *, to: str, sizes: tuple[int, int] | None = None) -> None:
    """Write a cell as one file of PyTorch (to="torch") or JAX (to="jax"); see `source`."""
    text = source(what, to=to, sizes=sizes)
    write_whole(path, text.encode())


def source(what: Any, *, to: str, sizes: tuple[int, int] | None = None) -> str:
    """The text of that file: the step, the pass over a sequence and its derivative written out, and a test of itself.

    what: a Cell class, a cell, a layer of one cell, or a name of the zoo. The file is for every input_size and
    hidden_size; sizes=(input_size, hidden_size) writes it for these alone, as a cell needs whose constants follow its
    sizes. ValueError: an unknown `to`, a step that cannot be traced or has an operation without a text (which is
    named), or constants that follow the sizes. TypeError: no cell.
    """
    if to not in _PRINTERS:
        raise ValueError(f"write: to={to!r} came; one of {', '.join(_PRINTERS)} was expected")
    cell = what_of(what, sizes)
    try:
        if cell.fixed is not None:
            return laid_out(one_text(*_prints(cell, to, [{"I": cell.fixed[0], "H": cell.fixed[1]}])))
        return laid_out(one_text(*_prints(cell, to, BASES)))
    except CannotCompile as error:
        raise ValueError(f"write: {cell.title}: {error}") from error
    except Unlike as error:
        raise ValueError(
            f"write: {cell.title}: its step is another one at other sizes ({error}); give sizes=(input_size, "
            "hidden_size) (--size I,H) for a file of these alone"
        ) from error


def _prints(cell: What, to: str, sizes: Sequence[Mapping[str, int]]) -> tuple[list[str], Sequence[Mapping[str, int]]]:
    """The file at each of the sizes."""
    dialect, reserved, printer = _PRINTERS[to]
    built = [cell.build(at["I"], at["H"]) for at in sizes]
    options = [options_of(one.cell) for one in built]
    same = {name: value for name, value in options[0].items() if all(of[name] == value for of in options)}
    prints: list[str] = []
    namings: Namings | None = None
    for one in built:
        content, namings = content_of(cell, one, same, dialect, reserved, namings)
        prints.append(printer(content).replace(LIKE, content.like()))
    return prints, sizes
