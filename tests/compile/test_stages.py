"""In which loop an operation stands, and behind which products."""

import numpy as np
import pytest

from minirnn.compile.fuse import stages
from minirnn.compile.ir import BATCH as B
from minirnn.compile.ir import input_node, make

x, y = (input_node("input", name, (B, 4), np.float64) for name in "xy")
w = input_node("parameter", "w", (4, 4), np.float64)


def op(name, *operands, attrs=()):
    return make(name, *operands, attrs=attrs)


def product(a):
    return make("matmul", a, w, attrs=(False, False))


def row(a):
    return make("sum", a, attrs=(1,))


def staged(*order, needs=None, copies=None, fuse=True):
    """By stage: its loops and what stands behind them, each operation by its place in the order."""
    place = {node: k for k, node in enumerate(order)}
    made = stages(order, needs or {}, copies or {}, fuse=fuse)
    return [([[place[n] for n in group.nodes] for group in stage.groups], [place[n] for n in stage.whole])
            for stage in made]  # fmt: skip


def test_operations_of_one_shape_are_one_loop():
    a = op("tanh", x)
    b = op("mul", a, y)
    assert staged(a, b, op("add", a, b)) == [([[0, 1, 2]], [])]
    assert [loops for loops, _ in staged(a, b, fuse=False) if loops] == [[[0], [1]]]  # or each in one of its own
    assert staged() == []


def test_a_product_stands_behind_the_loop_that_it_waits_for_and_before_the_one_that_waits_for_it():
    a = op("tanh", x)
    p = product(a)
    b = op("tanh", p)
    assert staged(a, p, b, product(b)) == [([[0]], [1]), ([[2]], [3])]
    assert staged(a, p, product(p)) == [([[0]], [1]), ([], [2])]  # and a product of one waits as well


def test_loops_of_other_shapes_wait_for_each_other():
    a = op("tanh", x)
    narrow = row(a)
    wide = make("reshape", narrow, attrs=(B, 1))
    b = op("mul", x, wide)
    assert staged(a, narrow, wide, b) == [([[0]], [1]), ([[3]], [])]
    c = op("tanh", input_node("input", "c", (B, 1), np.float64))
    assert staged(c, op("mul", x, c)) == [([[0]], []), ([[1]], [])]


def test_what_is_needed_for_something_else_has_a_loop_of_its_own_and_is_waited_for():
    a, b = op("tanh", x), op("tanh", y)
    c = op("mul", a, y)
    assert staged(a, b, needs={a: ("x",)}) == [([[0], [1]], [])]
    assert staged(a, b, needs={a: ("x",), b: ("x",)}) == [([[0, 1]], [])]
    assert staged(a, c, needs={a: ("x",)}) == [([[0]], []), ([[1]], [])]
    assert staged(a, c, needs={a: ("x",), c: ("x",)}) == [([[0, 1]], [])]


def test_what_is_seen_through_a_view_or_as_part_of_a_whole_is_waited_for():
    a = op("tanh", x)
    turned = make("reshape", make("reshape", a, attrs=(B, 2, 2)), attrs=(B, 4))
    assert staged(a, turned.operands[0], turned, op("mul", turned, y)) == [([[0]], []), ([[3]], [])]
    whole = make("concat", a, y, attrs=(1,))
    late = op("tanh", whole)
    assert staged(a, whole, late) == [([[0]], []), ([[2]], [])]
    p = product(a)
    copy = op("tanh", p)
    found = staged(a, p, copy, whole, late, copies={whole: [copy]})  # a copy that makes up the whole comes first
    assert found == [([[0]], [1]), ([[2]], []), ([[4]], [])]


def test_what_only_reads_memory_stands_where_it_is_needed():
    a = op("tanh", x)
    p = product(a)
    b = op("tanh", y)  # reads what is there anyway
    assert staged(a, p, b, op("mul", p, b)) == [([[0]], [1]), ([[2, 3]], [])]
    assert staged(a, p, b, op("mul", p, b), op("mul", a, b)) == [([[0, 2, 4]], [1]), ([[3]], [])]
    assert staged(a, p, b, product(b), op("mul", p, b)) == [([[0, 2]], [1, 3]), ([[4]], [])]
    c = op("mul", a, b)  # waits for another loop, so that it stays beside that
    assert staged(a, p, b, c, op("mul", p, c)) == [([[0, 2, 3]], [1]), ([[4]], [])]


@pytest.mark.parametrize("needs", [True, False])
def test_it_is_not_moved_into_a_loop_that_runs_for_something_else(needs):
    a, b = op("tanh", x), op("tanh", y)
    p = product(a)
    c = op("mul", p, b)
    found = staged(a, p, b, c, needs={c: ("x",)} if needs else {})
    assert found == ([([[0, 2]], [1]), ([[3]], [])] if needs else [([[0]], [1]), ([[2, 3]], [])])
