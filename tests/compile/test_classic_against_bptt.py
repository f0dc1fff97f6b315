"""The kernels, and back-propagation through time as a person wrote it out: they share no line, and they agree."""

import autograd.numpy as anp
import numpy as np
import pytest
from classic_cases import CELLS, draw_like, problem, problems, worst
from hypothesis import given

import minirnn
from minirnn import bptt, tree
from minirnn.gradcheck import gradcheck

BY_HAND = {"tanh": bptt.rnn, "relu": bptt.rnn, "lstm": bptt.lstm, "projected": bptt.lstm, "gru": bptt.gru}


def by_hand(made, d_outputs, d_final):
    """Outputs, final state and gradients of minirnn.bptt; time is turned round for a reversed scan."""
    options = {"nonlinearity": made.cell.nonlinearity} if isinstance(made.cell, minirnn.RNNCell) else {}
    module = next(BY_HAND[kind] for kind in CELLS if type(CELLS[kind](1, 2)) is type(made.cell))
    xs, d_outputs = (turned(array, made) for array in (made.xs, d_outputs))
    state = tuple(made.state) if isinstance(made.state, tuple) else made.state
    outputs, final, cache = module.forward(made.cell.parameters(), xs, state, made.lengths, **options)
    d_final = tuple(d_final) if isinstance(d_final, tuple) else d_final
    grads, d_xs, d_state = module.backward(cache, d_outputs, d_final)
    return {
        "outputs": turned(outputs, made),
        "final": tree.leaves(final),
        "grads": {name: grads[name] for name in made.cell.parameters()},
        "xs": turned(d_xs, made),
        "state": tree.leaves(d_state),
    }


def turned(array, made):
    """The array in the order of the steps: every sequence from its own end where the scan is reversed."""
    if not made.reverse:
        return array
    if made.lengths is None:
        return np.ascontiguousarray(array[::-1])
    out = array.copy()
    for b, n in enumerate(made.lengths):
        out[:n, b] = array[:n, b][::-1]
    return out


def by_kernel(made, d_outputs, d_final):
    (final, outputs), pull = minirnn.vjp(made.scan("compiled", made.every), *made.primals())
    grads, d_xs, d_state = pull((d_final, d_outputs))
    return {
        "outputs": outputs,
        "final": tree.leaves(final),
        "grads": grads,
        "xs": d_xs,
        "state": tree.leaves(d_state),
    }


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 1e-12), (np.float32, 2e-5)], ids=["float64", "float32"])
def test_kernels_equal_what_was_written_by_hand(dtype, bound, on_tier):
    @given(problems(dtype))
    def agree(made):
        final, outputs = made.scan("compiled")(*made.primals())
        rng = np.random.default_rng(3)
        d_outputs, d_final = draw_like(outputs, rng), draw_like(final, rng)
        error, where = worst(by_kernel(made, d_outputs, d_final), by_hand(made, d_outputs, d_final))
        assert error < bound, where

    agree()


@pytest.mark.parametrize("kind", CELLS)
def test_the_checker_passes_every_kernel(kind, on_tier):
    made = problem(kind, steps=3, batch=2, hidden=3)

    def loss(xs, *leaves):
        state = tree.flatten(made.state)[1](leaves)
        final, outputs = made.scan("compiled")(made.cell, xs, state)
        return sum(anp.sum(anp.sin(leaf)) for leaf in [outputs, *tree.leaves(final)])

    report = gradcheck(loss, made.xs, *tree.leaves(made.state))
    assert report.ok, str(report)
