"""Each pass alone, each left out, and all: the graph's evaluator says that no value changes."""

import numpy as np
import pytest
from compile_cases import EVERY, cell_of, error, problem

import minirnn
from minirnn import tree
from minirnn.compile import passes, sequence
from minirnn.compile.arrays.program import arrays_of
from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import BATCH, Graph, const, evaluate, input_node, make
from minirnn.compile.loops import direction
from minirnn.compile.nodes import nodes_of
from minirnn.compile.passes import optimised
from minirnn.compile.passes.algebra import algebra
from minirnn.compile.passes.alike import alike
from minirnn.compile.passes.fold import fold
from minirnn.compile.passes.join import join
from minirnn.compile.passes.narrow import narrow
from minirnn.compile.passes.regroup import regroup
from minirnn.compile.passes.share import share
from minirnn.compile.passes.unfold import unfold
from minirnn.compile.place import place
from minirnn.compile.trace import trace

ALL = [fold, share, algebra, join, regroup, narrow, unfold, alike]
SOME = ["LSTM", "GRU", "MGU", "TauGRU", "LayerNormLSTM", "mLSTM", "LRU", "ClockworkRNN", "LMU", "ConvLSTM"]


def traced_and_values(name):
    given = problem(cell_of(name))
    traced = trace(*given)
    rng = np.random.default_rng(0)
    x = tree.map(lambda a: a[0], given.xs)
    values = [*tree.leaves(given.cell), *tree.leaves(given.state), *tree.leaves(x)]
    inputs = traced.graph.inputs
    values += [rng.standard_normal((4, *node.shape[1:])) for node in inputs[len(values) :]]
    return traced, dict(zip(inputs, values, strict=True))


def same(graph, other, values):
    found, expected = evaluate(graph, values, 4), evaluate(other, values, 4)
    assert found.keys() == expected.keys()
    return all(np.allclose(found[key], expected[key], rtol=1e-12, atol=1e-13) for key in found)


@pytest.mark.parametrize("name", SOME)
class TestOnOneCell:
    def test_each_pass_alone_keeps_every_value(self, name):
        traced, values = traced_and_values(name)
        for change in ALL:
            assert same(change(traced.graph), traced.graph, values), change.__name__

    def test_each_pass_left_out_keeps_every_value(self, name):
        traced, values = traced_and_values(name)
        for left_out in ALL:
            chosen = [change for change in passes.FUSING if change is not left_out]
            assert same(optimised(traced.graph, chosen), traced.graph, values), left_out.__name__


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_all_passes_keep_every_value(name):
    traced, values = traced_and_values(name)
    assert same(optimised(traced.graph, passes.FUSING), traced.graph, values)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolution_is_windows_and_a_product(kernel):
    cell = minirnn.cells.ConvLSTM((2, 4, 3), 3, kernel=kernel, rng=np.random.default_rng(0), dtype=np.float64)
    traced = trace(*problem(cell))
    assert "call" in {node.op for node in traced.graph.nodes()}
    assert "call" not in {node.op for node in unfold(traced.graph).nodes()}
    assert error(problem(cell, 3, 2)) < 1e-10


# ---------------------------------------------------------------- what each is for
x, y = input_node("input", "", (BATCH, 4), np.float64), input_node("state", "", (BATCH, 4), np.float64)
w = input_node("parameter", "w", (8, 4), np.float64)


def text(change, *nodes):
    graph = Graph((x, y, w), {("output", str(k)): node for k, node in enumerate(nodes)})
    return [node.op for node in change(graph).nodes() if node.op not in ("input", "const")]


def part(node, start, stop, axis=1):
    attrs = [(0, dim, 1) for dim in node.shape]
    attrs[axis] = (start, stop, 1)
    return make("slice", node, attrs=tuple(attrs))


def zeros_around(node, start, stop):
    return make("put", node, attrs=((BATCH, 4), (0, BATCH, 1), (start, stop, 1)))


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (fold, [make("mul", x, const(1.0))], []),
        (fold, [make("tanh", make("add", const(1.0), const(2.0)))], []),
        (fold, [make("add", x, make("broadcast", const(0.0), attrs=(BATCH, 4), dtype=np.float64))], []),
        (share, [make("tanh", x), make("mul", make("tanh", x), y)], ["tanh", "mul"]),
        (algebra, [make("add", x, make("neg", y))], ["sub"]),
        (algebra, [make("pow", x, const(2.0))], ["mul"]),
        (algebra, [make("matmul", x, make("transpose", w, attrs=(1, 0)), attrs=(False, False))], ["matmul"]),
        (
            join,
            [make("add", zeros_around(part(x, 0, 2), 0, 2), zeros_around(part(y, 0, 2), 2, 4))],
            ["slice", "slice", "concat"],
        ),
        (narrow, [part(make("add", x, y), 0, 2)], ["slice", "slice", "add"]),
    ],
)
def test_what_a_pass_is_for(change, before, after):
    assert sorted(text(change, *before)) == sorted(after)


