"""A node of a graph as an expression of PyTorch or JAX, of its operands' texts."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import BATCH, Node, has_batch, is_scalar
from minirnn.compile.operations import OPERATIONS
from minirnn.interop.source.sizes import number, size

__all__ = ["ATOM", "LIKE", "Dialect", "Text", "array_text", "dims_text", "within"]

ATOM, POWER, SIGN, PRODUCT, SUM, COMPARISON = 6, 5, 4, 3, 2, 1
_INFIX = {"add": SUM, "sub": SUM, "mul": PRODUCT, "div": PRODUCT, "pow": POWER}
LIKE = "\x04"  # stands for an argument whose dtype and device new arrays have
_LARGEST = 4096  # entries of a constant array that a file may hold


class Text(NamedTuple):
    """What is written, and how tightly it holds together."""

    text: str
    tight: int = ATOM


def within(text: Text, tight: int) -> str:
    """The text as it stands in what holds this tightly: in brackets where it must."""
    return text.text if text.tight >= tight else f"({text.text})"


def dim_text(dim: int) -> str:
    if dim % BATCH or not dim:
        return size(dim)
    return "B" if dim == BATCH else f"{size(dim // BATCH)} * B"


def dims_text(shape: Sequence[int], leading: str = "") -> str:
    """A shape's numbers, with those of leading axes before them."""
    return ", ".join([*([leading] if leading else []), *map(dim_text, shape)])


def array_text(value: Any) -> str:
    """A constant array as nested lists. CannotCompile: it is large."""
    value = np.asarray(value)
    if value.size > _LARGEST:
        raise CannotCompile(f"an array of {value.size} constants is too long to be written out")
    if value.ndim:
        return "[" + ", ".join(map(array_text, value)) + "]"
    return (
        repr(value.item()) if value.dtype.kind == "f" else size(value) if value.dtype.kind != "b" else str(bool(value))
    )


