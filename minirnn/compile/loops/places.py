"""Where a value lies in flat memory, and the views of it that need no memory of their own.

Where rows of the batch never meet, a statement goes over them, and the axes of a value are those of a row. Where they
meet, a step's rows are one row, of which the batch is an axis like others: `first` axes are not the row's own.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import BATCH, Node, is_scalar
from minirnn.compile.loops.program import Index, index
from minirnn.compile.loops.sizes import Size, dense, scaled, size_of, times
from minirnn.compile.operations import VIEWS
from minirnn.compile.place import Placed, Program, once_nodes
from minirnn.compile.when import When

__all__ = ["Argument", "Home", "Place", "Places"]


class Argument(NamedTuple):
    """kind: x, y, s, in, k, d, dx, anew, danew, sums (arrays of the call), p (parameters), c (what follows from them),
    packed (matrices of those), constant, outside, begins (flags), work (scratch: rows * width numbers of a dtype),
    right (scratch for a packed right side of so many rows), or room (scratch of a product)."""

    kind: str
    number: int = 0
    name: str = ""
    rows: Index = ()
    width: Size = 0
    dtype: str = ""


class Place(NamedTuple):
    """Where a value lies: a name of flat memory, from where on, and how far apart rows and the entries of axes are."""

    memory: str
    at: Index
    row: Size
    strides: tuple[Size, ...]


class Home(NamedTuple):
    """A value's memory; level: which of its rows (see `_memory_place`); from which entry of a row on, and the strides
    of its axes there (None: without gaps)."""

    memory: str
    level: str
    offset: Size = 0
    strides: tuple[Size, ...] | None = None


class Places:
    """Where each value of a direction can be read in a phase, of the memory that it has been given."""

    def __init__(self, placed: Placed, program: Program, backward: bool):
        self.placed, self.program, self.backward = placed, program, backward
        self.first = 1 if placed.row_wise else 0
        self.of_kind = placed.of_kind
        self.results: Callable[[str], list[Any]] = placed.results
        self.constants: dict[Node, int] = {}
        self.numbers: dict[tuple[Node, Any], Node] = {}
        self.arguments: dict[str, Argument] = {}  # what the caller brings for a name
        self.memory: dict[Node, Home] = {}
        self.widths: dict[str, Size] = {}  # of rows of memory that several values share
        self.behind: dict[Node, Home] = {}  # running cotangents, kept for what stands behind the loop
        self.once_index = {node: k for k, node in enumerate(once_nodes(program))}
        self.phase_of = {n: name for name in ("before", "loop", "after") for n in getattr(program, name)}

    # ------------------------------------------------------------ shapes
    def tail(self, shape: Sequence[int]) -> tuple[Size, ...]:
        """The axes of a row."""
        return tuple([size_of(dim) for dim in shape[self.first :]])

    def width(self, node: Node) -> Size:
        """How many numbers a row of the value has."""
        return times(*self.tail(node.shape))

    def many(self, node: Node) -> int:
        """Rows of the value for a row of the batch."""
        return node.shape[0] // BATCH if self.first and node.shape[0] % BATCH == 0 else 1

    def rows(self, node: Node, phase: str) -> Index:
        """Rows of the value that a statement of the phase goes over."""
        if not self.first:
            return index(1)
        return scaled(self.many(node), "b") if phase == "loop" else scaled(self.many(node), "n", "b")

    # ------------------------------------------------------------ memory
    def argument(self, name: str, given: Argument) -> str:
        self.arguments[name] = given
        return name

    def place(self, node: Node, phase: str) -> Place:
        """Where a value can be read in a phase."""
        if self._is_once(node):
            return self._once_place(node)
        if node in self.behind and phase != "loop":
            return self._memory_place(self.behind[node], node, phase)
        if node in self.memory:
            return self._memory_place(self.memory[node], node, phase)
        if node.op not in VIEWS:
            raise CannotCompile(f"it has {node.op} where memory was expected")
        return self._view(node, self.place(node.operands[0], phase))

    def _is_once(self, node: Node) -> bool:
        if node in self.memory or self.placed.known.get(node) != When.ONCE:
            return False
        return node not in self.phase_of or (node.op == "broadcast" and is_scalar(node.operands[0]))

    def _memory_place(self, where: Home, node: Node, phase: str) -> Place:
        row, of_batch = self.widths.get(where.memory) or self.width(node), ("b",) * self.first
        step, inside = times(row, self.many(node)), phase == "loop"
        at = {
            "rows": scaled(step, "t", *of_batch) if inside else (),
            "later": index(scaled(step, "t", *of_batch) if inside else (), scaled(step, *of_batch)),
            "step": (),
            "now": scaled(step, "now", *of_batch),
            "next": index(scaled(step, *of_batch), scaled(times(-1, step), "now", *of_batch)),
        }[where.level]
        strides = dense(self.tail(node.shape)) if where.strides is None else where.strides
        return Place(where.memory, index(at, where.offset), row if self.first else 0, strides)

    def _once_place(self, node: Node) -> Place:
        shape = node.shape
        if node.op == "broadcast" and not node.operands[0].shape:
            place = self._once_place(self._number(node.operands[0], node.dtype))
            batch = shape[:1] != () and shape[0] % BATCH == 0
            return place._replace(strides=(0,) * (len(shape) - (self.first if batch else 0)))
        if node.op == "input":
            k = self.of_kind("parameter").index(node)
            name, given = f"p{k}", Argument("p", k)
        elif node.op == "const":
            return Place(self.constant(node), (), 0, _once_strides(shape))
        elif node not in self.once_index:
            raise CannotCompile("it has a constant for every row")
        else:
            k = self.once_index[node]
            name, given = f"c{k}", Argument("c", k)
        self.argument(name, given)
        return Place(name, (), 0, _once_strides(shape))

    def constant(self, node: Node) -> str:
        """The memory of a constant."""
        k = self.constants.setdefault(node, len(self.constants))
        return self.argument(f"n{k}", Argument("constant", k))

    def _number(self, node: Node, dtype: Any) -> Node:
        """A number in memory, in the dtype in which it is read."""
        if node.op != "const" or node.dtype == dtype:
            return node
        return self.numbers.setdefault((node, dtype), Node("const", (), node.attrs, (), dtype))

    # ------------------------------------------------------------ views
    def outline(self, node: Node) -> Place:
        """A value's place as far as its strides tell of it, before all memory is given."""
        if self._is_once(node):
            return self._once_place(node)
        if node in self.memory:
            return self._memory_place(self.memory[node], node, self.phase_of.get(node, "loop"))
        if node.op not in VIEWS:
            return Place("", (), self.width(node) if self.first else 0, dense(self.tail(node.shape)))
        return self._view(node, self.outline(node.operands[0]))

    def is_view(self, node: Node) -> bool:
        """Whether a view needs no memory of its own."""
        if node.op != "reshape":
            return True
        try:
            self._view(node, self.outline(node.operands[0]))
        except CannotCompile:
            return False
        return True

    def _view(self, node: Node, base: Place) -> Place:
        (x,), first = node.operands, self.first
        match node.op:
            case "slice":
                pairs = list(zip(node.attrs[first:], base.strides, strict=True))
                offset = index(*[index(times(size_of(part[0]), stride)) for part, stride in pairs])
                strides = tuple([times(part[2], stride) for part, stride in pairs])
                return base._replace(at=index(base.at, offset), strides=strides)
            case "transpose":
                return base._replace(strides=tuple([base.strides[axis - first] for axis in node.attrs[first:]]))
            case "windows":
                y, x_, channel = base.strides[-3:]
                return base._replace(strides=(*base.strides[:-3], y, x_, y, x_, channel))
            case "broadcast":
                new = len(node.shape) - len(x.shape)
                pairs_ = zip(x.shape[first:], node.shape[first + new :], base.strides, strict=True)
                return base._replace(strides=(0,) * new + tuple([0 if a != b else s for a, b, s in pairs_]))
        return self._reshaped(node, x, base)

    def _reshaped(self, node: Node, x: Node, base: Place) -> Place:
        old, new = self.tail(x.shape), self.tail(node.shape)
        if self.many(x) != self.many(node):
            if base.strides == dense(old) and base.row == self.width(x):
                return base._replace(row=self.width(node), strides=dense(new))
        elif _without_units(old, base.strides) == _without_units(old, dense(old)):
            return base._replace(strides=dense(new))
        elif [d for d in old if d != 1] == [d for d in new if d != 1]:
            kept = iter([s for d, s in zip(old, base.strides, strict=True) if d != 1])
            return base._replace(strides=tuple([0 if d == 1 else next(kept) for d in new]))
        raise CannotCompile("a reshape of a part")

    def of_call(self, place: Place) -> Place:
        """The place, whose memory is an argument from now on where the call brings it."""
        name = place.memory
        letters = name.rstrip("0123456789")
        if name not in self.arguments and letters in ("x", "y", "s", "in", "k", "d", "dx", "anew", "danew"):
            self.argument(name, Argument(letters, int(name[len(letters) :])))
        return place


def _once_strides(shape: Sequence[int]) -> tuple[Size, ...]:
    return tuple([0 if d == 1 else s for d, s in zip(shape, dense(shape), strict=True)])


def _without_units(shape: Sequence[Size], strides: Sequence[Size]) -> list[Size]:
    return [stride for dim, stride in zip(shape, strides, strict=True) if dim != 1]
