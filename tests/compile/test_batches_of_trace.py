"""What two recordings at batches of 3 and 5, and a third at 19, tell of what follows the batch."""

import numpy as np
import pytest

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import BATCH, Graph, Node, const, input_node, make
from minirnn.compile.trace import (
    BATCHES,
    _at,
    _check,
    _constant,
    _generalised,
    _size,
    _symbol,
    _symbolic,
    _symbolic_attrs,
)

F8 = np.dtype(np.float64)


def test_the_sizes_are_those_that_these_tests_name():
    assert BATCHES == (3, 5, 19)


@pytest.mark.parametrize(
    ("x", "y", "symbol"), [(4, 4, 4), (3, 5, BATCH), (6, 10, 2 * BATCH), (12, 20, 4 * BATCH), (0, 0, 0)]
)
def test_a_size_is_the_same_or_a_multiple_of_the_batch(x, y, symbol):
    assert _symbol(x, y) == symbol


@pytest.mark.parametrize(("x", "y"), [(3, 4), (4, 6), (5, 3), (3, 3 + 4), (2, 4), (6, 8), (-3, -5)])
def test_another_size_is_refused(x, y):
    with pytest.raises(CannotCompile, match=f"a size is {x} and {y} at batches of 3 and 5"):
        _symbol(x, y)


def test_shapes_and_attributes_are_taken_apart():
    assert _symbolic((3, 2, 6), (5, 2, 10)) == (BATCH, 2, 2 * BATCH)
    assert _symbolic((), ()) == ()
    assert _symbolic_attrs(((3, 1), "x", True), ((5, 1), "x", True)) == ((BATCH, 1), "x", True)
    assert _at((BATCH, ("x", 2 * BATCH), 4, True), 7) == (7, ("x", 14), 4, True)
    with pytest.raises(CannotCompile, match="number of axes depends on the batch"):
        _symbolic((3,), (5, 1))
    for a, b in (("x", "y"), (True, False), ((1,), (1, 2)), (1.0, 2.0), ((1, "a"), (1, "b"))):
        with pytest.raises(CannotCompile, match="stand in the same place at two sizes of the batch"):
            _symbolic_attrs(a, b)


# ---------------------------------------------------------------- numbers
@pytest.mark.parametrize(
    ("x", "y", "attrs"),
    [
        (3, 5, (1, 0, 1)),
        (2.0, 4.0, (1, -1, 1)),  # of B - 1
        (5, 7, (1, 2, 1)),
        (6.0, 10.0, (2, 0, 1)),
        (1 / 3, 1 / 5, (1, 0, -1)),
        (1 / 2, 1 / 4, (1, -1, -1)),
        (1 / 12, 1 / 20, (4, 0, -1)),
    ],
)
def test_a_number_is_a_multiple_of_the_batch_with_little_beside_it_or_one_over_such(x, y, attrs):
    node = _size(x, y, F8)
    assert (node.op, node.attrs, node.shape, node.dtype) == ("size", attrs, (), F8)


@pytest.mark.parametrize(
    ("x", "y", "dtype"),
    [
        (6, 8, F8),  # B + 3
        (0, 2, F8),  # B - 3
        (5, 3, F8),
        (3, 3, F8),
        (3, 5.5, F8),
        (3.5, 5.5, F8),
        (1 / 3, 1 / 6, F8),
        (1 / 6, 1 / 8, F8),
        (0.0, 0.2, F8),
        (0.2, 0.0, F8),
        (-3, -5, F8),
    ],
)
def test_another_number_leaves_its_trace(x, y, dtype):
    with pytest.raises(CannotCompile, match="leaves its trace"):
        _size(x, y, dtype)


def one(a, b=None):
    return _constant(const(a), const(a if b is None else b))


def test_a_constant_is_the_same_one_number_throughout_or_a_size():
    varied = const(np.arange(3.0))
    assert _constant(varied, const(np.arange(3.0))) is varied
    assert _constant(const(np.array([np.nan, 1])), const(np.array([np.nan, 1]))).op == "const"
    assert _constant(const(2.0), const(2.0)).attrs == (2.0,)
    for a, b, value, shape in (
        (np.full((2, 4), 7.0), None, 7.0, (2, 4)),
        (np.full((3, 4), 7.0), np.full((5, 4), 7.0), 7.0, (BATCH, 4)),
        (np.zeros((3, 0)), np.zeros((5, 0)), 0.0, (BATCH, 0)),
        (np.full((6,), 2, np.int64), np.full((10,), 2, np.int64), 2, (2 * BATCH,)),
    ):
        node = one(a, b)
        assert (node.op, node.shape, node.dtype, node.operands[0].attrs) == ("broadcast", shape, a.dtype, (value,))
    assert one(np.zeros(0)).op == "const"
    assert one(3, 5).op == one(1 / 3, 1 / 5).op == "size"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.arange(3.0), np.arange(3.0) + 1),
        (np.arange(3.0), np.arange(5.0)),
        (np.full(3, 1.0), np.full(5, 2.0)),
        (np.full(3, 1.0), np.arange(5.0)),
        (np.full(3, 1.0), np.zeros(0)),
        (np.zeros(0), np.full(5, 1.0)),
        (True, False),
        (1.5, 2.5),
    ],
)
def test_any_other_constant_leaves_its_trace(a, b):
    with pytest.raises(CannotCompile, match="leaves its trace"):
        one(a, b)


