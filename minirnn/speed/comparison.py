"""One cell, measured: its passes on minirnn's engines, its twins' in other libraries, and the floor of its products."""

import os
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from minirnn.layers import Cell, Recurrent
from minirnn.layers.sizes import as_shape
from minirnn.speed.cells import built, name_of
from minirnn.speed.first_use import engine_of, seconds_of_compilation
from minirnn.speed.passes import (
    Pass,
    Size,
    Values,
    jax_pass,
    jax_values,
    our_pass,
    our_values,
    peak,
    torch_pass,
    torch_values,
)
from minirnn.speed.timing import THREADS, Contender, Timing, afresh, apart, end, within

__all__ = ["LIBRARIES", "SIZES", "Row", "Speed", "compare"]

SIZES: tuple[Size, ...] = ((1, 25, 29, 100), (16, 50, 64, 128), (32, 100, 128, 256))
LIBRARIES = ("torch", "jax")
BOUND = {"float32": 1e-4, "float64": 1e-9}  # of a twin's difference, in units of the largest number
NUMPY, PYTHON = "NumPy alone", "python engine"


@dataclass(frozen=True)
class Row:
    """One pass at one size (B, T, I, H). seconds: of "minirnn", the engine that "auto" takes; "NumPy alone", the same
    engine without native code; "python engine", the reference; and each twin. floor: seconds of the cell's matrix
    products alone at the speed of one large product of NumPy's; weights packed once a sequence may go below it."""

    size: Size
    mode: str
    seconds: Mapping[str, Timing]
    floor: float

    def ratio(self, other: str) -> float:
        """The time of minirnn's pass over another's."""
        return self.seconds["minirnn"].median / self.seconds[other].median


@dataclass(frozen=True)
class Speed:
    """What `compare` found. engine: what "auto" takes, and `refused` why it is no faster one; compilation: seconds at
    the first use, on NumPy and in native code, empty where nothing is compiled; differences: each twin's outputs and
    gradients from ours, in units of the largest number, None where the weights could not be shared."""

    cell: str
    engine: str
    refused: str
    dtype: str
    threads: int
    rows: tuple[Row, ...]
    compilation: Mapping[str, float]
    differences: Mapping[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        """Strings, numbers, lists and dicts, for JSON."""
        rows = [{**asdict(row), "seconds": {who: t._asdict() for who, t in row.seconds.items()}} for row in self.rows]
        return {**asdict(self), "rows": rows}

    def table(self) -> Any:
        """A rich Table: milliseconds a pass, and behind them minirnn's time over that time."""
        from rich.table import Table

        found = {(row.size, row.mode): row for row in self.rows}
        sizes = list(dict.fromkeys(row.size for row in self.rows))
        made = Table("", title=f"{self.cell}: {self.dtype}, {self.threads} threads, sizes B,T,I,H")
        made.caption = "milliseconds a pass, and minirnn's time over that time"
        for size in sizes:
            made.add_column(",".join(map(str, size)), justify="right")
        for mode in dict.fromkeys(row.mode for row in self.rows):
            each = [found[size, mode] for size in sizes]
            made.add_row(mode)
            for who in each[0].seconds:
                title = f"minirnn ({self.engine})" if who == "minirnn" else who
                made.add_row(f"  {title}", *[_text(row.seconds[who].median, row) for row in each])
            made.add_row("  its products alone", *[_text(row.floor, row) for row in each], end_section=True)
        return made

    def lines(self) -> list[str]:
        """What goes with the table: compilation, and whether the twins are the same cell."""
        made = []
        if self.refused:
            made.append(f"{self.cell} runs step by step: {self.refused}")
        if self.compilation:
            native = f", to native code in {self.compilation['native']:.2f} s" if self.compilation["native"] else ""
            made.append(f"compiled at first use, once: to NumPy in {self.compilation['numpy']:.2f} s{native}")
        for who, difference in self.differences.items():
            if difference is None:
                made.append(
                    f"{who}: not compared: its parameters have not the names and shapes of the cell's, so that both "
                    "could have the same weights"
                )
            else:
                made.append(f"{who}: the same outputs and gradients, within {difference:.0e}")
        return made

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=200, highlight=False, color_system=None)
        with console.capture() as printed:
            console.print(self.table())
            for line in self.lines():
                console.print(line, markup=False, soft_wrap=True)
        return printed.get()


