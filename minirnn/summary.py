"""What a model does to one input, as a table: layers, output shapes, parameters, multiply-adds.

The multiply-adds are counted and not derived: one forward pass is run on zeros, on the reference loop, with arrays that
note every product of matrices made with them (@, matmul, dot, inner, tensordot, einsum), whoever makes it. So a cell of
one's own is counted as it is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn import tree
from minirnn.boxes import shape_of
from minirnn.engines import engine
from minirnn.module import Module

__all__ = ["Row", "Summary", "summarise"]


@dataclass
class Row:
    """One layer, the layers inside that have a row of their own left out of its counts.

    output: the shape of the first array that it returns. parameters: how many numbers, frozen ones too; those of a tied
    array where it lives. multiply_adds: of all its calls in one forward pass.
    """

    path: str
    layer: str
    output: tuple[int, ...] = ()
    parameters: int = 0
    by_layer: bool = field(default=False, repr=False)  # run by the recurrent layer around it, and not called
    products: list[int] = field(default_factory=list, repr=False)

    @property
    def multiply_adds(self) -> int:
        return sum(self.products)


@dataclass(frozen=True)
class Summary:
    """The rows, one for each layer in the order in which they are called first; printed as a table."""

    rows: tuple[Row, ...]
    trained: int

    @property
    def parameters(self) -> int:
        """All of them, frozen ones too."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Of one forward pass."""
        return sum(row.multiply_adds for row in self.rows)

    def __str__(self) -> str:
        cells: list[tuple[str, ...]] = [("layer", "output", "parameters", "multiply-adds")]
        rows, depth = {row.path: row for row in self.rows}, {"": 0}
        for path, row in rows.items():
            above = _above(rows, path)
            depth[path] = depth[above] + 1 if path else 0
            name = path.removeprefix(f"{above}.") + ": " if path else ""
            counts = [f"{count:,}" if count else "" for count in (row.parameters, row.multiply_adds)]
            cells.append((f"{'  ' * depth[path]}{name}{row.layer}", " x ".join(map(str, row.output)), *counts))
        frozen = "" if self.trained == self.parameters else f", {self.trained:,} trained"
        cells.append((f"total{frozen}", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [f"{a:{widths[0]}}  {b:{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in cells]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    __repr__ = __str__


def summarise(model: Module, *input_shapes: Sequence[int], dtype: DTypeLike | None = None) -> Summary:
    """The summary of a model called with zeros of these whole shapes, (T, B, F) or (T, B), one for each argument.

    dtype: of the inputs; left out, that of the model's floats, or integers where the model takes no floats (Embedding).

    TypeError: a model that cannot be called, or a shape that is no sequence of integers; and what the model itself
    raises for inputs of these shapes.
    """
    if not callable(model):
        raise TypeError(f"summary: {type(model).__name__} cannot be called")
    if not input_shapes or any(isinstance(shape, int) for shape in input_shapes):
        raise TypeError(f"summary: {input_shapes} came, whole shapes were expected: summary((T, B, F))")
    if dtype is not None:
        return _summary(model, input_shapes, dtype)
    floats = [value.dtype for value in model.state_dict().values() if value.dtype.kind == "f"]
    try:
        return _summary(model, input_shapes, floats[0] if floats else np.float32)
    except (TypeError, IndexError) as error:  # Embedding says the one, a table of one's own the other
        try:
            return _summary(model, input_shapes, np.int64)
        except Exception:
            raise error from None


def _summary(model: Module, shapes: Sequence[Sequence[int]], dtype: DTypeLike) -> Summary:
    rows: dict[str, Row] = {}
    calls: list[Row] = []  # the innermost last
    counted = type("Counted", (_Counted,), {"note": staticmethod(lambda count: calls[-1].products.append(count))})
    copy: Any = model.bind({name: value.view(counted) for name, value in model.state_dict().items()})
    for path, module in copy.named_modules():
        if "engine" in module.__dict__:
            module.__dict__["engine"] = "python"  # a copy's: the reference loop runs the steps as they are written
        object.__setattr__(module, "__class__", _recording(type(module), path, rows, calls))
    with engine("python"), np.errstate(all="ignore"):
        copy(*[np.zeros(shape, dtype).view(counted) for shape in shapes])
    for path, value in model.parameters(frozen=True).items():
        rows[_nearest(rows, path)].parameters += value.size
    _fold(rows)
    return Summary(tuple(rows.values()), model.num_parameters())


def _recording(cls: type, path: str, rows: dict[str, Row], calls: list[Row]) -> type:
    """The same class, whose calls have a row: those by a user, and those by the recurrent layer around it."""

    def recording(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def recorded(self: Any, *args: Any, **kwargs: Any) -> Any:
            row = rows.setdefault(path, Row(path, _label(cls.__name__, self), by_layer=method.__name__ == "run"))
            calls.append(row)
            try:
                result = method(self, *args, **kwargs)
            finally:
                calls.pop()
            row.output = next((shape_of(leaf) for leaf in tree.leaves(result)), ())
            return result

        return recorded

    methods = [name for name in ("__call__", "run") if callable(getattr(cls, name, None)) and name in dir(cls)]
    return type(cls.__name__, (cls,), {name: recording(getattr(cls, name)) for name in methods})


def _label(name: str, module: Module) -> str:
    """A layer as its repr calls it, and the cell in it, which is not called and has no row."""
    cells = [child for path, child in module.named_modules() if path and "." not in path and not callable(child)]
    inside = [_label(type(cell).__name__, cell) for cell in cells]
    return f"{name}({', '.join([*inside, *filter(None, [module.extra_repr()])])})"


def _nearest(rows: dict[str, Row], path: str) -> str:
    """The path itself, or the first above it that has a row; the model has one."""
    while path not in rows:
        path = path.rpartition(".")[0]
    return path


def _above(rows: dict[str, Row], path: str) -> str:
    return _nearest(rows, path.rpartition(".")[0])


def _fold(rows: dict[str, Row]) -> None:
    """Make one row of a recurrent layer and the only one in it: LSTM(4, 8) and its Recurrent(LSTMCell(4, 8))."""
    for path in [path for path, row in reversed(rows.items()) if row.by_layer]:
        above = _above(rows, path)
        if [other for other in rows if other and _above(rows, other) == above] == [path]:
            row = rows.pop(path)
            rows[above].parameters += row.parameters
            rows[above].products += row.products


# ---------------------------------------------------------------- arrays that count
class _Counted(np.ndarray[Any, Any]):
    """An array that tells `note` how many multiply-adds a product of matrices with it makes; so do its results."""

    note: Callable[[int], None]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        inputs = tuple(map(_plain, inputs))
        kwargs = {k: tuple(map(_plain, v)) if isinstance(v, tuple) else _plain(v) for k, v in kwargs.items()}
        result = getattr(ufunc, method)(*inputs, **kwargs)
        if ufunc.__name__ in ("matmul", "vecdot", "matvec", "vecmat") and method == "__call__":
            self.note(np.size(result) * inputs[0].shape[-1])
        return self._as_this(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        contracted = _CONTRACTED.get(function)
        if contracted is None:
            return self._as_this(super().__array_function__(function, types, args, kwargs))
        plain = [_plain(arg) for arg in args]
        result = function(*plain, **{name: _plain(value) for name, value in kwargs.items()})
        self.note(np.size(result) * contracted(plain, result))
        return self._as_this(result)

    def dot(self, other: Any, out: Any = None) -> Any:
        return np.dot(self, other, out)

    def _as_this(self, result: Any) -> Any:
        if isinstance(result, (tuple, list)):
            return tree.map(self._as_this, result)
        return result.view(type(self)) if isinstance(result, np.ndarray) else result


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, _Counted) else value


def _of_two(args: Sequence[Any], result: Any) -> int:
    """How many terms each entry of a product has, from the sizes: a is (n, k), b (k, m), the result (n, m)."""
    sizes = np.size(args[0]) * np.size(args[1])
    return round((sizes / np.size(result)) ** 0.5) if np.size(result) and np.ndim(args[0]) and np.ndim(args[1]) else 0


def _of_einsum(args: Sequence[Any], result: Any) -> int:
    """The sizes of all indices that the result lacks, multiplied; 0 for a single array."""
    subscripts, operands = (args[0], args[1:]) if isinstance(args[0], str) else _as_text(args)
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    parts, sizes = inputs.split(","), dict[str, int]()
    for part, operand in zip(parts, operands, strict=True):
        before, _, after = part.partition("...")
        sizes |= dict(zip(before, np.shape(operand), strict=False))
        sizes |= dict(zip(reversed(after), reversed(np.shape(operand)), strict=False))
    kept = output if arrow else [letter for letter in sizes if inputs.count(letter) == 1]
    return prod(size for letter, size in sizes.items() if letter not in kept) if len(parts) > 1 else 0


def _as_text(args: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """einsum's other form, (operand, indices, operand, indices, ..., indices), in letters."""
    lists = [*args[1::2], *([args[-1]] if len(args) % 2 else [])]
    words = ["".join("..." if index is Ellipsis else chr(65 + index) for index in indices) for indices in lists]
    if len(args) % 2:
        return f"{','.join(words[:-1])}->{words[-1]}", args[:-1:2]
    return ",".join(words), args[::2]


_CONTRACTED: dict[Any, Callable[[Sequence[Any], Any], int]] = {
    np.dot: _of_two,
    np.inner: _of_two,
    np.vdot: _of_two,
    np.tensordot: _of_two,
    np.einsum: _of_einsum,
}