def test_products_with_slices_of_one_matrix_become_one():
    cut = [part(w, 0, 4, 0), part(w, 4, 8, 0)]
    assert text(join, *[make("matmul", x, c, attrs=(False, True)) for c in cut]).count("matmul") == 1
    back = make("add", *[make("matmul", v, c, attrs=(False, False)) for v, c in zip((x, y), cut, strict=True)])
    assert text(join, back).count("matmul") == 1


def test_the_lstms_factors_stand_before_the_backward_loop():
    """What a person would do: beside dh and dc, nothing but products stays in the loop."""
    placed = place(optimised(trace(*problem(cell_of("LSTM"))).graph))
    assert sorted({node.op for node in placed.backward.loop}) == ["add", "concat", "matmul", "mul"]
    assert [node.op for node in placed.backward.sums] == ["matmul", "matmul", "sum"]
    assert len(placed.stored) == 5  # i, f, g, o and tanh(c), as in the hand-written pass
    assert [node.op for node in placed.forward.before].count("matmul") == 1


# ---------------------------------------------------------------- where operations stand
@pytest.mark.parametrize("choices", [{"hoist": False}, {"store_all": True}, {"sink": True}])
@pytest.mark.parametrize("name", SOME)
def test_other_places_give_the_same_numbers(name, choices):
    given = problem(cell_of(name))
    traced = trace(*given)
    graph = optimised(traced.graph)
    if name == "ConvLSTM":  # whose convolution no loop program holds
        with pytest.raises(CannotCompile, match="call"):
            arrays_of(traced, place(graph, **choices))
        return
    agree(arrays_of(traced, place(graph)), arrays_of(traced, place(graph, **choices)), given)


@pytest.mark.parametrize("name", [name for name in SOME if name != "ConvLSTM"])
def test_node_by_node_gives_the_same_numbers(name):
    given = problem(cell_of(name))
    traced = trace(*given)
    graph = optimised(traced.graph)
    loops, nodes = arrays_of(traced, place(graph)), nodes_of(traced, graph)
    assert loops.layout.row_wise is nodes.layout.row_wise is True
    agree(loops, nodes, given)


@pytest.mark.parametrize("name", ["LayerNormLSTM", "mLSTM"])
def test_scratch_of_its_own_for_every_value_gives_the_same_numbers(name, monkeypatch):
    given = problem(cell_of(name))
    traced = trace(*given)
    placed = place(optimised(traced.graph))
    shared = arrays_of(traced, placed)
    monkeypatch.setattr(direction, "with_shared_scratch", lambda function, arguments: function)
    alone = arrays_of(traced, placed)
    assert alone.listing().count("= work(") > shared.listing().count("= work(")
    agree(shared, alone, given)


def agree(program, other, given):
    ragged = program.layout.row_wise and other.layout.row_wise
    for a, b in zip(results(program, given, ragged), results(other, given, ragged), strict=True):
        assert np.allclose(a, b, rtol=1e-11, atol=1e-12)


def results(program, given, ragged):
    """What a program computes, forward and backward; ragged: of sequences of two lengths."""
    layout, xs, states = program.layout, tree.leaves(given.xs), tree.leaves(given.state)
    order = sequence.ordered(program, np.array([5, 5, 3, 5]) if ragged else None, xs[0].shape[:2], False)
    packing = order if ragged else None
    problem_ = sequence.Problem(program, tree.leaves(given.cell), [*map(order.there, xs)], None, packing)
    outputs = [order.room(leaf.shape, leaf.dtype) for leaf in layout.outputs]
    final = [np.empty_like(a) for a in states]
    kept = sequence.forward(problem_, [*map(order.rows, states)], outputs, final, True)
    d_xs = [order.room(leaf.shape, leaf.dtype) for leaf in layout.inputs if leaf.dtype.kind == "f"]
    ones = [order.there(np.ones((*xs[0].shape[:2], *leaf.shape), leaf.dtype)) for leaf in layout.outputs]
    d_state, _, d_parameters = sequence.backward(problem_, kept, ones, [np.ones_like(a) for a in final], d_xs, True)
    inside = [*map(order.back, outputs), *final, *map(order.back, d_xs)]
    return [*inside, *d_state, *(d for d in d_parameters if d is not None)]


def test_minirnn_has_no_pass_that_these_tests_do_not_know():
    assert set(passes.FUSING) == set(ALL)
    assert minirnn.__name__
