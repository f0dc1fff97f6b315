"""Every operation as text of PyTorch and JAX computes what the graph's evaluator computes, of one step and of all."""

import re

import numpy as np
import pytest

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import BATCH, apply, const, input_node, make
from minirnn.compile.operations import ELEMENTWISE, OPERATIONS
from minirnn.interop.source.expressions import LIKE, Text
from minirnn.interop.source.jax_file import DIALECT as JAX
from minirnn.interop.source.torch_file import DIALECT as TORCH

T, B = 2, 3
TWO = {"add", "sub", "mul", "div", "pow", "mod", "maximum", "minimum", "logaddexp", "arctan2"}
LOGICAL = {"logical_and", "logical_or", "logical_not"}
COMPARED = {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal"}
ONE = sorted(set(ELEMENTWISE) - TWO - LOGICAL - COMPARED - {"where"})


def rows(*shape, dtype=float):
    return input_node("input", "a", (BATCH, *shape), dtype)


a, b, c, m = rows(4), rows(4), rows(2, 4), input_node("parameter", "m", (4, 5), float)
truth, other = rows(4, dtype=bool), rows(4, dtype=bool)
NODES = {
    **{name: make(name, a) for name in ONE},
    **{name: make(name, a, b) for name in sorted(TWO | COMPARED)},
    "logical_and": make("logical_and", truth, other),
    "logical_or": make("logical_or", truth, other),
    "logical_not": make("logical_not", truth),
    "a number less": make("sub", const(1), a),
    "the larger of a number": make("maximum", a, const(0.5)),
    "the smaller of a number": make("minimum", const(0.5), a),
    "logaddexp of a number": make("logaddexp", a, const(0.0)),
    "where": make("where", truth, a, const(0.0)),
    "cast": make("cast", truth, attrs=(np.dtype(float),)),
    "slice": make("slice", a, attrs=((0, BATCH, 1), (1, 4, 2))),
    "slice in the middle": make("slice", c, attrs=((0, BATCH, 1), (1, 2, 1), (0, 4, 1))),
    "slice backwards": make("slice", a, attrs=((0, BATCH, 1), (3, -1, -1))),
    "reshape": make("reshape", c, attrs=(BATCH, 8)),
    "a new axis": make("reshape", a, attrs=(BATCH, 1, 4)),
    "broadcast": make("broadcast", make("slice", a, attrs=((0, BATCH, 1), (0, 1, 1))), attrs=(BATCH, 4)),
    "broadcast of a number": make("broadcast", const(2.0), attrs=(BATCH, 4)),
    "transpose": make("transpose", c, attrs=(0, 2, 1)),
    "concat": make("concat", a, b, attrs=(1,)),
    "put": make("put", a, attrs=((BATCH, 9), (0, BATCH, 1), (2, 6, 1))),
    "put backwards": make("put", a, attrs=((BATCH, 4), (0, BATCH, 1), (3, -1, -1))),
    "take": make("take", a, attrs=(1, 3, 0, 0)),
    "untake": make("untake", a, attrs=(1, 6, 5, 0, 0, 2)),
    **{name: make(name, c, attrs=(2,)) for name in ("sum", "amax", "amin", "prod", "cumsum", "cumprod")},
    "sum over two axes": make("sum", c, attrs=(1, 2)),
    "matmul": make("matmul", a, m, attrs=(False, False)),
    "matmul turned": make("matmul", a, input_node("parameter", "n", (5, 4), float), attrs=(False, True)),
    "einsum": make("einsum", c, m, attrs=("bij,jk->bik",)),
}


def text_of(dialect, node, names, all_steps):
    text = dialect.expression(node, [Text(name) for name in names], all_steps).text
    return re.sub("\x00.|\x01", "", text).replace(LIKE, "x")


def in_torch(text, values):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'minirnn[peers]'")
    softplus = lambda x: torch.logaddexp(x, torch.zeros_like(x))
    space = {name: value if np.ndim(value) == 0 else torch.tensor(value) for name, value in values.items()}
    return eval(text, {"torch": torch, "softplus": softplus, "T": T, "B": B, **space}).numpy()


def in_jax(text, values):
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'minirnn[peers]'")
    with jax.enable_x64(True):
        space = {name: value if np.ndim(value) == 0 else jax.numpy.array(value) for name, value in values.items()}
        return np.asarray(eval(text, {"jax": jax, "jnp": jax.numpy, "T": T, "B": B, **space}))


@pytest.mark.parametrize(("dialect", "run"), [(TORCH, in_torch), (JAX, in_jax)], ids=["torch", "jax"])
@pytest.mark.parametrize("name", NODES)
def test_an_operations_text_computes_what_the_evaluator_computes(name, dialect, run):
    node, rng = NODES[name], np.random.default_rng(0)
    steps = []
    for _ in range(T):
        values = []
        for operand in node.operands:
            shape = [dim // BATCH * B if dim % BATCH == 0 else dim for dim in operand.shape]
            value = rng.uniform(0.2, 0.9, shape) if operand.dtype.kind == "f" else rng.random(shape) < 0.5
            values.append(operand.attrs[0] if operand.op == "const" else value)
        steps.append(values)
    fixed = [o.op == "const" or o.attrs[:1] == ("parameter",) for o in node.operands]
    steps[1] = [first if same else value for first, value, same in zip(*steps, fixed, strict=True)]
    expected = [apply(node, values, B) for values in steps]
    names = [f"v{k}" if o.op != "const" else str(o.attrs[0]) for k, o in enumerate(node.operands)]
    like = {"x": np.zeros((1, 1))}
    alone = run(text_of(dialect, node, names, False), {**like, **dict(zip(names, steps[0], strict=True))})
    np.testing.assert_allclose(alone, expected[0], rtol=1e-12)
    whole = [v[0] if same else np.stack(v) for *v, same in zip(*steps, fixed, strict=True)]
    together = run(text_of(dialect, node, names, True), {**like, **dict(zip(names, whole, strict=True))})
    np.testing.assert_allclose(together, np.stack(expected), rtol=1e-12)


@pytest.mark.parametrize("dialect", [TORCH, JAX], ids=["torch", "jax"])
def test_what_has_no_text_is_named(dialect):
    called = make("call", a, attrs=("numpy", "sort", (BATCH, 4), (True, 0)), dtype=float)
    with pytest.raises(CannotCompile, match=rf"numpy.sort has no text in {dialect.title}"):
        dialect.expression(called, [Text("v")], False)


def test_every_operation_of_the_compiler_is_tried_or_known_to_have_no_text():
    tried = {node.op for node in NODES.values()}
    assert set(OPERATIONS) - tried == {"call", "windows", "const", "size", "copy"}