def compare(
    cell: type[Cell] | Cell,
    *,
    twins: Mapping[str, Callable[..., Any]] | None = None,
    sizes: Sequence[Size] | None = None,
    modes: Sequence[str] = ("train", "forward"),
    dtype: str = "float32",
    threads: int | None = None,
    seconds: float = 2.0,
    rounds: int = 5,
) -> Speed:
    """Time a cell's training pass (outputs, and gradients by all weights and the input) and forward pass, taken in
    turn, each library in a process of its own.

    cell: a Cell class, built at every size, or a Cell, which keeps its own. twins: the same cell in other libraries,
    {"torch": function, "jax": function}, see minirnn.speed.passes; they are first held against the cell, once. sizes:
    (B, T, I, H); left out, three from small to large. threads: two where there are as many. seconds: what a pass at a
    size is timed for, about, by all of them together, in so many rounds. Cell and twins have to be importable: they
    stand at the top level of a module, or of a script whose work is under `if __name__ == "__main__"`.

    ValueError, TypeError: sizes, dtype or threads that are none; a cell that fails; a twin for a library that is not
    known or not installed, that fails, or whose outputs or gradients are others.
    """
    twins, name = dict(twins or {}), name_of(cell)
    _check(cell, twins, sizes or SIZES, modes, dtype, threads)
    count = threads or min(THREADS, os.cpu_count() or 1)
    chosen = _sizes(cell, sizes, dtype)
    at = {who: f"{who} of {name}" for who in ("minirnn", NUMPY, PYTHON, "floor", *twins)}
    turns = {"seconds": seconds, "rounds": rounds}
    try:
        return _compared(cell, twins, [Pass(size, mode, dtype, count) for size in chosen for mode in modes], at, turns)
    finally:
        end(*at.values())


def _compared(
    cell: Any, twins: Mapping[str, Any], passes: Sequence[Pass], at: Mapping[str, str], turns: Mapping[str, Any]
) -> Speed:
    """at: the name of each contender's process."""
    name, (_, _, dtype, count) = name_of(cell), passes[0]
    _hold([at["minirnn"], *(at[who] for who in twins)], count)
    try:
        engine, refused = within(at["minirnn"], engine_of, cell, passes[0])
    except Exception as error:
        raise ValueError(f"{name} fails: {type(error).__name__}: {error}") from error
    differences = _differences(cell, twins, passes[0], at) if twins else {}
    _hold([at[NUMPY], at[PYTHON], at["floor"]], count)
    flops = within(at["floor"], peak, dtype, count)
    rows = []
    for what in passes:
        timings = apart(_contenders(cell, twins, what, engine, at), **turns)
        rows.append(Row(what.size, what.mode, timings, _work(cell, what) / flops))
    largest = max(passes, key=lambda what: _work(cell, what))._replace(mode="train")
    compilation = afresh(seconds_of_compilation, cell, largest) if engine == "compiled" else {}
    return Speed(name, engine, refused, dtype, count, tuple(rows), compilation, differences)


def _contenders(
    cell: Any, twins: Mapping[str, Any], what: Pass, engine: str, at: Mapping[str, str]
) -> dict[str, Contender]:
    made = {"minirnn": Contender(at["minirnn"], our_pass, (cell, what))}
    if engine != "python":
        made[NUMPY] = Contender(at[NUMPY], our_pass, (cell, what, "auto", "numpy"))
        made[PYTHON] = Contender(at[PYTHON], our_pass, (cell, what, "python"))
    passes = {"torch": torch_pass, "jax": jax_pass}
    return made | {who: Contender(at[who], passes[who], (twin, cell, what)) for who, twin in twins.items()}


def _work(cell: Any, what: Pass) -> float:
    """Floating-point operations of the matrix products: two a multiply-add, and in training two more products for each,
    which give its gradients."""
    batch, steps, inputs, hidden = what.size
    layer = Recurrent(built(cell, inputs, hidden))
    one_step: int = layer.summary((1, batch, *as_shape(layer.input_size))).multiply_adds
    return 2.0 * one_step * steps * (3 if what.mode == "train" else 1)


def _sizes(cell: Any, sizes: Sequence[Size] | None, dtype: str) -> list[Size]:
    """The sizes that the cells have when they are built. ValueError: a Cell comes with another."""
    chosen: list[Size] = []
    for size in sizes or SIZES:
        made: Any = built(cell, *size[2:], dtype)
        chosen.append((*size[:2], made.input_size, made.hidden_size))
        if isinstance(cell, Cell) and sizes and chosen[-1] != tuple(size):
            raise ValueError(f"{name_of(cell)}: size {size} came; this cell is (I, H) = {chosen[-1][2:]}")
    return chosen


