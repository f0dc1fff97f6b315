"""A loop program as the source of a Python function: an operation of all rows and entries is one call of NumPy.

    def forward(n, b, keep, ragged, z, work, given):        z: the sizes of the program's slots
        x0 = given["x"][0]
        t0 = work("forward t0", (b, z0), float32)           what lines pass on and no memory holds
        q0 = ndarray((n, b, z0), float32, x0, 0, ...)       a Ref as a view, with an axis for each variable of a loop
        for t in range(n):
            q0_t = q0[t]
            tanh(q0_t, t0)

A Map stores to no entry that another of its entries loads; so a line may write straight into its store, unless a later
line reads a load of that very place. What is known before a loop stands before it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from minirnn.compile.arrays.views import Views, found, indented, index_text, size_text, tuple_text
from minirnn.compile.errors import CannotCompile
from minirnn.compile.loops.program import (
    ColumnSum,
    For,
    Function,
    Gather,
    Let,
    Line,
    Map,
    Multiply,
    MultiplyTransposed,
    Number,
    Pack,
    Reduce,
    Ref,
    Statement,
    When,
)
from minirnn.compile.operations import ELEMENTWISE

__all__ = ["source"]

_DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
_HEADER = f"from numpy import *\n\n{', '.join(_DTYPES)} = map(dtype, {_DTYPES!r})\n"
_REDUCE = {"sum": "add", "prod": "multiply", "amax": "maximum", "amin": "minimum"}


def source(functions: Sequence[tuple[Function, int, Sequence[Any]]]) -> str:
    """The text of a module of programs with slots: each with how many, and with what each of its memory is: (kind,
    number) of an array that is given, or (name, count, dtype) of scratch."""
    return "\n\n".join([_HEADER, *(_Printer(*function).text() for function in functions)])


class _Printer(Views):
    def __init__(self, function: Function, slots: int, memory: Sequence[Any]):
        super().__init__(function)
        self.slots = slots
        self.packed: dict[str, str] = {}  # memory, the view that stands for it
        for name, of in zip(function.memory, memory, strict=True):
            self.head += found(name, *of)
        self._run(function.body)

    def text(self) -> str:
        f = self.function
        sizes = [f"{', '.join([f'z{k}' for k in range(self.slots)])}, = z"] if self.slots else []
        given = ", ".join([*f.integers, "z", "work", "given"])
        return f"def {f.name}({given}):\n" + "\n".join(indented([*sizes, *self.head, *self.lines], 1)) + "\n"

    def _run(self, body: Sequence[Statement]) -> None:
        for statement in body:
            self._DO[type(statement)](self, statement)

    # ------------------------------------------------------------ control
    @contextmanager
    def _block(self, header: str) -> Iterator[None]:
        """The lines of a block, whose names nobody knows behind it."""
        outer, views = self.lines, dict(self.views)
        self.lines = []
        yield
        if self.lines:
            outer += [header, self.lines]
        self.lines, self.views = outer, views

    def _for(self, loop: For) -> None:
        times, moving, before = index_text(loop.times), self.moving, self.before
        steps = f"range({times} - 1, -1, -1)" if loop.reverse else f"range({times})"
        self.moving = {**moving, loop.var: times}
        self.before = self.lines if before is None else before
        with self._block(f"for {loop.var} in {steps}:"):
            outer = self.before
            self.before = []
            self._run(loop.body)
            outer += self.before
        self.moving, self.before = moving, before

    def _when(self, condition: When) -> None:
        header, before = f"if {' or '.join(condition.flags)}:", self.before
        with self._block(header):
            self.before = None if before is None else []
            self._run(condition.body)
            if before is not None and self.before:
                before += [header, self.before]
        self.before = before

    def _let(self, let: Let) -> None:
        self.lines.append(f"{let.name} = ({index_text(let.value)}) % 2")
        if self.moving:
            self.moving[let.name] = "2"
        else:
            self.views.clear()

    # ------------------------------------------------------------ operations of every entry
    def _map(self, work: Map) -> None:
        work = _with_copies(work)
        if work.where is not None:
            self._masked(work)
            return
        shape = tuple_text([index_text(work.rows), *map(size_text, work.dims)])
        at_once = {
            line.name: [ref for name, ref in work.stores if name == line.name and not _is_read(work, ref, k)]
            for k, line in enumerate(work.lines)
        }
        late = [(name, ref) for name, ref in work.stores if ref not in at_once[name]]
        last = {name: k for k, line in enumerate(work.lines) for name in line.operands if isinstance(name, str)}
        last |= {name: len(work.lines) for name, _ in late}
        values: dict[str, str] = {}
        held: dict[str, list[str]] = {}  # what lies in scratch, and where that is lent from

        def release(k: int) -> None:
            for name in [name for name in held if last[name] == k]:
                held.pop(name).append(values[name])

        for k, line in enumerate(work.lines):
            given, stores = self._operands(line, work, values), at_once[line.name]
            if line.op != "where":  # which reads what it has written
                release(k)
            if not stores:
                held[line.name] = self.free.setdefault((shape, line.dtype), [])
            values[line.name] = self.entries(stores[0], work) if stores else self.scratch(shape, line.dtype)
            self.lines += _computation(line, given, values[line.name])
            self.lines += [f"copyto({self.entries(ref, work)}, {values[line.name]})" for ref in stores[1:]]
            release(k)
        self.lines += [f"copyto({self.entries(ref, work)}, {values[name]})" for name, ref in late]
        release(len(work.lines))

    def _masked(self, work: Map) -> None:
        """What is done where a row's flag is set: copies, and sums."""
        assert work.where is not None
        ones = ["1"] * len(work.dims)
        flags = self.view(work.where, [index_text(work.rows), *ones], [work.where.row, *ones])
        ((name, ref),), (line,) = work.stores, work.lines
        assert line.op in ("copy", "add")
        assert line.name == name
        given = ", ".join(self._operands(line, work, {}))
        if line.op == "copy":
            self.lines.append(f"copyto({self.entries(ref, work)}, {given}, where={flags})")
        else:
            self.lines.append(f"add({given}, {self.entries(ref, work)}, where={flags})")

    def _operands(self, line: Line, work: Map, values: dict[str, str]) -> list[str]:
        """A line's operands in the dtype in which it takes them."""
        loads, given = dict(work.loads), []
        kinds = {name: ref.dtype for name, ref in work.loads} | {v.name: v.dtype for v in work.lines}
        for k, operand in enumerate(line.operands):
            if isinstance(operand, Number):
                given.append(size_text(operand.value))
                continue
            value = self.entries(loads[operand], work) if operand in loads else values[operand]
            same = kinds[operand] == line.of or (line.op == "where" and k == 0)
            given.append(value if same else f"{value}.astype({line.of})")
        return given

    # ------------------------------------------------------------ reductions and products
    def _reduce(self, work: Reduce) -> None:
        dims, free = [index_text(work.rows), *map(size_text, (*work.free, *work.axes))], 1 + len(work.free)
        out = self.view(work.out, dims[:free], [work.out.row, *work.out.strides])
        if len(work.sources) > 1:
            self._contract(work, dims, free, out)
            return
        (ref,) = work.sources
        x, axes = self.view(ref, dims, [ref.row, *ref.strides]), [str(k) for k in range(free, len(dims))]
        taken = None if ref.dtype == work.out.dtype else work.out.dtype
        self.lines.append(f"{_REDUCE[work.op]}.reduce({x}, {tuple_text(axes)}, {taken}, {out})")

    def _contract(self, work: Reduce, dims: Sequence[str], free: int, out: str) -> None:
        """A sum of products; an axis of stride 0 is one that a source does not have."""
        if work.op != "sum":
            raise CannotCompile(f"it has the {work.op} of a product")
        strides = [(ref.row, *ref.strides) for ref in work.sources]
        kept = [[k for k, stride in enumerate(found) if stride != 0] for found in strides]
        kept[0] = sorted({*kept[0], *range(len(dims))} - {k for other in kept[1:] for k in other if k not in kept[0]})
        names, letters = [], "abcdefghijklmnopqrstuvwxyz"
        for ref, axes, by in zip(work.sources, kept, strides, strict=True):
            name = self.view(ref, [dims[k] for k in axes], [by[k] for k in axes])
            names.append(name if ref.dtype == work.out.dtype else f"{name}.astype({work.out.dtype})")
        text = ",".join(["".join([letters[k] for k in axes]) for axes in kept]) + "->" + letters[:free]
        self.lines.append(f"einsum({text!r}, {', '.join(names)}, out={out})")

    def _gather(self, work: Gather) -> None:
        rows, dims, axis = index_text(work.rows), [*map(size_text, work.dims)], work.axis
        near, far = (work.source, work.out) if work.add else (work.out, work.source)
        own = self.view(near, [rows, *dims], [near.row, *near.strides])
        whole = f"({work.numbers}.max() + 1)"  # as far as the numbers reach
        other = self.view(far, [rows, *dims[:axis], whole, *dims[axis + 1 :]], [far.row, *far.strides])
        where = f"({'slice(None), ' * (axis + 1)}{work.numbers})"
        self.lines.append(f"add.at({other}, {where}, {own})" if work.add else f"copyto({own}, {other}[{where}])")

    def _pack(self, work: Pack) -> None:
        self.packed[work.memory] = self.matrix(work.source, work.rows, work.width)

    def _multiply(self, work: Multiply) -> None:
        left, out = self.matrix(work.left, work.rows, work.k), self.matrix(work.out, work.rows, work.n)
        self.lines.append(f"matmul({left}, {self.packed.get(work.packed, work.packed)}, {out})")

    def _multiply_transposed(self, work: MultiplyTransposed) -> None:
        left = self.matrix(work.left, work.rows, work.m)
        self._add(work.out, (work.m, work.n), f"matmul({left}.T, {self.packed[work.packed]}")

    def _column_sum(self, work: ColumnSum) -> None:
        rows = self.matrix(work.source, work.rows, work.width)
        self._add(work.out, (work.width,), f"matmul(ones({index_text(work.rows)}, {work.source.dtype}), {rows}")

    def _add(self, memory: str, shape: Sequence[Any], call: str) -> None:
        out = f"{memory}.reshape({tuple_text(list(map(size_text, shape)))})"
        self.lines += ["if starts:", [f"{call}, {out})"], "else:", [f"add({out}, {call}), {out})"]]

    _DO: ClassVar[dict[Any, Any]] = {
        For: _for,
        When: _when,
        Let: _let,
        Map: _map,
        Reduce: _reduce,
        Gather: _gather,
        Pack: _pack,
        Multiply: _multiply,
        MultiplyTransposed: _multiply_transposed,
        ColumnSum: _column_sum,
    }


