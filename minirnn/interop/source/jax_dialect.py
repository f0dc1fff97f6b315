"""Operations of a graph in JAX."""

from collections.abc import Sequence
from typing import Any, ClassVar

from minirnn.compile.ir import Node, has_batch, is_scalar
from minirnn.interop.source.expressions import ATOM, LIKE, Dialect, Text, array_text, dims_text, within
from minirnn.interop.source.sizes import size

__all__ = ["JaxDialect"]

_SAME = """abs sign floor ceil sqrt tanh exp expm1 log log1p sin cos tan sinh cosh arcsin arccos arctan arctan2 isfinite
isnan where maximum minimum logaddexp"""


class JaxDialect(Dialect):
    module, title, fuses = "jnp", "JAX", True
    functions: ClassVar = {
        **{name: f"jnp.{name}" for name in _SAME.split()},
        "sigmoid": "jax.nn.sigmoid",
        "softplus": "jax.nn.softplus",
    }

    def constant(self, value: Any) -> str:
        kind = f", {LIKE}.dtype" if value.dtype.kind == "f" else ""
        return f"jnp.array({array_text(value)}{kind})"

    def rows(self, text: Text) -> str:
        return f"{within(text, ATOM)}.reshape(T * B, -1)"

    def op_cast(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        to = {"f": f"{LIKE}.dtype", "b": "bool"}.get(node.dtype.kind, f"jnp.{node.dtype.name}")
        return Text(f"{within(texts[0], ATOM)}.astype({to})")

    # ------------------------------------------------------------ reductions
    def op_sum(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._reduced("sum", node, texts)

    def op_amax(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._reduced("max", node, texts)

    def op_amin(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._reduced("min", node, texts)

    def op_prod(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._reduced("prod", node, texts)

    def _reduced(self, function: str, node: Node, texts: Sequence[Text]) -> Text:
        rank = len(node.operands[0].shape)
        over_rows = 0 in node.attrs and not has_batch(node) and has_batch(node.operands[0])
        axes = [str(axis if over_rows else axis - rank) for axis in node.attrs]
        axes_text = axes[0] if len(axes) == 1 else f"({', '.join(axes)})"
        return Text(f"{within(texts[0], ATOM)}.{function}({axes_text})")

    def sum_over_all_rows(self, node: Node, texts: Sequence[Text]) -> Text:
        axes = ", ".join(["0", "1", *(str(axis + 1) for axis in node.attrs if axis)])
        return Text(f"{within(texts[0], ATOM)}.sum(({axes}))")

    def op_cumsum(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return Text(f"{within(texts[0], ATOM)}.cumsum({self.axis(node.attrs[0], node)})")

    def op_cumprod(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return Text(f"{within(texts[0], ATOM)}.cumprod({self.axis(node.attrs[0], node)})")

    # ------------------------------------------------------------ shapes
    def op_reshape(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        if (axis := self.new_axis(node)) is not None:
            return Text(f"jnp.expand_dims({texts[0].text}, {axis})")
        return Text(f"{within(texts[0], ATOM)}.reshape({dims_text(node.shape, self.leading(moved))})")

    def op_broadcast(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        dims = f"({dims_text(node.shape, self.leading(moved))},)"
        if is_scalar(node.operands[0]):
            kind = f"{LIKE}.dtype" if node.dtype.kind == "f" else f"jnp.{node.dtype.name}"
            return Text(f"jnp.full({dims}, {texts[0].text}, {kind})")
        return Text(f"jnp.broadcast_to({texts[0].text}, {dims})")

    def op_transpose(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        if node.attrs == (1, 0):
            return Text(f"{within(texts[0], ATOM)}.T")
        axes = [0, *(axis + 1 for axis in node.attrs)] if moved else node.attrs
        return Text(f"{within(texts[0], ATOM)}.transpose({', '.join(map(str, axes))})")

    def op_concat(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        given = ", ".join(text.text for text in texts)
        return Text(f"jnp.concatenate(({given}), {self.axis(node.attrs[0], node)})")

    def op_put(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        """Zeros around the operand."""
        if all(step == 1 for _, _, step in node.attrs[1:]):
            pads = [
                "(0, 0)" if (start, stop) == (0, dim) else f"({size(start)}, {size(dim - stop)})"
                for dim, (start, stop, _) in zip(node.attrs[0], node.attrs[1:], strict=True)
            ]
            return Text(f"jnp.pad({texts[0].text}, ({', '.join([*['(0, 0)'] * moved, *pads])},))")
        parts = [self.part(part, dim) for part, dim in zip(node.attrs[1:], node.attrs[0], strict=True)]
        where = ", ".join([*[":"] * moved, *parts])
        return Text(f"{self._zeros(node, moved)}.at[{where}].set({texts[0].text})")

    def _zeros(self, node: Node, moved: bool) -> str:
        return f"jnp.zeros(({dims_text(node.shape, self.leading(moved))},), {LIKE}.dtype)"

    def op_take(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        axis = self.axis(node.attrs[0], node)
        return Text(f"jnp.take({texts[0].text}, jnp.array({array_text(node.attrs[1:])}), {axis})")

    def op_untake(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        behind = -self.axis(node.attrs[0], node) - 1
        where = ", ".join(["...", f"jnp.array({array_text(node.attrs[2:])})", *[":"] * behind])
        return Text(f"{self._zeros(node, moved)}.at[{where}].add({texts[0].text})")

    def backwards(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        parts = [self.part(*pair) for pair in zip(node.attrs, node.operands[0].shape, strict=True)]
        return Text(f"{within(texts[0], ATOM)}[{', '.join([*[':'] * moved, *parts])}]")
