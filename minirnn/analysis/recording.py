"""Recording: any named intermediate of any cell's step, at every step, without changing the cell.

The names are the step's own: its local variables as they stand when it returns. The reference loop runs, with Python's
profiling hook set for the duration of the call in this thread alone: it is called when a function returns, and sees the
function's variables. A cell that is not recorded runs exactly the code that it would run anyway.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import numpy as np

from minirnn import loop, tree
from minirnn.analysis.vocabulary import Expression, synonyms
from minirnn.engines import engine, scan
from minirnn.layers import Cell, DeclaredCell
from minirnn.module import Array, Module

__all__ = ["record", "record_cells"]

_MARK = "_recorded_as"
_NOBODYS = {cls.__module__ for cls in (Cell, DeclaredCell, Module, object)}


def record(layer: Module, xs: Any, names: str | Sequence[str] | None = None, *, state: Any = None) -> dict[str, Array]:
    """Named intermediates of every step: name -> (T, B, ...). With names left out, all there are.

        record(lstm, xs, ["f", "c"])        record(model, tokens, "keep")       record(my_layer, xs)

    layer: a Cell, a recurrent layer, or any model that holds some and is called with (xs, state).

    Names are the local variables of the cell's step, and of functions that it calls in its own module (`lstm_step`), as
    they stand when those return; where several functions use one name, the step's own and the last call win. Functions
    beside them in the same package stand under their own name: "peephole.f". The new state's arrays are there by their
    own names ("h" for a state that is one array), the step's output is "outputs". A name may be transformed: "1 - z",
    "sigmoid(f)", "tanh(g)". Built-in cells answer to both vocabularies: keep and forget, write and input, show and
    output; see minirnn.analysis.vocabulary.

    Where several cells run, a name is that of each that has it, with the cell's path: "recurrent.layers.1.cell.f".
    Time comes first whatever the layout of xs, and what runs backward is turned round: [t] belongs to xs[t].

    ValueError: a name that no step has; the error lists those there are. Nothing runs differently outside the call.
    """
    wanted = [names] if isinstance(names, str) else names
    traces = _traces("record", layer, xs, state)
    found = {path: trace.selected(wanted) for path, trace in traces.items()}
    missing = [name for name in wanted or () if not any(name in of_cell for of_cell in found.values())]
    if missing:
        there = {path: ", ".join(trace.available()) for path, trace in traces.items()}
        listed = "; ".join(f"{path}: {line}" if len(there) > 1 else line for path, line in there.items())
        raise ValueError(f"record: no step names {', '.join(map(repr, missing))}; the names are {listed}")
    if len(found) == 1:
        return next(iter(found.values()))
    return {f"{path}.{name}": array for path, of_cell in found.items() for name, array in of_cell.items()}


def record_cells(
    layer: Module, xs: Any, names: Sequence[str] | None, *, state: Any = None
) -> dict[str, dict[str, Array]]:
    """As `record`, apart by cell: path -> name -> (T, B, ...), with those of the names that the cell has; None: all
    that its step names."""
    traces = _traces("record_cells", layer, xs, state)
    return {path: trace.selected(names) for path, trace in traces.items()}


def _traces(what: str, layer: Module, xs: Any, state: Any) -> dict[str, "_Trace"]:
    traces: dict[str, _Trace] = {}
    with _watched(traces):
        if isinstance(layer, Cell):
            cell = _marked(layer)
            start = cell.initial_state(np.shape(tree.leaves(xs)[0])[1]) if state is None else state
            scan(cell, start, cell.inputs(xs), engine="python")
        else:
            _call(_marked(layer), xs, state)
    if not any(trace.steps for trace in traces.values()):
        raise ValueError(f"{what}: {type(layer).__name__} ran no step of a recurrent cell")
    return traces


def _call(model: Any, xs: Any, state: Any) -> None:
    with engine("python"):
        model(xs) if state is None else model(xs, state)


def _marked(layer: Any) -> Any:
    """A copy on the same arrays, whose cells know their paths and whose layers leave the engine to the caller."""
    copy = layer.bind({})
    for path, module in copy.named_modules():
        getattr(module, "output_size", None)  # found now by a step on zeros, where it is not known, and not recorded
        if isinstance(module, Cell):
            module.__dict__[_MARK] = path
        if "engine" in module.__dict__:
            module.__dict__["engine"] = "auto"
    return copy


@contextmanager
def _watched(traces: dict[str, "_Trace"]) -> Iterator[None]:
    """Within the block, what happens in reference loops over marked cells goes into `traces`."""
    before, hook = sys.getprofile(), _Hook(traces)
    sys.setprofile(hook)
    try:
        yield
    finally:
        sys.setprofile(before)


class _Hook:
    """Called by Python for every call and return in this thread."""

    def __init__(self, traces: dict[str, "_Trace"]):
        self.traces = traces
        self.running: list[_Trace | None] = []  # the loops that have begun and not ended, innermost last

    def __call__(self, frame: FrameType, event: str, result: Any) -> None:
        if event not in ("call", "return"):
            return
        code = frame.f_code
        if code is loop.run.__code__:
            self.running.append(self._trace(frame.f_locals)) if event == "call" else self.running.pop()
        elif event == "return" and self.running and self.running[-1] is not None:
            self.running[-1].returned(frame, code, result)

    def _trace(self, arguments: Mapping[str, Any]) -> "_Trace | None":
        cell = getattr(arguments["step"], "__self__", None)
        path = getattr(cell, "__dict__", {}).get(_MARK)
        if cell is None or path is None:
            return None
        batch = np.shape(tree.leaves(arguments["xs"])[0])[1]
        return self.traces.setdefault(path, _Trace(cell, batch, arguments["reverse"]))


class _Trace:
    """What one cell's steps name."""

    def __init__(self, cell: Cell, batch: int, reverse: bool):
        self.batch, self.reverse = batch, reverse
        self.words = synonyms(cell)
        self.step: CodeType = type(cell).step.__code__
        inside = [module for module in cell.modules() if isinstance(module, Cell)]
        classes = [cls for module in inside for cls in type(module).__mro__ if issubclass(cls, Cell)]
        self.own = {cls.__module__ for cls in classes} - _NOBODYS
        self.packages = {name.rpartition(".")[0] for name in self.own} - {""}
        self.steps: list[dict[str, Array]] = []
        self.now: dict[str, Array] = {}

    def returned(self, frame: FrameType, code: CodeType, result: Any) -> None:
        """A function has returned, maybe the step itself."""
        ends = code is self.step and frame.f_back is not None and frame.f_back.f_code is loop.run.__code__
        module = frame.f_globals.get("__name__", "")
        if module in self.own and not code.co_name.startswith("<"):
            self.now |= self._kept(frame.f_locals)
        elif module.rpartition(".")[0] in self.packages and module not in _NOBODYS and not code.co_name.startswith("<"):
            prefix = code.co_name
            self.now |= self._kept({f"{prefix}.{name}": value for name, value in frame.f_locals.items()})
        if ends and isinstance(result, tuple):
            state, output = result
            self.now |= {path or "h": np.array(leaf) for path, leaf in tree.named_leaves(state)}
            if _is_numbers(output):
                self.now["outputs"] = np.array(output)
            self.steps.append(self.now)
            self.now = {}

    def _kept(self, values: Mapping[str, Any]) -> dict[str, Array]:
        """Copies of what begins with the batch: not of the weights, which stand beside it."""
        return {name: np.array(v) for name, v in values.items() if _is_numbers(v) and len(v) == self.batch}

    def available(self) -> list[str]:
        """The names that hold an array of one shape at every step, and begin with the batch; then the synonyms."""
        first = self.steps[0]
        own = [
            name
            for name, value in first.items()
            if len(value) == self.batch and all(name in s and s[name].shape == value.shape for s in self.steps)
        ]
        known = [word for word, text in self.words.items() if Expression.parse(text).name in own and word not in own]
        return [*own, *known]

    def selected(self, wanted: Sequence[str] | None) -> dict[str, Array]:
        """name -> (T, B, ...) of those that this cell has."""
        there = self.available()
        if wanted is None:
            return {name: self._values(name) for name in there if name not in self.words or name in self.steps[0]}
        return {name: self._values(name) for name in wanted if self._base(name) in there}

    def _expression(self, name: str) -> Expression:
        return Expression.parse(self.words.get(name, name))

    def _base(self, name: str) -> str:
        return self._expression(name).name

    def _values(self, name: str) -> Array:
        expression = self._expression(name)
        values = np.stack([step[expression.name] for step in self.steps])
        found: Array = expression.of(values[::-1] if self.reverse else values)
        return found


def _is_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > 0 and value.dtype.kind in "fiub"