class Dialect:
    """What PyTorch and JAX share. all_steps: whether values with a batch have an axis of time before it, T.

    CannotCompile: names an operation that has no text.
    """

    module: str  # torch or jnp
    title: str  # the framework's name
    permute: str  # the method that puts axes in another order
    largest, smallest = "amax", "amin"  # methods
    fuses: bool  # whether operations of a loop are fused, so that cheap ones cost least there
    functions: ClassVar[dict[str, str]]  # operations that are a function of the module by another name

    def expression(self, node: Node, texts: Sequence[Text], all_steps: bool) -> Text:
        """The node's text."""
        by_name: Callable[..., Text] | None = getattr(self, f"op_{node.op}", None)
        moved = all_steps and has_batch(node)
        if node.op in _INFIX:
            return self._infix(node, texts)
        if by_name is not None:
            return by_name(node, texts, moved)
        if node.op in OPERATIONS and OPERATIONS[node.op].infix:  # comparisons, mod
            infix = OPERATIONS[node.op].infix
            tight = PRODUCT if node.op == "mod" else COMPARISON
            return Text(f"{within(texts[0], tight + 1)} {infix} {within(texts[1], tight + 1)}", tight)
        if node.op in self.functions:
            return Text(f"{self.functions[node.op]}({', '.join(text.text for text in texts)})")
        raise CannotCompile(f"the operation {_named(node)} has no text in {self.title}")

    def fused(self, node: Node, lines: Any, where: str) -> Text | None:
        """The text of a node together with some of its operands, where there is a function for that."""
        return None

    def sum_over_all_rows(self, node: Node, texts: Sequence[Text]) -> Text:
        axes = ", ".join(["0", "1", *(str(axis + 1) for axis in node.attrs if axis)])
        return Text(f"{within(texts[0], ATOM)}.sum(({axes}))")

    def einsum_over_all_rows(self, node: Node, texts: Sequence[Text]) -> Text:
        return self._einsum(_of_all_steps(node, kept=False), texts)

    def _infix(self, node: Node, texts: Sequence[Text]) -> Text:
        tight, infix = _INFIX[node.op], OPERATIONS[node.op].infix
        left, right = (tight + 1, tight) if node.op == "pow" else (tight, tight + 1)
        return Text(f"{within(texts[0], left)} {infix} {within(texts[1], right)}", tight)

    # ------------------------------------------------------------ numbers
    def op_const(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        value = node.attrs[0]
        if is_scalar(node):
            if isinstance(value, float) and not np.isfinite(value):
                return Text(f'float("{value}")')
            plain = int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e6 else value
            text = str(plain) if isinstance(plain, bool) else number(plain)
            return Text(text, SIGN if not isinstance(plain, bool) and plain < 0 else ATOM)
        return Text(self.constant(value))

    def constant(self, value: Any) -> str:
        raise NotImplementedError

    def op_size(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        times, plus, power = node.attrs
        text = "B" if times == 1 else f"{size(times)} * B"
        text += f" + {size(plus)}" if plus > 0 else f" - {size(-plus)}" if plus < 0 else ""
        return Text(f"({text})") if power == 1 else Text(f"1 / ({text})", PRODUCT)

    def op_neg(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return Text(f"-{within(texts[0], SIGN)}", SIGN)

    def op_copy(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return texts[0]

    def op_logical_and(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return Text(f"{within(texts[0], ATOM)} & {within(texts[1], ATOM)}", COMPARISON)

    def op_logical_or(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return Text(f"({within(texts[0], ATOM)} | {within(texts[1], ATOM)})")

    def op_logical_not(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return Text(f"~{within(texts[0], ATOM)}", SIGN)

    # ------------------------------------------------------------ products
    def op_matmul(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        a, b = (
            f"{within(text, ATOM)}.T" if turned else within(text, PRODUCT + k)
            for k, (text, turned) in enumerate(zip(texts, node.attrs, strict=True))
        )
        return Text(f"{a} @ {b}", PRODUCT)

    def over_all_rows(self, node: Node, texts: Sequence[Text]) -> Text:
        """A product that sums over all rows of all steps."""
        a, b = (self.rows(text) for text in texts)
        return Text(f"{a}.T @ {b}", PRODUCT)

    def rows(self, text: Text) -> str:
        """(T, B, ...) as (T * B, ...)."""
        raise NotImplementedError

    def op_einsum(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._einsum(_of_all_steps(node, kept=True) if moved else node.attrs[0], texts)

    def _einsum(self, equation: str, texts: Sequence[Text]) -> Text:
        return Text(f'{self.module}.einsum("{equation}", {", ".join(text.text for text in texts)})')

    # ------------------------------------------------------------ reductions
    def op_sum(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._reduced("sum", node, texts)

    def op_amax(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._reduced(self.largest, node, texts)

    def op_amin(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._reduced(self.smallest, node, texts)

    def op_prod(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._reduced("prod", node, texts)

    def _reduced(self, method: str, node: Node, texts: Sequence[Text]) -> Text:
        rank = len(node.operands[0].shape)
        over_rows = 0 in node.attrs and not has_batch(node) and has_batch(node.operands[0])
        axes = [str(axis if over_rows else axis - rank) for axis in node.attrs]
        axes_text = axes[0] if len(axes) == 1 else f"({', '.join(axes)})"
        return Text(f"{within(texts[0], ATOM)}.{method}({axes_text})")

    def op_cumsum(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return Text(f"{within(texts[0], ATOM)}.cumsum({self.axis(node.attrs[0], node)})")

    def op_cumprod(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return Text(f"{within(texts[0], ATOM)}.cumprod({self.axis(node.attrs[0], node)})")

    # ------------------------------------------------------------ shapes
    def op_reshape(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        if (axis := self.new_axis(node)) is not None:
            return self.with_axis(texts[0], axis)
        return Text(f"{within(texts[0], ATOM)}.reshape({dims_text(node.shape, self.leading(moved))})")

    def with_axis(self, text: Text, axis: int) -> Text:
        """The value with an axis of length 1 there, counted from behind."""
        raise NotImplementedError

    def op_transpose(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        if node.attrs == (1, 0):
            return Text(f"{within(texts[0], ATOM)}.T")
        axes = [0, *(axis + 1 for axis in node.attrs)] if moved else node.attrs
        return Text(f"{within(texts[0], ATOM)}.{self.permute}({', '.join(map(str, axes))})")

    # ------------------------------------------------------------ parts
    def op_slice(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        parts = [self.part(*pair) for pair in zip(node.attrs, node.operands[0].shape, strict=True)]
        if any(step < 0 for _, _, step in node.attrs):
            return self.backwards(node, texts, moved)
        changed = [k for k, part in enumerate(parts) if part != ":"]
        if not changed:
            return texts[0]
        if changed == [len(parts) - 1] and (moved or len(parts) > 2):
            parts = ["...", parts[-1]]
        elif moved:
            parts = [":", *parts[: changed[-1] + 1]]
        else:
            parts = parts[: changed[-1] + 1]
        return Text(f"{within(texts[0], ATOM)}[{', '.join(parts)}]")

    def backwards(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        raise NotImplementedError

    def part(self, part: tuple[int, int, int], dim: int) -> str:
        start, stop, step = part
        if (start, stop, step) == (0, dim, 1):
            return ":"
        by = f":{size(step)}" if step != 1 else ""
        return f"{dim_text(start) if start else ''}:{dim_text(stop) if stop not in (dim, -1) else ''}{by}"

    def leading(self, moved: bool) -> str:
        return "T" if moved else ""

    def axis(self, axis: int, node: Node) -> int:
        """An axis of the node's, counted from behind."""
        return axis - len(node.shape)

    def new_axis(self, node: Node) -> int | None:
        """Where a reshape puts an axis of length 1, counted from behind; None where it does anything else."""
        shape = node.shape
        places = [
            k for k, dim in enumerate(shape) if (*shape[:k], *shape[k + 1 :]) == node.operands[0].shape and dim == 1
        ]
        return places[0] - len(shape) if places else None


def _of_all_steps(node: Node, kept: bool) -> str:
    """An einsum's equation with a letter for time; kept: in the result too."""
    inputs, output = node.attrs[0].split("->")
    time = next(letter for letter in "tzyxwvu" if letter not in node.attrs[0])
    given = [f"{time}{i}" if has_batch(o) else i for i, o in zip(inputs.split(","), node.operands, strict=True)]
    return f"{','.join(given)}->{time * kept}{output}"


def _named(node: Node) -> str:
    return f"{node.attrs[0]}.{node.attrs[1]}" if node.op == "call" else node.op
