"""minirnn bench: how fast a cell is, beside its reference, its twins in PyTorch and JAX, and the machine."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from minirnn.cli.errors import one_line_errors
from minirnn.cli.target import find

__all__ = ["bench"]

SIGNATURES = {
    "torch": "(input_size, hidden_size) -> torch.nn.Module, which xs (T, B, I) gives outputs (T, B, H) first",
    "jax": "(p, state, x) -> (state, output), p the cell's arrays by name, for jax.lax.scan",
}


def bench(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME",
            help="A Cell class, what @minirnn.cell makes, or a Cell, as package.module:name or file.py:name; or lstm, "
            "gru, rnn, or a name that `minirnn cells` lists.",
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="torch,jax",
            help="Also time the cell's twins in these libraries: the functions NAME_torch and NAME_jax beside it.",
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="B,T,I,H", help="Batch, steps, inputs, hidden units; may be given again. [default: three sizes]"
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    threads: Annotated[int | None, typer.Option(help="That each may use. [default: 2]", min=1)] = None,
    seconds: Annotated[float, typer.Option(help="That a size and pass is timed for, about.", min=0.0)] = 2.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write all figures there.")] = None,
) -> None:
    """Time a cell's training pass and forward pass: what engine="auto" makes of it, NumPy alone, the reference engine,
    the floor that its matrix products set, and its twins; each library in a process of its own, in turn."""
    from rich.console import Console

    from minirnn.speed import compare

    with one_line_errors(ValueError, TypeError):
        sizes = None if size is None else [_size(text) for text in size]
        cell, twins = _cell_and_twins(target, [who.strip() for who in against.split(",")] if against else [])
        speed = compare(cell, twins=twins, sizes=sizes, dtype=dtype, threads=threads, seconds=seconds)
    console = Console(highlight=False)
    console.print(speed.table())
    for line in speed.lines():
        console.print(line, markup=False, soft_wrap=True)
    if json_file is not None:
        with one_line_errors(OSError):
            json_file.write_text(json.dumps(speed.as_dict(), indent=2) + "\n")


def _size(text: str) -> Any:
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"--size {text} came, four positive integers B,T,I,H were expected, as in 16,50,64,128")
    return tuple([int(part) for part in parts])


def _cell_and_twins(target: str, against: list[str]) -> tuple[Any, dict[str, Callable[..., Any]]]:
    """What is measured, and its twin in each of the libraries that were asked for."""
    from minirnn.layers import Cell, cells
    from minirnn.speed.twins import BUILT_IN, TWINS

    unknown = [who for who in against if who not in SIGNATURES]
    if unknown:
        raise ValueError(f"--against {','.join(against)} came, {','.join(SIGNATURES)} was expected, or one of them")
    if ":" not in target:
        module: ModuleType | None
        found: Any = BUILT_IN.get(target.lower()) or cells.get(target)
        module, name = None, found.__name__
    else:
        module, name, found = find(target)
        if not (isinstance(found, Cell) or (isinstance(found, type) and issubclass(found, Cell))):
            raise ValueError(f"{target} is {type(found).__name__}, a Cell or a Cell class was expected")
        _stays_importable(target)
    own = TWINS.get(found, {}) if isinstance(found, type) else {}
    return found, {who: own.get(who) or _twin(module, name, who) for who in against}


def _twin(module: ModuleType | None, name: str, who: str) -> Callable[..., Any]:
    twin = getattr(module, f"{name}_{who}", None)
    if not callable(twin):
        where = f"beside it in {module.__file__}" if module else f"in a file that imports {name}, and name that file"
        raise ValueError(f"{name} has no {who} twin: define {name}_{who}{SIGNATURES[who]}, {where}")
    found: Callable[..., Any] = twin
    return found


def _stays_importable(target: str) -> None:
    """For the processes in which it is timed: they look for modules where this one does."""
    where = target.rpartition(":")[0]
    sys.path.insert(0, str(Path(where).resolve().parent) if where.endswith(".py") else "")
