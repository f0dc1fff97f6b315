"""Sizes beyond every threshold of a compiled sequence, named where crossed: blocks, shares, pieces.

Expected values are the reference loop's, which knows none of them.
"""

from functools import cache
from importlib.util import find_spec

import autograd.numpy as np
import numpy as onp
import pytest
from compile_cases import Problem, error, numbers, problem, worst

import minirnn
from minirnn import tree
from minirnn.call import Call
from minirnn.compile import engine, sequence
from minirnn.functional import linear, sigmoid, tanh
from minirnn.tier import tier

STEPS, ROWS = 90, 24
LENGTHS = onp.concatenate([[STEPS, 1, 0], onp.arange(ROWS - 3) * 4 + 2])
RESETS = onp.random.default_rng(1).random((STEPS, ROWS)) < 0.05
no_llvm = pytest.mark.skipif(find_spec("llvmlite") is None, reason="llvmlite is not installed")
TIERS = ["numpy", pytest.param("native", marks=no_llvm)]


class Mixed(minirnn.Cell):
    """Two states of different widths and a counter; two inputs; two outputs, none of which is a state."""

    def __init__(self, hidden, counter):
        rng = onp.random.default_rng(0)
        draw = lambda *shape: minirnn.Parameter(rng.standard_normal(shape) / shape[-1] ** 0.5)
        self.input_size, self.hidden_size, self.counter = 5, hidden, counter
        self.w, self.u, self.v, self.b = draw(2 * hidden, 5), draw(2 * hidden, hidden), draw(3, hidden), draw(hidden)

    def initial_state(self, batch_size, dtype=None):
        return (
            onp.zeros((batch_size, self.hidden_size)),
            onp.zeros((batch_size, 3)),
            onp.zeros(batch_size, self.counter),
        )

    def inputs(self, xs, *, rng=None):
        return xs, onp.abs(xs[..., :1]) + 0.1

    def step(self, state, inputs):
        (h, memory, count), (x, dt) = state, inputs
        gate, new = minirnn.functional.split(linear(x, self.w) + linear(h, self.u), 2)
        h = h + sigmoid(gate) * (tanh(new + self.b) - h) * dt / (1 + dt)
        memory = 0.9 * memory + linear(h, self.v) * np.reshape(1.0 / (count + 1.0), (-1, 1))
        return (h, memory, count + 1), {"shown": np.concatenate([h, memory], axis=1), "sum": np.sum(memory, axis=1)}


def long_problem(steps=STEPS, rows=ROWS):
    return problem(Mixed(48, "i8"), steps, rows)


def gated_problem(steps, rows):
    """A cell of matrix products, one after the other."""
    return problem(minirnn.cells.MGU(20, 30, rng=onp.random.default_rng(0), dtype=onp.float64), steps, rows)


