"""Each rule of the passes on the smallest graph that it is for, and on those beside it that it must leave alone.

What stands on the right was derived by hand from the rule's docstring; that no value changes is measured.
"""

import numpy as np
import pytest

from minirnn.compile.ir import BATCH as B
from minirnn.compile.ir import Graph, const, evaluate, input_node, make
from minirnn.compile.passes.algebra import algebra
from minirnn.compile.passes.alike import alike
from minirnn.compile.passes.fold import fold
from minirnn.compile.passes.join import join
from minirnn.compile.passes.narrow import narrow
from minirnn.compile.passes.regroup import regroup
from minirnn.compile.passes.share import share

F8, F4 = np.float64, np.float32
D8, D4 = np.dtype(F8), np.dtype(F4)


def leaf(name, shape, dtype=F8, kind="parameter"):
    return input_node(kind, name, shape, dtype)


x, y, z = (leaf(name, (B, 4)) for name in "xyz")
c, w, v, s, q = leaf("c", (B, 1)), leaf("w", (8, 4)), leaf("v", (8, 4)), leaf("s", (4,)), leaf("q", (4, 4))
single, flags, cube = leaf("single", (B, 4), F4), leaf("flags", (B, 4), bool), leaf("cube", (B, 2, 4))
i1, i2 = (leaf(name, (B, 4), kind="input") for name in ("i1", "i2"))
h1, h2 = (leaf(name, (B, 4), kind="state") for name in ("h1", "h2"))
g = leaf("g", (B, 4), kind="d_output")
LEAVES = (x, y, z, c, w, v, s, q, single, flags, cube, i1, i2, h1, h2, g)
wide = make("broadcast", s, attrs=(B, 4))


def m(op, *operands, attrs=(), dtype=None):
    return make(op, *[o if hasattr(o, "op") else const(o) for o in operands], attrs=attrs, dtype=dtype)


def mm(a, b, turned_a=False, turned_b=False):
    return make("matmul", a, b, attrs=(turned_a, turned_b))


def along(shape, axis, *part):
    parts = [(0, dim, 1) for dim in shape]
    parts[axis] = part
    return tuple(parts)


def cut(node, start, stop, axis=1, step=1):
    return make("slice", node, attrs=along(node.shape, axis, start, stop, step))


def put(node, start, stop, shape=(B, 4), axis=1, step=1):
    return make("put", node, attrs=(shape, *along(shape, axis, start, stop, step)))


def full(value, shape=(B, 4), dtype=F8):
    return make("broadcast", const(value), attrs=shape, dtype=dtype)


def neg(node):
    return make("neg", node)


def twice(node):
    return m("add", m("mul", node, node), i1)


def said(node):
    """A node in a line: puts are zeros with a part in place."""
    whole = lambda part, dim: ":" if part == (0, dim, 1) else ":".join(map(str, part if part[2] != 1 else part[:2]))
    places = lambda parts, shape: ", ".join(map(whole, parts, shape))
    names, attrs, op = list(map(said, node.operands)), node.attrs, node.op
    if op == "input":
        return attrs[1]
    if op == "const":
        return f"{attrs[0]:g}"
    if op == "matmul":
        return "(" + " @ ".join(name + ".T" * turned for name, turned in zip(names, attrs, strict=True)) + ")"
    if op == "slice":
        return f"{names[0]}[{places(attrs, node.operands[0].shape)}]"
    if op == "put":
        return f"put[{places(attrs[1:], attrs[0])}]({names[0]})"
    inside = ", ".join(str(getattr(a, "name", a)).replace(str(B), "B") for a in attrs)
    return f"{op}{f'[{inside}]' if inside else ''}({', '.join(names)})"


