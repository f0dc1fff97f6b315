"""Operations of a graph in JAX."""

from collections.abc import Sequence
from typing import Any, ClassVar

from minirnn.compile.ir import Node, is_scalar
from minirnn.interop.source.expressions import ATOM, LIKE, Dialect, Text, array_text, dims_text, within
from minirnn.interop.source.sizes import size

__all__ = ["JaxDialect"]

_SAME = """abs sign floor ceil sqrt tanh exp expm1 log log1p sin cos tan sinh cosh arcsin arccos arctan arctan2 isfinite
isnan where maximum minimum logaddexp"""


class JaxDialect(Dialect):
    module, title, permute, fuses = "jnp", "JAX", "transpose", True
    largest, smallest = "max", "min"
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

    # ------------------------------------------------------------ shapes
    def with_axis(self, text: Text, axis: int) -> Text:
        return Text(f"jnp.expand_dims({text.text}, {axis})")

    def op_broadcast(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        dims = f"({dims_text(node.shape, self.leading(moved))},)"
        if is_scalar(node.operands[0]):
            kind = f"{LIKE}.dtype" if node.dtype.kind == "f" else f"jnp.{node.dtype.name}"
            return Text(f"jnp.full({dims}, {texts[0].text}, {kind})")
        return Text(f"jnp.broadcast_to({texts[0].text}, {dims})")

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
