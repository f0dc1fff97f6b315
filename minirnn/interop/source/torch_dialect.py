"""Operations of a graph in PyTorch."""

from collections.abc import Sequence
from typing import Any, ClassVar

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import Node, is_scalar
from minirnn.interop.source.expressions import ATOM, LIKE, Dialect, Text, array_text, dims_text, within
from minirnn.interop.source.sizes import size

__all__ = ["TorchDialect"]

_SAME = "abs sign floor ceil sqrt tanh exp expm1 log log1p sin cos tan sinh cosh sigmoid isfinite isnan where"


class TorchDialect(Dialect):
    module, title, permute, fuses = "torch", "PyTorch", "permute", False
    functions: ClassVar = {
        **{name: f"torch.{name}" for name in _SAME.split()},
        "arcsin": "torch.asin",
        "arccos": "torch.acos",
        "arctan": "torch.atan",
        "arctan2": "torch.atan2",
    }

    def constant(self, value: Any) -> str:
        kind = value.dtype.kind
        like = f"dtype={LIKE}.dtype, " if kind == "f" else ""
        return f"torch.tensor({array_text(value)}, {like}device={LIKE}.device)"

    def fused(self, node: Node, lines: Any, where: str) -> Text | None:
        """x + a @ b as one call."""
        for product, other in (node.operands, node.operands[::-1]) if node.op == "add" else ():
            inlined = product.op == "matmul" and not product.attrs[0] and not lines.is_line(product)
            if inlined and other.shape in (node.shape, node.shape[1:]):
                a, b = (lines.reference(operand, where) for operand in product.operands)
                turned = f"{within(b, ATOM)}.T" if product.attrs[1] else b.text
                return Text(f"torch.addmm({lines.reference(other, where).text}, {a.text}, {turned})")
        return None

    def rows(self, text: Text) -> str:
        return f"{within(text, ATOM)}.flatten(0, 1)"

    def op_cast(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        to = {"f": f"{LIKE}.dtype", "b": "torch.bool"}.get(node.dtype.kind, f"torch.{node.dtype.name}")
        return Text(f"{within(texts[0], ATOM)}.to({to})")

    def op_softplus(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return Text(f"softplus({texts[0].text})")

    def op_logaddexp(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._of_tensors("torch.logaddexp", node, texts)

    def op_maximum(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._bounded("maximum", "min", node, texts)

    def op_minimum(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        return self._bounded("minimum", "max", node, texts)

    def _bounded(self, function: str, bound: str, node: Node, texts: Sequence[Text]) -> Text:
        for k in (0, 1):
            if is_scalar(node.operands[k]):
                return Text(f"{within(texts[1 - k], ATOM)}.clamp({bound}={texts[k].text})")
        return Text(f"torch.{function}({texts[0].text}, {texts[1].text})")

    def _of_tensors(self, function: str, node: Node, texts: Sequence[Text]) -> Text:
        """A function that takes no numbers."""
        other = {0: texts[1].text, 1: texts[0].text}
        given = [
            f"torch.full_like({other[k]}, {text.text})" if is_scalar(operand) else text.text
            for k, (text, operand) in enumerate(zip(texts, node.operands, strict=True))
        ]
        return Text(f"{function}({', '.join(given)})")

    # ------------------------------------------------------------ reductions
    def op_prod(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        if len(node.attrs) > 1:
            raise CannotCompile("a product over several axes has no text in PyTorch")
        return super().op_prod(node, texts, moved)

    # ------------------------------------------------------------ shapes
    def with_axis(self, text: Text, axis: int) -> Text:
        return Text(f"{within(text, ATOM)}.unsqueeze({axis})")

    def op_broadcast(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        dims = dims_text(node.shape, self.leading(moved))
        if is_scalar(node.operands[0]):
            kind = f"{LIKE}.dtype" if node.dtype.kind == "f" else f"torch.{node.dtype.name}"
            return Text(f"torch.full(({dims},), {texts[0].text}, dtype={kind}, device={LIKE}.device)")
        return Text(f"{within(texts[0], ATOM)}.expand({dims})")

    def op_concat(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        axis = self.axis(node.attrs[0], node)
        return Text(f"torch.cat(({', '.join(text.text for text in texts)}), {axis})")

    def op_put(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        """Zeros around the operand."""
        where = list(zip(node.attrs[1:], node.attrs[0], strict=True))
        if all(part in ((0, dim, 1), (dim - 1, -1, -1)) for part, dim in where):
            return self._flipped(node, node.attrs[1:], texts)
        if any(step != 1 for _, _, step in node.attrs[1:]):
            raise CannotCompile("zeros between the entries of a slice have no text in PyTorch")
        pads: list[str] = []
        for (start, stop, _), dim in reversed(where):
            pads += [size(start), size(dim - stop)] if (start, stop) != (0, dim) else ["0", "0"]
        while pads[-2:] == ["0", "0"] and len(pads) > 2:
            pads = pads[:-2]
        return Text(f"torch.nn.functional.pad({texts[0].text}, ({', '.join(pads)}))")

    def backwards(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        whole = zip(node.attrs, node.operands[0].shape, strict=True)
        if not all(part in ((0, dim, 1), (dim - 1, -1, -1)) for part, dim in whole):
            raise CannotCompile("a slice that goes backwards over a part has no text in PyTorch")
        return self._flipped(node, node.attrs, texts)

    def _flipped(self, node: Node, parts: Sequence[tuple[int, int, int]], texts: Sequence[Text]) -> Text:
        axes = [str(self.axis(k, node)) for k, (_, _, step) in enumerate(parts) if step < 0]
        return Text(f"{within(texts[0], ATOM)}.flip({', '.join(axes)})") if axes else texts[0]

    def op_take(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        axis, numbers = self.axis(node.attrs[0], node), array_text(node.attrs[1:])
        return Text(f"{within(texts[0], ATOM)}.index_select({axis}, torch.tensor({numbers}, device={LIKE}.device))")

    def op_untake(self, node: Node, texts: Sequence[Text], moved: bool) -> Text:
        axis, numbers = self.axis(node.attrs[0], node), array_text(node.attrs[2:])
        zeros = f"{LIKE}.new_zeros({dims_text(node.shape, self.leading(moved))})"
        index = f"torch.tensor({numbers}, device={LIKE}.device)"
        return Text(f"{zeros}.index_add({axis}, {index}, {texts[0].text})")
