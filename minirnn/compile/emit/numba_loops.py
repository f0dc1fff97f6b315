"""Loops over rows in generated Numba code: a group of elementwise operations, or a reduction, as one function each."""

import math
from collections.abc import Sequence
from typing import Any

from minirnn.compile.emit.numba_memory import Memory, Place, Unsupported
from minirnn.compile.fuse import Group
from minirnn.compile.ir import Node, is_scalar

__all__ = ["Loops", "intp"]

_TEXTS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "mod": "{0} % {1}",
    "pow": "{0} ** {1}",
    "neg": "-{0}",
    "abs": "abs({0})",
    "maximum": "({0} if {0} >= {1} or {0} != {0} else {1})",
    "minimum": "({0} if {0} <= {1} or {0} != {0} else {1})",
    "sign": "({one} if {0} > {zero} else (-{one} if {0} < {zero} else {0}))",
    "tanh": "tanh({0})",
    "sigmoid": "{half} * tanh({half} * {0}) + {half}",
    "exp": "exp({0})",
    "sqrt": "math.sqrt({0})",
    "where": "({1} if {0} else {2})",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "logical_and": "{0} and {1}",
    "logical_or": "{0} or {1}",
    "logical_not": "not {0}",
    "isfinite": "{0} - {0} == {zero}",
    "isnan": "{0} != {0}",
    "copy": "{0}",
    "softplus": "({0} if {0} > {zero} else {zero}) + math.log1p(exp(-abs({0})))",
}
_TEXTS |= {op: f"math.{op}({{0}})" for op in ("log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh")}
_TEXTS |= {"arcsin": "math.asin({0})", "arccos": "math.acos({0})", "arctan": "math.atan({0})"}
_TEXTS |= {op: f"np.{op}({{0}})" for op in ("floor", "ceil")}