def blocks(given, steps=STEPS, rows=ROWS):
    """How many blocks a share of these rows makes forward and backward."""
    program = engine.program_for(Call(*given, None, False, None))
    made = sequence.Problem(program, [], [onp.zeros((steps, rows, 1))], None)
    return [-(-steps // made.block_steps(rows, backward)) for backward in (False, True)]


WAYS = {
    "plain": {},
    "reversed": {"reverse": True},
    "ragged": {"lengths": LENGTHS},
    "ragged and reversed": {"lengths": LENGTHS, "reverse": True},
    "in pieces": {"checkpoint_every": 37},  # which divides neither the steps nor a block
    "in pieces of a step": {"checkpoint_every": 1},
    "in pieces, ragged and reversed": {"checkpoint_every": 40, "lengths": LENGTHS, "reverse": True},
    "cut": {"resets": RESETS},
    "cut, in pieces, ragged and reversed": {
        "resets": RESETS,
        "checkpoint_every": 40,
        "lengths": LENGTHS,
        "reverse": True,
    },
}


@cache
def of_the_reference(way):
    return numbers(long_problem(), "python", **{k: v for k, v in WAYS[way].items() if k != "checkpoint_every"})


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of some steps, where real ones hold half a million numbers; one test below has those."""
    monkeypatch.setattr(sequence, "BLOCK_NUMBERS", dict.fromkeys((True, False), 1 << 16))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("on", TIERS)
@pytest.mark.parametrize("way", WAYS)
class TestBeyondABlock:
    def test_results_and_gradients(self, way, on):
        given = long_problem()
        with tier(on):
            assert engine.program_for(Call(*given, None, False, None)).native == (on == "native")
            assert min(blocks(given)) > 2  # BLOCK_NUMBERS is crossed in both passes
            assert worst(numbers(given, "compiled", **WAYS[way]), of_the_reference(way)) < 1e-10

    def test_results_where_nothing_is_differentiated(self, way, on):
        given = long_problem()
        with tier(on):
            found = tree.leaves(minirnn.scan(*given, engine="compiled", **WAYS[way]))
        whole = {name: value for name, value in WAYS[way].items() if name != "checkpoint_every"}
        expected = tree.leaves(minirnn.scan(*given, engine="python", **whole))
        assert worst(found, expected) < 1e-12

    def test_threads_that_share_the_rows(self, way, on, monkeypatch):
        """SHARE is crossed: three shares of unequal numbers of rows, in native code."""
        monkeypatch.setattr(sequence, "SHARE", 1e4)
        before = minirnn.get_num_threads()
        try:
            minirnn.set_num_threads(5)
            with tier(on):
                found = numbers(long_problem(), "compiled", **WAYS[way])
            assert worst(found, of_the_reference(way)) < 1e-10
        finally:
            minirnn.set_num_threads(before)


@pytest.mark.parametrize("on", ["numpy", pytest.param("native", marks=no_llvm)])
def test_a_sequence_longer_than_a_block_of_its_real_size(on):
    given = gated_problem(1000, 32)
    with tier(on):
        assert min(blocks(given, 1000, 32)) > 1
        assert error(given) < 1e-10
        found = minirnn.scan(*given, engine="compiled")
    assert worst(tree.leaves(found), tree.leaves(minirnn.scan(*given, engine="python"))) < 1e-12


@no_llvm
@pytest.mark.parametrize("count", [1, 2, 3])
def test_shares_of_the_real_size(count):
    given = gated_problem(120, 26)
    before = minirnn.get_num_threads()
    try:
        minirnn.set_num_threads(count)
        with tier("native"):
            program = engine.program_for(Call(*given, None, False, None))
            made = sequence.Problem(program, [], [given.xs], None)
            assert len(made.shares()) == count  # SHARE is crossed as often as there are threads
            assert [row for (span,) in made.shares() for row in range(*span.rows)] == list(range(26))
            assert error(given, lengths=onp.arange(26) + 95) < 1e-10
    finally:
        minirnn.set_num_threads(before)


class Meeting(minirnn.Cell):
    """Rows of the batch meet in the step: no share of them can run alone."""

    def __init__(self):
        self.input_size, self.hidden_size = 2, 8
        rng = onp.random.default_rng(0)
        self.w, self.u = (minirnn.Parameter(rng.standard_normal((8, n)) / 3) for n in (2, 8))

    def step(self, h, x):
        a = linear(x, self.w) + linear(h, self.u)
        h = tanh(a - 0.1 * np.sum(a, axis=0, keepdims=True))
        return h, h


@pytest.mark.parametrize("way", WAYS)
def test_rows_that_meet(way, monkeypatch):
    monkeypatch.setattr(sequence, "BLOCK_NUMBERS", dict.fromkeys((True, False), 1 << 11))
    shorter = {"lengths": LENGTHS // 2, "resets": RESETS[:60]}
    ways = WAYS[way] | {name: shorter[name] for name in shorter if name in WAYS[way]}
    assert error(problem(Meeting(), 60, ROWS), **ways) < 1e-10


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("layout", ["swapped", "reversed", "every second"])
def test_inputs_in_any_layout(layout):
    given = long_problem()
    turned = {
        "swapped": lambda a: onp.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1),
        "reversed": lambda a: onp.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
        "every second": lambda a: onp.repeat(onp.repeat(a, 2, axis=1), 2, axis=2)[:, ::2, ::2],
    }[layout]
    strange = Problem(
        given.cell, tree.map(lambda a: turned(a[None])[0] if a.ndim > 2 else a, given.state), tree.map(turned, given.xs)
    )
    assert worst(numbers(strange, "compiled"), numbers(given, "python")) < 1e-10


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("part", ["shown", "sum", "h", "memory"])
def test_a_cotangent_that_reaches_one_result_alone(part):
    given = long_problem()

    def loss(way):
        def of(cell, state, xs):
            (h, memory, _), outputs = minirnn.scan(cell, (*state, given.state[2]), xs, engine=way, lengths=LENGTHS)
            return np.sum(np.sin({**outputs, "h": h, "memory": memory}[part]))

        return of

    arguments = given.cell, given.state[:2], given.xs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *a, **k: None)  # of arguments that the loss does not depend on
        found, expected = (
            tree.leaves(minirnn.grad(loss(way), argnums=(0, 1, 2))(*arguments)) for way in ("compiled", "python")
        )
    assert worst(found, expected) < 1e-10