def _is_read(work: Map, ref: Ref, k: int) -> bool:
    """Whether what lies at a store's place is read behind line k, or by it once it has begun to write."""
    behind = work.lines[k if work.lines[k].op == "where" else k + 1 :]
    here = {name for name, load in work.loads if (load.memory, load.at, load.row) == (ref.memory, ref.at, ref.row)}
    return any(operand in here for line in behind for operand in line.operands)


def _with_copies(work: Map) -> Map:
    """The Map with lines for what it stores as it was loaded."""
    loads = dict(work.loads)
    copies = {name: f"{name} copied" for name, _ in work.stores if name in loads}
    lines = [Line(new, "copy", (name,), loads[name].dtype, loads[name].dtype) for name, new in copies.items()]
    stores = tuple([(copies.get(name, name), ref) for name, ref in work.stores])
    return work._replace(lines=(*work.lines, *lines), stores=stores)


def _computation(line: Line, given: Sequence[str], out: str) -> Iterator[str]:
    """The calls that write a line's value to an array."""
    match line.op:
        case "copy" | "cast":
            yield f"copyto({out}, {given[0]}, 'unsafe')"
        case "sigmoid":
            yield f"multiply({given[0]}, 0.5, {out})"
            yield f"tanh({out}, {out})"
            yield f"multiply({out}, 0.5, {out})"
            yield f"add({out}, 0.5, {out})"
        case "softplus":
            yield f"logaddexp({given[0]}, 0.0, {out})"
        case "where":
            yield f"copyto({out}, {given[2]})"
            yield f"copyto({out}, {given[1]}, where={given[0]})"
        case "maximum" | "minimum":  # which take no third argument without its name
            yield f"{line.op}({', '.join(given)}, out={out})"
        case _:
            yield f"{ELEMENTWISE[line.op].__name__}({', '.join([*given, out])})"