class Loops(Memory):
    """Writes the module's loops, and the calls of them."""

    def _group(self, group: Group, phase: str, rows: str) -> list[str]:
        shape = group.nodes[0].shape[1:]
        inside = set(group.nodes)
        accesses: dict[Place, int] = {}
        lines: list[str] = []
        names: dict[Node, str] = {}

        def access(place: Place, node: Node) -> int:
            place = place._replace(strides=place.strides[max(0, len(place.strides) - len(shape)) :])
            missing = len(shape) - len(place.strides)
            own = (1,) * missing + tuple(node.shape[len(node.shape) - len(place.strides) :])
            strides = tuple([0 if d == 1 else s for d, s in zip(own, (0,) * missing + place.strides, strict=True)])
            self._argument_of(place)
            return accesses.setdefault(place._replace(strides=strides), len(accesses))

        def operand_text(node: Node, operand: Node) -> str:
            if is_scalar(operand):
                others = [o for o in node.operands if not is_scalar(o) and o.dtype.kind != "b"]
                dtype = others[0].dtype if others else node.dtype
                return self.module.number(operand.attrs[0], dtype)
            if operand in inside:
                return names[operand]
            if operand not in names:
                place = self.place(operand, phase)
                k = access(place, operand)
                names[operand] = f"u{len(names)}"
                lines.append(f"{names[operand]} = peek(a{k}, {{{k}}})")
            return names[operand]

        for node in group.nodes:
            texts = [operand_text(node, operand) for operand in node.operands]
            names[node] = f"u{len(names)}"
            lines.append(f"{names[node]} = {self._text(node, texts)}")
            homes = [self.memory[node]] if node in self.memory else []
            for where in [*homes, *self.stores.get(node, [])]:
                k = access(self._memory_place(where, node, phase), node)
                lines.append(f"poke(a{k}, {{{k}}}, {names[node]})")
        return [self._loop_function(shape, list(accesses), lines, rows)]

    def _text(self, node: Node, texts: list[str]) -> str:
        if node.op == "cast":
            kind = node.dtype.name
            return f"np.{kind}({texts[0]})" if kind != "bool" else f"{texts[0]} != 0"
        if node.op == "logaddexp":
            a, b = texts
            return f"({a} if {a} > {b} else {b}) + math.log1p(exp(-abs({a} - {b})))"
        if node.op not in _TEXTS:
            raise Unsupported(node.op)
        operands = [o for o in node.operands if not is_scalar(o) and o.dtype.kind != "b"]
        dtype = operands[0].dtype if operands else node.dtype
        words = (
            {word: self.module.number(v, dtype) for word, v in (("zero", 0), ("one", 1), ("half", 0.5))}
            if any(word in _TEXTS[node.op] for word in ("{zero}", "{one}", "{half}"))
            else {}
        )
        if node.dtype.kind == "f" and any(o.dtype.kind in "iu" and not is_scalar(o) for o in node.operands):
            raise Unsupported("integers among floats")
        return _TEXTS[node.op].format(*texts, **words)

    def _loop_function(self, shape: Sequence[int], accesses: list[Place], lines: list[str], rows: str) -> str:
        """A loop over rows, and the axes behind them merged where all accesses let them."""
        dims, strides = _merged(list(shape), [list(a.strides) for a in accesses])
        name = f"g{len(self.module.groups)}"
        arguments = "".join(f", a{k}, i{k}" for k in range(len(accesses)))
        text = ["@loop", f"def {name}(rows{arguments}):", "    for r in range(rows):"]
        pad = "        "
        for k, place in enumerate(accesses):
            text.append(f"{pad}r{k} = i{k} + r * {place.row}" if place.row else f"{pad}r{k} = i{k}")
        index = [f"r{k}" for k in range(len(accesses))]
        for depth, dim in enumerate(dims):
            text.append(f"{pad}for j{depth} in range({dim}):")
            pad += "    "
            for k, by in enumerate(strides):
                if by[depth]:
                    index[k] += f" + j{depth}" if by[depth] == 1 else f" + j{depth} * {by[depth]}"
        text += [pad + line.format(*index) for line in lines]
        self.module.groups.append("\n".join(text))
        given = "".join(f", {place.memory}, {intp(place.at)}" for place in accesses)
        return f"{name}({rows}{given})"

    def _reduction(self, node: Node, phase: str, rows: str) -> str:
        (x,) = node.operands
        source, out = self.place(x, phase), self.place(node, phase)
        self._argument_of(source)
        self._argument_of(out)
        axes = [axis - 1 for axis in node.attrs]
        tail = x.shape[1:]
        free = [k for k in range(len(tail)) if k not in axes]
        name = f"g{len(self.module.groups)}"
        text = ["@loop", f"def {name}(rows, a0, i0, a1, i1):", "    for r in range(rows):"]
        pad, at, to = "        ", f"i0 + r * {source.row}", f"i1 + r * {out.row}"
        for place, k in enumerate(free):
            text.append(f"{pad}for f{k} in range({tail[k]}):")
            pad += "    "
            at += f" + f{k} * {source.strides[k]}"
            to += f" + f{k} * {out.strides[place]}"
        first = self.module.number({"sum": 0, "amax": -math.inf, "amin": math.inf}[node.op], node.dtype)
        text.append(f"{pad}total = {first}")
        inner = pad
        for k in axes:
            text.append(f"{inner}for q{k} in range({tail[k]}):")
            inner += "    "
            at += f" + q{k} * {source.strides[k]}"
        text.append(f"{inner}u = peek(a0, {at})")
        if node.op == "sum":
            text.append(f"{inner}total += u")
        else:
            text.append(f"{inner}total = u if u {'>' if node.op == 'amax' else '<'} total or u != u else total")
        text.append(f"{pad}poke(a1, {to}, total)")
        self.module.groups.append("\n".join(text))
        return f"{name}({rows}, {source.memory}, {intp(source.at)}, {out.memory}, {intp(out.at)})"


def intp(text: Any) -> str:
    """A number as an integer of the machine's size: a bare one would make another version of what it is given to."""
    return f"np.intp({text})" if str(text).isdigit() else str(text)


def _merged(dims: list[int], strides: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Neighbouring axes as one, where every access goes through them as through one."""
    k = len(dims) - 2
    while k >= 0:
        if all(s[k] == s[k + 1] * dims[k + 1] for s in strides) or dims[k] == 1 or dims[k + 1] == 1:
            for s in strides:
                if dims[k + 1] == 1:
                    s[k + 1] = s[k]
                del s[k]
            dims[k : k + 2] = [dims[k] * dims[k + 1]]
        k -= 1
    return dims, strides