# ---------------------------------------------------------------- graphs
def recorded(batch, *, extra=False, swapped=False, op="tanh", name="output"):
    x, y = (input_node("state", name, (batch, 4), F8) for name in "xy")
    total = make("sub", *((y, x) if swapped else (x, y)))
    node = make(op, total)
    return Graph((x, y), {(name, ""): make("neg", node) if extra else node})


def refused():
    raise AssertionError("the third recording is asked for nothing")


def test_rows_that_never_meet_need_no_third_recording():
    graph = _generalised(recorded(3), recorded(5), refused)
    assert [node.shape for node in graph.nodes()] == [(BATCH, 4)] * 4
    assert [node.op for node in graph.nodes()] == ["input", "input", "sub", "tanh"]
    assert [node.attrs for node in graph.inputs] == [("state", "x"), ("state", "y")]


@pytest.mark.parametrize("other", [{"extra": True}, {"swapped": True}, {"op": "exp"}, {"name": "state"}])
def test_another_course_is_refused(other):
    with pytest.raises(CannotCompile, match="another course at another size of the batch"):
        _generalised(recorded(3), recorded(5, **other), refused)


def turned(batch, way):
    """tanh(x) - tanh(tanh(x)), or the other way round: the same operations in the same order."""
    x = input_node("state", "x", (batch, 4), F8)
    a = make("tanh", x)
    b = make("tanh", a)
    return Graph((x,), {("output", ""): make("sum", make("sub", *((b, a) if way else (a, b))), attrs=(0,))})


@pytest.mark.parametrize("ways", [(0, 1, 0), (1, 0, 0), (0, 0, 1), (1, 1, 0)])
def test_operands_that_change_places_are_another_course(ways):
    first, second, third = (turned(batch, way) for batch, way in zip(BATCHES, ways, strict=True))
    with pytest.raises(CannotCompile, match="another course at another size of the batch"):
        _generalised(first, second, lambda: third)


def exchanged(batch, way):
    """The outputs, or the other way round: the same operations in the same order."""
    x = input_node("state", "x", (batch, 4), F8)
    total = make("sum", x, attrs=(0,))
    a = make("tanh", total)
    b = make("tanh", a)
    return Graph((x,), dict(zip([("output", "a"), ("output", "b")], (b, a) if way else (a, b), strict=True)))


@pytest.mark.parametrize("ways", [(0, 1, 0), (1, 0, 0), (0, 0, 1), (1, 1, 0)])
def test_outputs_that_change_places_are_another_course(ways):
    first, second, third = (exchanged(batch, way) for batch, way in zip(BATCHES, ways, strict=True))
    with pytest.raises(CannotCompile, match="another course at another size of the batch"):
        _generalised(first, second, lambda: third)


def meeting(batch, rows=None, divided=True):
    x = input_node("state", "x", (batch, 4), F8)
    rows = batch if rows is None else rows
    total = make("sum", make("slice", x, attrs=((0, rows, 1), (0, 4, 1))), attrs=(0,))
    return Graph((x,), {("output", ""): make("mul", total, const(1 / rows)) if divided else total})


def test_where_rows_meet_the_third_recording_must_agree():
    asked = []
    graph = _generalised(meeting(3), meeting(5), lambda: asked.append(0) or meeting(19))
    assert asked == [0]
    assert [node.attrs for node in graph.nodes() if node.op == "size"] == [(1, 0, -1)]
    assert _generalised(meeting(3, divided=False), meeting(5, divided=False), lambda: meeting(19, divided=False))
    for third, says in (
        (meeting(19, 12), "by numbers that do not follow the size of the batch"),
        (meeting(19, divided=False), "another course"),
        (Graph(meeting(19).inputs, {("output", ""): make("exp", meeting(19).outputs["output", ""])}), "another course"),
    ):
        with pytest.raises(CannotCompile, match=says):
            _generalised(meeting(3), meeting(5), lambda third=third: third)


def test_a_number_that_follows_the_batch_otherwise_is_refused_at_the_third():
    size = Node("size", (), (1, 0, 1), (), F8)
    _check([size], [const(19)], 19)
    for other in (const(20), input_node("state", "x", (), F8)):
        with pytest.raises(CannotCompile, match="leaves its trace"):
            _check([size], [other], 19)
    x = input_node("state", "x", (BATCH, 4), F8)
    for node, other in ((x, input_node("state", "x", (18, 4), F8)), (x, input_node("state", "y", (19, 4), F8))):
        with pytest.raises(CannotCompile, match="do not follow the size of the batch"):
            _check([node], [other], 19)
    _check([x], [input_node("state", "x", (19, 4), F8)], 19)