def _hold(processes: Sequence[str], count: int) -> None:
    for process in processes:
        within(process, _hold_to, count)


def _hold_to(count: int) -> None:
    """Leave this process so many processors: no library takes more threads, whatever its own setting is."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[:count])


def _text(seconds: float, row: Row) -> str:
    """Milliseconds, and minirnn's time over them; a cell may have no products at all."""
    mine = row.seconds["minirnn"].median
    ratio = f"{mine / seconds:.2f}" if seconds not in (0.0, mine) else ""
    return f"{1e3 * seconds:.3g} {ratio:>6}"


# ---------------------------------------------------------------- whether it is one cell
def _differences(cell: Any, twins: Mapping[str, Any], what: Pass, at: Mapping[str, str]) -> dict[str, float | None]:
    """The worst of each twin's from ours, on a small problem. ValueError: one is above its bound, or a twin fails."""
    what = what._replace(size=(2, 5, *what.size[2:]), mode="train")
    ours, arrays = within(at["minirnn"], our_values, cell, what)
    trained = {name: arrays[name] for name in ours.d_weights}
    given = {"torch": (torch_values, trained), "jax": (jax_values, arrays)}
    found: dict[str, float | None] = {}
    for who, twin in twins.items():
        try:
            theirs = within(at[who], given[who][0], twin, cell, what, given[who][1])
        except Exception as error:
            raise ValueError(f"{_said(twin)}, the {who} twin, fails: {type(error).__name__}: {error}") from error
        found[who] = None if theirs is None else _difference(ours, theirs, f"{_said(twin)}, the {who} twin,", what)
    return found


def _said(twin: Any) -> str:
    return getattr(twin, "__name__", repr(twin))


def _difference(ours: Values, theirs: Values, who: str, what: Pass) -> float:
    pairs = {"outputs": (ours.outputs, theirs.outputs), "the gradient by the input": (ours.d_xs, theirs.d_xs)}
    pairs |= {f"the gradient by {name}": (d, theirs.d_weights[name]) for name, d in ours.d_weights.items()}
    worst = 0.0
    for name, (a, b) in pairs.items():
        if a.shape != b.shape:
            raise ValueError(f"{who} is another cell: {name} has shape {b.shape}, {a.shape} was expected")
        error = float(np.max(np.abs(a - b), initial=0.0)) / (float(np.max(np.abs(a), initial=0.0)) or 1.0)
        if not error <= BOUND[what.dtype]:
            raise ValueError(
                f"{who} is another cell, and its time says nothing: {name} differs by {error:.1g} of the "
                f"largest number, at most {BOUND[what.dtype]:.0e} was expected"
            )
        worst = max(worst, error)
    return worst


# ---------------------------------------------------------------- what came
def _check(
    cell: Any,
    twins: Mapping[str, Any],
    sizes: Sequence[Any],
    modes: Sequence[str],
    dtype: str,
    threads: int | None,
) -> None:
    if not isinstance(cell, Cell) and not (isinstance(cell, type) and issubclass(cell, Cell)):
        raise TypeError(f"compare: {type(cell).__name__} came, a Cell or a Cell class was expected")
    if dtype not in BOUND:
        raise ValueError(f"dtype={dtype!r} came, one of {', '.join(BOUND)} was expected")
    for size in sizes:
        if len(size) != 4 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in (*size[:2], size[3])):
            raise ValueError(f"size {size!r} came, positive integers (B, T, I, H) were expected")
    if not set(modes) <= {"train", "forward"} or not modes:
        raise ValueError(f"modes={modes!r} came, some of train, forward were expected")
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ValueError(f"threads={threads!r} came, a positive integer was expected")
    for who in twins:
        if who not in LIBRARIES:
            raise ValueError(f"a twin for {who!r} came, one of {', '.join(LIBRARIES)} was expected")
        if find_spec(who) is None:
            raise ValueError(f"{who} is not installed: pip install 'minirnn[peers]'")
    for what in (cell, *twins.values()):
        _check_importable(what)


def _check_importable(what: Any) -> None:
    """ValueError: another process could not import it."""
    try:
        pickle.dumps(what)
        owner = type(what) if isinstance(what, Cell) else what
        if getattr(owner, "__module__", "") == "__main__" and not hasattr(sys.modules["__main__"], "__file__"):
            raise TypeError("it was typed in, and is in no file")
    except Exception as error:
        raise ValueError(
            f"{_said(what)} cannot be sent to the process in which it is timed: {error}; define it at the top level of "
            "a module"
        ) from error
