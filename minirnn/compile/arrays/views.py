"""Lines of a NumPy function: its memory, views of it, and numbers as text."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minirnn.compile.loops.program import Function, Index, Map, Ref, Slot

__all__ = ["Block", "Views", "found", "index_text", "indented", "size_text", "tuple_text"]

Block = list[Any]  # lines, and blocks within


class Views:
    """The lines of a function, in which every Ref is a view: made before the loop, and cut to its variables within."""

    def __init__(self, function: Function):
        self.function = function
        self.head: Block = []  # memory, and tuples of sizes
        self.lines: Block = []
        self.before: Block | None = None  # where views of a loop's memory are made
        self.views: dict[str, str] = {}  # the text of a view, its name
        self.tuples: dict[str, str] = {}
        self.moving: dict[str, str] = {}  # the variables of a loop, how many values each has
        self.free: dict[Any, list[str]] = {}  # scratch by shape and dtype
        self.count = 0

    def name(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def named(self, numbers: str) -> str:
        """The name of a tuple of sizes, which several views share."""
        if numbers not in self.tuples:
            self.tuples[numbers] = self.name("f")
            self.head.append(f"{self.tuples[numbers]} = {numbers}")
        return self.tuples[numbers]

    def view(self, ref: Ref, shape: Sequence[str], strides: Sequence[Any]) -> str:
        """The name of a view of these axes, made before the loop and cut to the loop's variables in it."""
        size = np.dtype(ref.dtype).itemsize
        if "0" in shape:  # nothing lies there, and its place may be outside
            ref, strides = ref._replace(at=()), ["0"] * len(shape)
        moves = [v for v in self.moving if any(v in names for _, names in ref.at)]
        start = tuple([term for term in ref.at if not set(moves) & set(term[1])])
        steps = [[(k, _without(names, v)) for k, names in ref.at if v in names] for v in moves]
        shape = [*(self.moving[v] for v in moves), *shape]
        strides = [*(index_text(tuple(step), size) for step in steps), *(_product(s, size) for s in strides)]
        axes = f"{self.named(tuple_text(shape))}, {ref.dtype}, {ref.memory}"
        made = f"ndarray({axes}, {index_text(start, size)}, {self.named(tuple_text(strides))})"
        if made not in self.views:
            self.views[made] = self.name("q")
            (self.lines if self.before is None else self.before).append(f"{self.views[made]} = {made}")
        if not moves:
            return self.views[made]
        cut = f"{self.views[made]}[{', '.join(moves)}]"
        if cut not in self.views:
            self.views[cut] = f"{self.views[made]}_{''.join(moves)}"
            self.lines.append(f"{self.views[cut]} = {cut}")
        return self.views[cut]

    def entries(self, ref: Ref, work: Map) -> str:
        return self.view(ref, [index_text(work.rows), *map(size_text, work.dims)], [ref.row, *ref.strides])

    def matrix(self, ref: Ref, rows: Index, width: Any) -> str:
        stride = 1 if width == 1 or not ref.strides else ref.strides[0]
        return self.view(ref, [index_text(rows), size_text(width)], [ref.row, stride])

    def scratch(self, shape: str, dtype: str) -> str:
        free = self.free[shape, dtype]
        if not free:
            free.append(self.name("t"))
            self.head.append(f"{free[0]} = work('{self.function.name} {free[0]}', {shape}, {dtype})")
        return free.pop()


# ---------------------------------------------------------------- text
def found(name: str, kind: str, *rest: Any) -> Iterator[str]:
    """How the function finds its memory."""
    if len(rest) == 2:
        count, dtype = rest
        yield f"{name} = work({kind!r}, ({index_text(count)},), {dtype})"
    elif kind in ("sums", "anew", "danew"):  # given where they are asked for, and where something begins
        yield f"{name} = given['{kind}'][{rest[0]}] if given['{kind}'] else None"
    elif kind not in ("right", "room"):  # products take their right side as it lies
        yield f"{name} = given['{kind}'][{rest[0]}]"


def size_text(size: Any) -> str:
    if isinstance(size, Slot):
        return f"z{size.k}"
    return repr(size) if not isinstance(size, tuple) else f"({index_text(size)})" if len(size) > 1 else index_text(size)


def index_text(index: Index, times: int = 1) -> str:
    return " + ".join([_product(size, *names, times) for size, names in index]) or "0"


def _product(*factors: Any) -> str:
    """Of sizes and names of variables."""
    texts = [factor if isinstance(factor, str) else size_text(factor) for factor in factors]
    return "0" if "0" in texts else " * ".join([text for text in texts if text != "1"]) or "1"


def _without(names: Sequence[str], name: str) -> tuple[str, ...]:
    at = names.index(name)
    return (*names[:at], *names[at + 1 :])


def tuple_text(texts: Sequence[str]) -> str:
    return f"({', '.join(texts)}{',' * (len(texts) == 1)})"


def indented(block: Block, depth: int) -> Iterator[str]:
    for line in block:
        if isinstance(line, str):
            yield "    " * depth + line
        else:
            yield from indented(line, depth + 1)