# fmt: off
RULES = [  # the pass, what comes, what leaves
    (fold, m("add", 2.0, 3.0), "5"),
    (fold, m("tanh", 0.0), "0"),
    (fold, m("mul", x, 1), "x"),
    (fold, m("mul", 1.0, x), "x"),
    (fold, m("mul", x, 2), "mul(x, 2)"),
    (fold, m("add", x, 0.0), "x"),
    (fold, m("add", 0, x), "x"),
    (fold, m("sub", x, 0.0), "x"),
    (fold, m("sub", 0.0, x), "sub(0, x)"),
    (fold, m("div", x, 1.0), "x"),
    (fold, m("div", 1.0, x), "div(1, x)"),
    (fold, m("pow", x, 1.0), "x"),
    (fold, m("pow", 1.0, x), "pow(1, x)"),
    (fold, m("mul", x, 0.0), "mul(x, 0)"),
    (fold, m("mul", 0.0, x), "mul(0, x)"),
    (fold, neg(neg(x)), "x"),
    (fold, neg(m("tanh", x)), "neg(tanh(x))"),
    (fold, m("where", True, x, y), "x"),
    (fold, m("where", False, x, y), "y"),
    (fold, m("where", flags, x, y), "where(flags, x, y)"),
    (fold, m("add", x, full(0.0)), "x"),
    (fold, m("mul", x, full(1.0)), "x"),
    (fold, m("mul", full(1.0), x), "x"),
    (fold, m("mul", full(2.0), x), "mul(2, x)"),
    (fold, m("add", c, full(0.0)), "broadcast[B, 4](c)"),
    (fold, m("mul", single, full(1.0)), "cast[float64](single)"),
    (fold, m("add", full(2.0), full(3.0)), "add(broadcast[B, 4](2), broadcast[B, 4](3))"),
    (fold, m("add", full(1.0), c), "add(broadcast[B, 4](1), c)"),
    (fold, m("add", s, full(0.0)), "broadcast[B, 4](s)"),
    (fold, m("where", full(1.0), x, y), "x"),
    (fold, m("where", full(0.0), c, y), "y"),
    (fold, m("mul", x, wide), "mul(x, s)"),
    (fold, m("mul", c, wide), "mul(c, s)"),
    (fold, m("mul", s, wide), "mul(s, broadcast[B, 4](s))"),
    (fold, m("reshape", x, attrs=(B,4)), "x"),
    (fold, m("reshape", m("reshape", x, attrs=(B,2,2)), attrs=(B,4,1)), "reshape[B, 4, 1](x)"),
    (fold, m("reshape", m("reshape", x, attrs=(B,2,2)), attrs=(B,4)), "x"),
    (fold, m("reshape", full(2.0), attrs=(B,2,2)), "broadcast[B, 2, 2](2)"),
    (fold, m("reshape", wide, attrs=(B,2,2)), "reshape[B, 2, 2](broadcast[B, 4](s))"),
    (fold, m("reshape", m("tanh", x), attrs=(B,2,2)), "reshape[B, 2, 2](tanh(x))"),
    (fold, m("broadcast", x, attrs=(B,4), dtype=F8), "x"),
    (fold, m("broadcast", m("broadcast", s, attrs=(1,4)), attrs=(B,4)), "broadcast[B, 4](s)"),
    (fold, m("broadcast", m("broadcast", const(1.0), attrs=(4,), dtype=F4), attrs=(B,4), dtype=F8),
     "broadcast[B, 4](broadcast[4](1))"),
    (fold, m("broadcast", c, attrs=(B,4)), "broadcast[B, 4](c)"),
    (fold, m("transpose", m("transpose", w, attrs=(1,0)), attrs=(1,0)), "w"),
    (fold, m("transpose", m("transpose", cube, attrs=(1,2,0)), attrs=(1,2,0)), "transpose[2, 0, 1](cube)"),
    (fold, m("transpose", m("transpose", cube, attrs=(1,2,0)), attrs=(2,0,1)), "cube"),
    (fold, m("transpose", w, attrs=(1,0)), "transpose[1, 0](w)"),
    (fold, cut(x,0,4), "x"),
    (fold, cut(x,0,4,step=2), "x[:, 0:4:2]"),
    (fold, cut(full(2.0),1,3), "broadcast[B, 2](2)"),
    (fold, cut(cut(x,1,4),1,3), "x[:, 2:4]"),
    (fold, cut(cut(w,2,8,0),1,4,0), "w[3:6, :]"),
    (fold, cut(cut(x,0,4,step=2),0,1), "x[:, 0:4:2][:, 0:1]"),
    (fold, cut(m("concat", x, y, attrs=(1,)),0,4), "x"),
    (fold, cut(m("concat", x, y, attrs=(1,)),5,7), "y[:, 1:3]"),
    (fold, cut(m("concat", x, y, attrs=(1,)),3,6), "concat[1](x, y)[:, 3:6]"),
    (fold, cut(m("concat", x, y, attrs=(1,)),4,8), "y"),
    (fold, cut(m("concat", x, y, attrs=(1,)),4,8,step=2), "concat[1](x, y)[:, 4:8:2]"),
    (fold, cut(m("concat", w, v, attrs=(0,)),9,12,0), "v[1:4, :]"),
    (fold, cut(m("concat", w, v, attrs=(0,)),1,3,1), "concat[0](w, v)[:, 1:3]"),
    (fold, cut(wide, 1, 3), "broadcast[B, 4](s)[:, 1:3]"),
    (fold, m("cast", x, attrs=(D8,)), "x"),
    (fold, m("cast", x, attrs=(D4,)), "cast[float32](x)"),
    (fold, m("cast", m("cast", single, attrs=(D8,)), attrs=(D8,)), "cast[float64](single)"),
    (fold, m("add", x, m("reshape", full(0.0,(B,2,2)), attrs=(B,4))), "x"),
    (fold, m("mul", x, m("cast", full(1.0), attrs=(D4,))), "x"),
    (algebra, m("mul", m("maximum", x, 0.0), m("greater", x, 0.0)), "mul(maximum(x, 0), greater(maximum(x, 0), 0))"),
    (algebra, m("mul", m("greater", x, 0.0), m("maximum", x, 0.0)), "mul(greater(maximum(x, 0), 0), maximum(x, 0))"),
    (algebra, m("mul", m("maximum", neg(neg(x)), 0.0), m("greater", y, 0.0)),
     "mul(maximum(neg(neg(x)), 0), greater(y, 0))"),
    (algebra, m("mul", m("maximum", x, 1.0), m("greater", x, 0.0)), "mul(maximum(x, 1), greater(x, 0))"),
    (algebra, m("mul", m("maximum", x, 0.0), m("greater", x, 1.0)), "mul(maximum(x, 0), greater(x, 1))"),
    (algebra, m("mul", m("maximum", x, 0.0), m("less", x, 0.0)), "mul(maximum(x, 0), less(x, 0))"),
    (algebra, m("add", x, neg(y)), "sub(x, y)"),
    (algebra, m("add", neg(x), y), "sub(y, x)"),
    (algebra, m("sub", x, neg(y)), "add(x, y)"),
    (algebra, m("sub", neg(x), y), "sub(neg(x), y)"),
    (algebra, m("add", neg(x), neg(y)), "sub(neg(x), y)"),
    (algebra, m("mul", neg(x), y), "neg(mul(x, y))"),
    (algebra, m("mul", x, neg(y)), "neg(mul(x, y))"),
    (algebra, m("mul", neg(x), neg(y)), "neg(mul(x, neg(y)))"),
    (algebra, m("mul", neg(x), 2.0), "mul(neg(x), 2)"),
    (algebra, m("mul", 2.0, neg(x)), "mul(2, neg(x))"),
    (algebra, m("pow", x, 2), "mul(x, x)"),
    (algebra, m("pow", x, 2.0), "mul(x, x)"),
    (algebra, m("pow", x, -1), "div(1, x)"),
    (algebra, m("pow", x, 0.5), "sqrt(x)"),
    (algebra, m("pow", x, -0.5), "div(1, sqrt(x))"),
    (algebra, m("pow", x, 3), "pow(x, 3)"),
    (algebra, m("pow", x, y), "pow(x, y)"),
    (algebra, m("pow", flags, 2), "pow(flags, 2)"),
    (algebra, m("div", x, m("pow", m("cosh", y), 2)), "mul(x, sub(1, mul(tanh(y), tanh(y))))"),
    (algebra, m("div", x, m("mul", m("cosh", y), m("cosh", y))), "div(x, mul(cosh(y), cosh(y)))"),
    (algebra, m("div", x, m("pow", m("cosh", y), 3)), "div(x, pow(cosh(y), 3))"),
    (algebra, m("div", x, m("mul", m("cosh", y), m("cosh", z))), "div(x, mul(cosh(y), cosh(z)))"),
    (algebra, m("div", x, m("pow", m("sinh", y), 2)), "div(x, mul(sinh(y), sinh(y)))"),
    (algebra, mm(x, m("transpose", w, attrs=(1,0))), "(x @ w.T)"),
    (algebra, mm(m("transpose", x, attrs=(1,0)), y), "(x.T @ y)"),
    (algebra, mm(x, w, False, True), "(x @ w.T)"),
    (algebra, mm(m("transpose", x, attrs=(1,0)), y, True, True), "(x @ y.T)"),
    (algebra, mm(m("transpose", w, attrs=(1,0)), m("transpose", q, attrs=(1,0)), True, True), "(w @ q)"),
    (algebra, mm(m("reshape", c, attrs=(1, B)), x), "(reshape[1, B](c) @ x)"),
    (algebra, mm(m("reshape", c, attrs=(B,1)), x, True), "(reshape[B, 1](c).T @ x)"),
    (algebra, mm(m("transpose", m("reshape", x, attrs=(4*B,1)), attrs=(1,0)), m("reshape", x, attrs=(4*B,1))),
     "(reshape[4000012, 1](x).T @ reshape[4000012, 1](x))"),
    (algebra, m("transpose", mm(x, w, False, True), attrs=(1,0)), "(w @ x.T)"),
    (algebra, m("transpose", mm(x, y, True, False), attrs=(1,0)), "(y.T @ x)"),
    (algebra, m("transpose", m("tanh", w), attrs=(1,0)), "transpose[1, 0](tanh(w))"),
    (algebra, m("sum", x, attrs=(0,1)), "sum[0](sum[1](x))"),
    (algebra, m("sum", x, attrs=(0,)), "sum[0](x)"),
    (algebra, m("sum", x, attrs=(1,)), "sum[1](x)"),
    (algebra, m("sum", w, attrs=(0,1)), "sum[0, 1](w)"),
    (algebra, m("sum", cube, attrs=(0,1,2)), "sum[0](sum[1, 2](cube))"),
    (algebra, m("sum", cube, attrs=(1,2)), "sum[1, 2](cube)"),
    (alike, mm(x, w, False, True), "(x @ w.T)"),
    (alike, mm(flags, w, False, True), "(cast[float64](flags) @ w.T)"),
    (alike, mm(single, w, False, True), "(cast[float64](single) @ w.T)"),
    (alike, mm(flags, flags, True), "cast[bool]((cast[float64](flags).T @ cast[float64](flags)))"),
    (alike, m("tanh", x), "tanh(x)"),
    (share, m("add", m("tanh", x), m("tanh", x)), "add(tanh(x), tanh(x))"),
    (share, m("add", m("mul", x, y), m("mul", y, x)), "add(mul(x, y), mul(x, y))"),
    (share, m("add", m("sub", x, y), m("sub", y, x)), "add(sub(x, y), sub(y, x))"),
    (share, m("mul", m("add", x, 0.0), m("add", x, -0.0)), "mul(add(x, 0), add(x, -0))"),
    (narrow, cut(m("add", x, y),1,3), "add(x[:, 1:3], y[:, 1:3])"),
    (narrow, cut(m("add", x, y),0,4,step=2), "add(x, y)[:, 0:4:2]"),
    (narrow, cut(m("add", x, c),1,3), "add(x[:, 1:3], c)"),
    (narrow, cut(m("add", c, s),1,3), "add(c, s[1:3])"),
    (narrow, cut(m("add", x, 2.0),1,3), "add(x[:, 1:3], 2)"),
    (narrow, cut(m("tanh", m("mul", x, y)),0,2), "tanh(mul(x[:, 0:2], y[:, 0:2]))"),
    (narrow, cut(cut(x,1,4),1,3), "x[:, 2:4]"),
    (narrow, cut(cut(x,0,4,step=2),0,1), "x[:, 0:4:2][:, 0:1]"),
    (narrow, cut(mm(x,q),1,3), "(x @ q)[:, 1:3]"),
    (narrow, cut(m("cast", single, attrs=(D8,)),1,2), "cast[float64](single[:, 1:2])"),
    (narrow, cut(m("mul", cube, m("reshape", c, attrs=(B,1,1))),1,2,1), "mul(cube[:, 1:2, :], reshape[B, 1, 1](c))"),
    (narrow, cut(m("add", cut(m("mul",x,y),1,4), cut(z,0,3)),1,2), "add(mul(x[:, 2:3], y[:, 2:3]), z[:, 1:2])"),
    (join, m("add", put(cut(x,0,3),0,3), put(cut(y,0,1),3,4)), "concat[1](x[:, 0:3], y[:, 0:1])"),
    (join, m("add", m("add", put(cut(y,0,1),3,4), z), put(cut(x,0,3),0,3)), "add(z, concat[1](x[:, 0:3], y[:, 0:1]))"),
    (join, m("add", put(cut(x,0,1),0,1), put(cut(y,0,1),3,4)),
     "add(concat[1](x[:, 0:1], broadcast[B, 3](0)), concat[1](broadcast[B, 3](0), y[:, 0:1]))"),
    (join, m("add", put(cut(x,0,1),1,2), put(cut(y,0,1),2,3)),
     "add(concat[1](broadcast[B, 1](0), x[:, 0:1], broadcast[B, 2](0)), "
     "concat[1](broadcast[B, 2](0), y[:, 0:1], broadcast[B, 1](0)))"),
    (join, put(cut(x,0,2),1,3), "concat[1](broadcast[B, 1](0), x[:, 0:2], broadcast[B, 1](0))"),
    (join, m("add", put(cut(x,0,3),0,3), put(cut(y,0,2),2,4)),
     "add(concat[1](x[:, 0:3], broadcast[B, 1](0)), concat[1](broadcast[B, 2](0), y[:, 0:2]))"),
    (join, m("add", put(cut(x,0,2),0,4,step=2), put(cut(y,0,2),1,4,step=2)),
     "add(put[:, 0:4:2](x[:, 0:2]), put[:, 1:4:2](y[:, 0:2]))"),
    (join, m("add", put(cut(w,0,3,0),0,3,(8,4),0), put(cut(w,0,5,0),3,8,(8,4),0)), "concat[0](w[0:3, :], w[0:5, :])"),
    (join, put(x,0,B,(2*B,4),0), "put[0:1000003, :](x)"),
    (join, m("add", put(cut(cut(w,0,3,0),0,4,1),0,3,(8,4),0), put(cut(v,0,2),0,2,(8,4),1)),
     "add(concat[0](w[0:3, :][:, :], broadcast[5, 4](0)), concat[1](v[:, 0:2], broadcast[8, 2](0)))"),
    (join, m("add", mm(x, cut(w,0,4,0)), mm(y, cut(w,4,8,0))), "(concat[1](x, y) @ w)"),
    (join, m("add", m("add", mm(y, cut(w,4,8,0)), z), mm(x, cut(w,0,4,0))), "add(z, (concat[1](x, y) @ w))"),
    (join, m("add", mm(x, cut(w,0,4,0)), mm(cut(y,0,2), cut(w,4,6,0))), "(concat[1](x, y[:, 0:2]) @ w[0:6, :])"),
    (join, m("add", mm(cut(x,0,2), cut(w,0,2,0)), mm(y, cut(w,4,8,0))),
     "add((x[:, 0:2] @ w[0:2, :]), (y @ w[4:8, :]))"),
    (join, m("add", mm(x, cut(w,0,4,0)), mm(y, cut(v,4,8,0))), "add((x @ w[0:4, :]), (y @ v[4:8, :]))"),
    (join, m("add", mm(x, cut(q,0,2)), mm(y, cut(q,2,4))), "add((x @ q[:, 0:2]), (y @ q[:, 2:4]))"),
    (join, m("add", mm(x, cut(w,0,4,0), False, True), mm(y, cut(w,4,8,0), False, True)),
     "add((x @ w[0:4, :].T), (y @ w[4:8, :].T))"),
    (join, m("concat", mm(x, z, True), mm(y, z, True), attrs=(0,)), "(concat[1](x, y).T @ z)"),
    (join, m("concat", mm(x, z, True), mm(y, z, True), mm(z, z, True), attrs=(0,)), "(concat[1](x, y, z).T @ z)"),
    (join, m("concat", mm(x, z, True), mm(y, x, True), attrs=(0,)), "concat[0]((x.T @ z), (y.T @ x))"),
    (join, m("concat", mm(x, z, True), q, mm(y, z, True), mm(x, z, True), attrs=(0,)),
     "concat[0]((x.T @ z), q, (concat[1](y, x).T @ z))"),
    (join, m("concat", mm(x, z, True), mm(y, z, True), attrs=(1,)), "concat[1]((x.T @ z), (y.T @ z))"),
    (join, m("concat", mm(q, q), mm(q, q), attrs=(0,)), "concat[0]((q @ q), (q @ q))"),
    (join, m("sub", mm(x, cut(w,0,4,0), False, True), mm(x, cut(w,4,8,0), False, True)),
     "sub((x @ w.T)[:, 0:4], (x @ w.T)[:, 4:8])"),
    (join, m("concat", *[mm(x, cut(w, *rows, 0), False, True) for rows in ((1, 3), (3, 4), (6, 8))], attrs=(1,)),
     "concat[1]((x @ w[1:4, :].T)[:, 0:2], (x @ w[1:4, :].T)[:, 2:3], (x @ w[6:8, :].T))"),
    (join, m("sub", mm(x, cut(w,0,4,0), False, True), mm(x, cut(w,2,6,0), False, True)),
     "sub((x @ w[0:4, :].T), (x @ w[2:6, :].T))"),
    (join, m("sub", mm(x, cut(w,0,4,0), False, True), mm(y, cut(w,4,8,0), False, True)),
     "sub((x @ w[0:4, :].T), (y @ w[4:8, :].T))"),
    (join, m("sub", mm(x, cut(w,0,8,0,2), False, True), mm(x, cut(w,1,8,0,2), False, True)),
     "sub((x @ w[0:8:2, :].T), (x @ w[1:8:2, :].T))"),
    (regroup, m("add", m("add", x, h1), m("add", i1, h2)), "add(add(add(x, i1), h1), h2)"),
    (regroup, m("add", m("add", h1, i1), m("add", h2, s)), "add(add(add(s, i1), h1), h2)"),
    (regroup, m("mul", m("mul", g, h1), m("mul", i1, h2)), "mul(mul(mul(i1, h1), h2), g)"),
    (regroup, m("add", m("add", h1, 2.0), m("add", x, 3.0)), "add(add(5, x), h1)"),
    (regroup, m("mul", m("mul", h1, 2.0), m("mul", x, 3.0)), "mul(mul(6, x), h1)"),
    (regroup, m("add", h1, x), "add(h1, x)"),
    (regroup, m("add", m("mul", h1, x), m("mul", i1, h2)), "add(mul(h1, x), mul(i1, h2))"),
    (regroup, m("tanh", m("add", m("add", h1, x), i1)), "tanh(add(add(x, i1), h1))"),
    (regroup, m("sub", m("add", m("add", h1, x), i1), m("add", m("add", h1, x), i1)),
     "sub(add(add(x, i1), h1), add(add(x, i1), h1))"),
    (regroup, twice(m("add", h1, x)), "add(mul(add(h1, x), add(h1, x)), i1)"),
    (regroup, m("add", m("add", h1, s), m("add", c, i1)), "add(add(add(s, c), i1), h1)"),
    (regroup, m("add", m("add", single, h1), m("add", single, single)), "add(add(single, h1), add(single, single))"),
]
# fmt: on


