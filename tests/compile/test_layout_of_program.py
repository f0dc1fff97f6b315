"""What a program says of its sizes, of small graphs by hand."""

import math

import numpy as np
import pytest
from compile_cases import cell_of, problem

from minirnn.compile.ir import BATCH as B
from minirnn.compile.ir import input_node, make
from minirnn.compile.passes import optimised
from minirnn.compile.place import place
from minirnn.compile.program import _coarsest, _named, _width, _work, layout_of
from minirnn.compile.trace import trace


def leaf(*shape, dtype=np.float64):
    return input_node("input", "x", shape, dtype)


@pytest.mark.parametrize(
    ("a", "b", "turned", "flops"),
    [
        ((B, 4), (4, 6), (False, False), 2 * 4 * 6),
        ((B, 4), (6, 4), (False, True), 2 * 4 * 6),
        ((B, 4), (B, 6), (True, False), 2 * 4 * 6),  # a weight's gradient
        ((3 * B, 4), (4, 6), (False, False), 3 * 2 * 4 * 6),
        ((4, B), (4, 6), (True, False), 2 * 4 * 6),
    ],
)
def test_the_work_of_a_product_is_two_operations_a_term_and_row(a, b, turned, flops):
    assert _work(make("matmul", leaf(*a), leaf(*b), attrs=turned)) == flops


@pytest.mark.parametrize(
    ("shape", "width"), [((B, 4), 4), ((B,), 1), ((2 * B, 3, 2), 12), ((4, B), 0), ((4, 3), 0), ((), 0)]
)
def test_the_width_of_rows_is_their_numbers(shape, width):
    assert _width(leaf(*shape)) == width


def test_the_coarsest_float_is_the_one_of_fewest_bytes():
    kinds = [np.float64, np.float16, np.float32, bool, np.int8]
    nodes = [leaf(B, dtype=kind) for kind in kinds]
    assert _coarsest(nodes) == "float16"
    assert _coarsest(nodes[:1] + nodes[2:]) == "float32"
    assert _coarsest(nodes[3:]) == "float64"


def cut(shape, *parts):
    return make("slice", leaf(*shape), attrs=parts)


@pytest.mark.parametrize(
    ("node", "rows"),
    [
        (cut((B, 4), (0, B, 1), (1, 3, 1)), 1),
        (cut((B, 4), (0, 5, 1), (0, 4, 1)), 5),
        (cut((B, 4), (6, 7, 1), (0, 4, 1)), 7),
        (cut((3 * B, 4), (0, 7, 1), (0, 4, 1)), 3),  # of three rows for one of the batch
        (cut((4, B), (0, 3, 1), (0, 2, 1)), 2),
        (make("put", leaf(5, 4), attrs=((B, 4), (1, 6, 1), (0, 4, 1))), 6),
        (make("put", leaf(B, 2), attrs=((B, 4), (0, B, 1), (1, 3, 1))), 1),
        (make("take", leaf(B, 4), attrs=(0, 2, 7, 0)), 8),
        (make("take", leaf(B, 4), attrs=(1, 2, 3)), 1),
        (make("untake", leaf(2, 4), attrs=(0, B, 2, 3)), 4),
        (make("tanh", leaf(B, 4)), 1),
    ],
)
def test_rows_that_are_named_by_number_must_be_there(node, rows):
    assert _named(node) == rows


def test_a_layout_adds_up_the_products_and_the_rows_of_both_directions():
    traced = trace(*problem(cell_of("LSTM")))
    placed = place(optimised(traced.graph))
    layout = layout_of(traced, placed)
    i, h = 2, 3
    ahead = 2 * 4 * h * (i + h)
    assert layout.work == 3 * ahead  # back again by the inputs and by the weights
    assert [leaf.shape for leaf in layout.states] == [(h,), (h,)]
    assert [leaf.shape for leaf in layout.inputs] == [(i,)]
    assert layout.least == 1
    assert layout.coarsest == "float64"
    for width, part in zip(layout.widths, (placed.forward, placed.backward), strict=True):
        rows = [node for node in (*part.before, *part.after) if node.shape[:1] == (B,)]
        assert width == max(1, sum(math.prod(node.shape[1:]) for node in rows))
