"""The same gradient by autograd, by hand, by RTRL and by complex step."""

import numpy as np
import pytest
from bptt_cases import (
    NETWORKS,
    by_autograd,
    by_hand,
    by_rtrl,
    complex_step_error,
    leaves,
    make,
    problems,
    relative_error,
)
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn import bptt

BOUND = 1e-10

each_network = pytest.mark.parametrize("kind", NETWORKS)
pytestmark = pytest.mark.filterwarnings("ignore:the result does not depend on:minirnn.UnreachedWarning")  # no steps


# ---------------------------------------------------------------- exact gradients
@each_network
@given(data=st.data())
def test_four_derivations_give_one_gradient(kind, data):
    problem = data.draw(problems(kind))
    reference = by_autograd(problem)
    assert relative_error(by_hand(problem), reference) < BOUND
    assert relative_error(by_rtrl(problem), reference) < BOUND
    assert complex_step_error(problem, reference) < BOUND


@each_network
@given(data=st.data())
def test_outputs_and_states_are_those_of_the_step(kind, data):
    problem = data.draw(problems(kind))
    network, params, xs, state, lengths, d_outputs, d_state = problem
    final, expected = minirnn.scan(lambda s, x: network.step(params, s, x), state, xs, lengths=lengths, engine="python")
    forward = problem.forward()
    rtrl = network.by_rtrl(params, xs, state, d_outputs, d_state, lengths, **network.option)
    for outputs, reached in (forward[:2], rtrl[:2]):
        assert np.allclose(outputs, expected, rtol=0, atol=1e-13)
        assert all(np.allclose(a, b, rtol=0, atol=1e-13) for a, b in zip(leaves(reached), leaves(final), strict=True))


@pytest.mark.parametrize("kind", ["LSTM", "LSTM projected"])
@given(data=st.data())
def test_stacked_and_per_gate_lstm_are_one_model(kind, data):
    problem = data.draw(problems(kind))
    _, params, xs, state, lengths, d_outputs, d_state = problem
    per_gate = bptt.lstm_per_gate
    outputs, final, cache = per_gate.forward(per_gate.to_per_gate(params), xs, state, lengths)
    expected = problem.forward()
    pairs = zip([outputs, *final], [expected[0], *expected[1]], strict=True)
    assert all(np.allclose(a, b, rtol=0, atol=1e-13) for a, b in pairs)
    grads, d_xs, d_state0 = per_gate.backward(cache, d_outputs, d_state)
    names = dict(zip(["d_h", "d_c"], d_state0, strict=True)) | {"d_xs": d_xs}
    reference = by_hand(problem)
    assert relative_error(per_gate.grads_from_per_gate(grads) | names, reference) < BOUND
    stacked = {name: reference[name] for name in params}
    assert relative_error(per_gate.grads_to_per_gate(stacked), grads) < BOUND


def test_per_gate_parameters_survive_the_way_through_the_stacked_ones():
    per_gate = bptt.lstm_per_gate.to_per_gate(make("LSTM projected").params)
    back = bptt.lstm_per_gate.to_per_gate(bptt.lstm_per_gate.from_per_gate(per_gate))
    assert all(np.array_equal(back[name], array) for name, array in per_gate.items())
    assert back.keys() == per_gate.keys()


# ---------------------------------------------------------------- truncation
@each_network
@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
@pytest.mark.parametrize("ragged", [False, True])
def test_truncation_is_autograd_with_the_state_stopped_between_chunks(kind, chunk, ragged):
    problem = make(kind, steps=7, ragged=ragged)
    assert relative_error(by_hand(problem, chunk), by_autograd(problem, chunk)) < BOUND


@each_network
def test_truncation_biases_the_gradient_until_it_spans_the_sequence(kind):
    problem = make(kind, steps=6, ragged=False)
    full = by_hand(problem)
    assert relative_error(by_hand(problem, 5), full) > 1e-6
    for enough in (6, 100):
        assert all(np.array_equal(g, full[name]) for name, g in by_hand(problem, enough).items())


def test_truncation_of_the_per_gate_lstm_is_that_of_the_stacked_one():
    problem, per_gate = make("LSTM", steps=5), bptt.lstm_per_gate
    cache = per_gate.forward(per_gate.to_per_gate(problem.params), problem.xs, problem.state, problem.lengths)[2]
    grads, _, _ = per_gate.backward(cache, problem.d_outputs, problem.d_state, truncate=2)
    assert relative_error(per_gate.grads_from_per_gate(grads), by_hand(problem, 2)) < BOUND


# ---------------------------------------------------------------- edges
@each_network
@pytest.mark.parametrize("derivation", [by_hand, by_rtrl])
def test_without_a_step_the_final_states_cotangent_is_the_initial_ones(kind, derivation):
    problem = make(kind, steps=0)
    outputs, final, _ = problem.forward()
    gradient = derivation(problem)
    assert outputs.shape == problem.d_outputs.shape
    for name, before, after, g in zip(
        ["d_h", "d_c"], leaves(problem.state), leaves(final), leaves(problem.d_state), strict=False
    ):
        assert np.array_equal(after, before)
        assert np.array_equal(gradient[name], g)
        assert not np.shares_memory(gradient[name], g)
    assert not any(gradient[name].any() for name in problem.params)


@each_network
@pytest.mark.parametrize("derivation", [by_hand, by_rtrl])
def test_padding_may_hold_anything_and_gets_no_gradient(kind, derivation):
    problem = make(kind)._replace(lengths=np.array([4, 1, 0]))
    padded = problem._replace(xs=problem.xs.copy(), d_outputs=problem.d_outputs.copy())
    for b, n in enumerate(problem.lengths):
        padded.xs[n:, b] = padded.d_outputs[n:, b] = np.nan
    found = derivation(padded)
    assert all(np.array_equal(g, found[name]) for name, g in derivation(problem).items())
    assert not found.get("d_xs", np.zeros((4, 3)))[1:, 1].any()


@each_network
@pytest.mark.parametrize("derivation", [by_hand, by_rtrl])
def test_nothing_given_is_modified_and_a_second_backward_gives_the_same(kind, derivation):
    problem = make(kind, ragged=False)
    arrays = [*problem.params.values(), problem.xs, problem.d_outputs, *leaves(problem.state), *leaves(problem.d_state)]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    gradient = derivation(problem)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    assert not any(np.shares_memory(g, array) for g in gradient.values() for array in arrays)
    outputs, final, cache = problem.forward()
    first = problem.network.by_hand.backward(cache, problem.d_outputs, problem.d_state)[0]
    for array in [outputs, *leaves(final)]:
        array[:] = 0  # what came out is the caller's own
    second = problem.network.by_hand.backward(cache, problem.d_outputs, problem.d_state)[0]
    assert all(np.array_equal(first[name], second[name]) for name in first)


@each_network
@pytest.mark.parametrize("derivation", [by_hand, by_rtrl])
@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_the_dtype_is_kept(kind, derivation, dtype):
    narrow = make(kind, dtype=dtype)
    outputs, final, _ = narrow.forward()
    gradient = derivation(narrow)
    assert {array.dtype for array in [outputs, *leaves(final), *gradient.values()]} == {np.dtype(dtype)}
    assert relative_error(gradient, derivation(make(kind))) < 1e-4
