"""The recorded graph: what it computes, prints, and refuses."""

import autograd.numpy as np
import numpy as onp
import pytest
from compile_cases import EVERY, cell_of, problem

import minirnn
from minirnn import tree
from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import BATCH, evaluate
from minirnn.compile.trace import trace
from minirnn.functional import linear


@pytest.mark.parametrize("name", EVERY)
def test_the_graph_computes_the_step_and_its_derivative(name):
    given = problem(cell_of(name))
    traced = trace(*given)
    leaves, rebuild = tree.flatten((given.cell, given.state, tree.map(lambda a: a[0], given.xs)))
    moving = [k for k, leaf in enumerate(leaves) if leaf.dtype.kind == "f"]

    def step(*moved):
        arrays = list(leaves)
        for k, array in zip(moving, moved, strict=True):
            arrays[k] = array
        cell, state, x = rebuild(arrays)
        return tuple(tree.leaves(cell.step(state, x)))

    results, pullback = minirnn.transform.silent_vjp(step, *[leaves[k] for k in moving])
    cotangents = [onp.random.default_rng(0).standard_normal(r.shape) for r in results]
    values = dict(zip(traced.graph.inputs, [*leaves, *cotangents], strict=True))
    found = evaluate(traced.graph, values, 4)
    for a, b in zip(found.values(), [*results, *pullback(tuple(cotangents))], strict=True):
        assert onp.allclose(a, b, rtol=1e-13, atol=1e-15)


def test_a_graph_reads_like_the_step():
    text = str(trace(*problem(cell_of("MGU"))).graph)
    assert "sigmoid((v1[:, :3] + (state @ v2.T)))" in text
    assert "(B, 6) float64" in text
    assert "-> state, output" in text
    assert "-> d_parameter.w" in text


def test_the_batch_is_a_symbol():
    graph = trace(*problem(cell_of("TauGRU"))).graph
    assert {node.shape[0] for node in graph.inputs if node.attrs[0] != "parameter"} == {BATCH}


def cell_that(step):
    @minirnn.cell(w=("hidden", "input"))
    def odd(p, h, x):
        h = step(linear(x, p.w), h)
        return h, h

    return odd(2, 3, dtype=onp.float64)


def innermost(box):
    while hasattr(box, "_value"):
        box = box._value
    return box


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda a, h: a if np.max(h) > 1 else h, r"branches.*np\.where"),
        (lambda a, h: a + h[0, onp.array([2, 0, 1])], "an array and a number"),
        (lambda a, h: a + np.sort(h, axis=1), "sort"),
        (lambda a, h: a + np.sum(h[:5], axis=0), "another size of the batch"),
        (lambda a, h: a / min(len(h), 12) + np.mean(h, axis=0), "leaves its trace"),
        (lambda a, h: a + float(onp.sum(innermost(h) > 0)), "leaves its trace"),
        (lambda a, h: a + onp.random.default_rng().standard_normal(3), "leaves its trace"),
        (lambda a, h: a + minirnn.stop_gradient(h), "leaves its trace"),
        (lambda a, h: a + np.einsum("ii->i", np.reshape(h[:3, :3], (3, 3))), "twice in an operand|no multiple"),
    ],
)
def test_what_a_graph_cannot_hold_is_named(step, says):
    with pytest.raises(CannotCompile, match=says):
        trace(*problem(cell_that(step)))


def test_a_bool_of_an_ordinary_box_is_untouched():
    assert minirnn.grad(lambda x: x if x > 0 else -x)(2.0) == 1.0


@pytest.mark.parametrize(
    "step",
    [
        lambda few, h, c: (0.5 * (h - c) if few else 0.5 * (c - h), c),
        lambda few, h, c: (np.tanh(h), np.tanh(np.tanh(h))) if few else (np.tanh(np.tanh(h)), np.tanh(h)),
        lambda few, h, c: (np.tanh(c), np.tanh(h)) if few else (np.tanh(h), np.tanh(c)),
        lambda few, h, c: (h, c) if few else (c, h),
    ],
)
def test_a_step_that_exchanges_what_it_reads_or_gives_at_another_size_of_the_batch_is_refused(step):
    @minirnn.cell(w=("hidden", "input"), state_=("h", "c"))
    def exchanging(p, state, x):
        h, c = step(len(x) < 4, *state)
        return (h, c), h + linear(x, p.w)

    with pytest.raises(CannotCompile, match="another course at another size of the batch"):
        trace(*problem(exchanging(2, 3, dtype=onp.float64)))