@pytest.mark.parametrize(("change", "node", "expected"), RULES, ids=[f"{p.__name__} {said(n)}" for p, n, _ in RULES])
def test_what_leaves_is_what_the_rule_says_and_has_the_value_of_what_came(change, node, expected):
    graph = Graph(LEAVES, {("output", ""): node})
    changed = change(graph)
    assert said(changed.outputs["output", ""]) == expected
    rng = np.random.default_rng(0)
    values = {one: rng.uniform(0.2, 2, [3 if dim == B else dim for dim in one.shape]) for one in LEAVES}
    values = {one: value > 1 if one is flags else value.astype(one.dtype) for one, value in values.items()}
    came, left = (evaluate(one, values, 3)["output", ""] for one in (graph, changed))
    assert came.dtype == left.dtype
    assert np.allclose(came, left, rtol=1e-12 if came.dtype == F8 else 1e-6, atol=0)


def test_a_value_that_is_computed_twice_is_one_node():
    for node in (m("add", m("tanh", x), m("tanh", x)), m("sub", m("mul", x, y), m("mul", y, x))):
        a, b = share(Graph(LEAVES, {("output", ""): node})).outputs["output", ""].operands
        assert a is b
    for op in ("sub", "div", "pow", "less", "mod"):
        node = m("add", m(op, x, y), m(op, y, x))
        a, b = share(Graph(LEAVES, {("output", ""): node})).outputs["output", ""].operands
        assert a is not b


@pytest.mark.parametrize(("a", "b"), [(0.0, -0.0), (1, 1.0), (1, True), (1.0, 2.0)])
def test_constants_that_are_not_the_same_stay_two(a, b):
    node = m("add", m("arctan2", x, a), m("arctan2", x, b))
    a, b = share(Graph(LEAVES, {("output", ""): node})).outputs["output", ""].operands
    assert a is not b
