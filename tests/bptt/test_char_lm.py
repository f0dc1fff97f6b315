"""The hand-written character model against autograd through minirnn's layers, and against finite differences."""

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn.bptt import char_lm
from minirnn.functional import linear, log_softmax, pick

T, B, V, H = 6, 3, 5, 4


@pytest.fixture(params=[True, False], ids=["bias", "no bias"])
def params(request, rng):
    shapes = {"weight_ih": (4 * H, V), "weight_hh": (4 * H, H), "weight_hy": (V, H)}
    shapes |= {"bias_ih": (4 * H,), "bias_hh": (4 * H,), "bias_y": (V,)} if request.param else {}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def text(rng, scored=T, batch=(B,)):
    inputs, targets = rng.integers(0, V, (T, *batch)), rng.integers(0, V, (scored, *batch))
    return inputs, targets, rng.standard_normal((*batch, H)), rng.standard_normal((*batch, H))


def layers_loss(params, inputs, targets, h0, c0):
    """The same loss through minirnn's LSTM layer."""
    bound = {f"layers.0.cell.{name}": value for name, value in params.items() if not name.endswith("y")}
    layer = minirnn.LSTM(V, H, bias="bias_ih" in params, dtype=h0.dtype, engine="python")
    names = dict(zip(layer.parameters(), params, strict=False))
    assert {name.rsplit(".", 1)[-1] for name in names} == {name.rsplit(".", 1)[-1] for name in bound}
    layer = layer.bind({name: params[name.rsplit(".", 1)[-1]] for name in names})
    hs, state = layer(np.eye(V, dtype=h0.dtype)[inputs], minirnn.LSTMState(h0[None], c0[None]))
    scores = linear(hs[len(inputs) - len(targets) :], params["weight_hy"], params.get("bias_y"))
    return -anp.sum(pick(log_softmax(scores), targets)), state


@pytest.mark.parametrize("scored", [T, 2, 0])
@pytest.mark.parametrize("batch", [(B,), ()], ids=["batch", "one text"])
@pytest.mark.filterwarnings("ignore:the result does not depend on:minirnn.UnreachedWarning")  # where nothing is scored
def test_loss_gradient_and_final_state_are_those_of_the_layers(params, rng, scored, batch):
    given = text(rng, scored, batch)
    loss, grads, (h, c) = char_lm.loss_and_grads(params, *given)
    (expected, state), reference = minirnn.value_and_grad(layers_loss, has_aux=True)(params, *given)
    assert np.isclose(loss, expected, rtol=1e-12)
    assert grads.keys() == params.keys()
    for name, g in grads.items():
        assert np.allclose(g, reference[name], rtol=1e-10, atol=1e-12), name
    assert np.allclose(h, state.h[0], atol=1e-13)
    assert np.allclose(c, state.c[0], atol=1e-13)
    assert h.shape == given[2].shape


@pytest.mark.parametrize("scored", [T, 2])
def test_the_gradient_is_the_losss_slope(params, rng, scored):
    given, eps = text(rng, scored), 1e-5
    grads = char_lm.loss_and_grads(params, *given)[1]
    for name, g in grads.items():
        v = rng.standard_normal(g.shape)
        ahead, behind = (char_lm.loss_and_grads(params | {name: params[name] + e * v}, *given)[0] for e in (eps, -eps))
        assert np.isclose((ahead - behind) / (2 * eps), np.sum(g * v), rtol=1e-6), name


def test_a_character_that_is_not_scored_still_gets_gradient(rng):
    params = {"weight_ih": (4 * H, V), "weight_hh": (4 * H, H), "weight_hy": (V, H)}
    params = {name: rng.standard_normal(shape) for name, shape in params.items()}
    first_only = np.array([4, 1, 2, 3, 0, 1])
    grads = char_lm.loss_and_grads(params, first_only, np.array([2]), *np.zeros((2, H)))[1]
    assert grads["weight_ih"][:, 4].any()


def test_chunks_carried_on_score_the_same_text(params, rng):
    inputs, targets, h0, c0 = text(rng)
    whole, _, final = char_lm.loss_and_grads(params, inputs, targets, h0, c0)
    first, _, state = char_lm.loss_and_grads(params, inputs[:2], targets[:2], h0, c0)
    second, _, reached = char_lm.loss_and_grads(params, inputs[2:], targets[2:], *state)
    assert np.isclose(first + second, whole, rtol=1e-13)
    assert all(np.allclose(a, b, rtol=0, atol=1e-13) for a, b in zip(reached, final, strict=True))


def test_clipping_bounds_every_entry_and_changes_no_other(params, rng):
    given = text(rng)
    _, grads, _ = char_lm.loss_and_grads(params, *given)
    loss, clipped, _ = char_lm.loss_and_grads(params, *given, clip=0.5)
    assert loss == char_lm.loss_and_grads(params, *given)[0]
    assert any(np.abs(g).max() > 0.5 for g in grads.values())
    assert all(np.array_equal(clipped[name], np.clip(g, -0.5, 0.5)) for name, g in grads.items())


def test_huge_scores_stay_finite_and_float32_stays_float32(params, rng):
    inputs, targets, h0, c0 = text(rng)
    narrow = {name: (1e4 * value).astype(np.float32) for name, value in params.items()}
    loss, grads, state = char_lm.loss_and_grads(narrow, inputs, targets, h0.astype("f4"), c0.astype("f4"))
    assert np.isfinite(loss)
    assert all(np.isfinite(g).all() for g in grads.values())
    assert {array.dtype for array in [*grads.values(), *state]} == {np.dtype(np.float32)}


def test_what_is_given_is_not_modified(params, rng):
    given = text(rng)
    for array in [*params.values(), *given]:
        array.flags.writeable = False
    assert np.isfinite(char_lm.loss_and_grads(params, *given, clip=5)[0])


SMALL = {"weight_ih": np.ones((8, 3)), "weight_hh": np.ones((8, 2)), "weight_hy": np.ones((3, 2))}
H0 = np.zeros(2)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"inputs": [0, 3]}, ValueError, r"inputs\[1\] is 3, a character in 0\.\.2"),
        ({"targets": [[0], [-1]], "inputs": [[0], [1]]}, ValueError, r"targets\[1, 0\] is -1"),
        ({"inputs": [0.0, 1.0]}, TypeError, "inputs is float64"),
        ({"inputs": 1}, TypeError, r"inputs is int64 \(\), integers"),
        ({"targets": [0, 1, 2]}, ValueError, r"targets has shape \(3,\), inputs \(2,\); at most as many"),
        ({"targets": [[0]]}, ValueError, "for the same batch"),
        ({"h0": np.zeros(3)}, ValueError, r"h0 has shape \(3,\), \(2,\)"),
        ({"c0": np.zeros(3)}, ValueError, r"c has shape \(1, 3\), \(1, 2\)"),
        ({"h0": np.zeros((1, 2))}, ValueError, r"h0 has shape \(1, 2\), \(2,\)"),
        ({"h0": H0.astype("f4")}, TypeError, "one dtype was expected"),
        ({"clip": 0}, ValueError, "clip=0 came, a positive number"),
        ({"params": {"weight_ih": SMALL["weight_ih"]}}, ValueError, "params lacks weight_hy"),
        ({"params": {**SMALL, "weight_ho": H0}}, ValueError, "weight_ho of it are unknown"),
        ({"params": {**SMALL, "bias_y": H0}}, ValueError, r"bias_y has shape \(2,\), \(3,\)"),
        ({"params": {**SMALL, "weight_hy": H0}}, ValueError, r"weight_hy has shape \(2,\), \(V, H\)"),
        ({"c0": np.zeros((1, 2))}, ValueError, r"c0 has shape \(1, 2\), \(2,\)"),
        ({"params": {**SMALL, "weight_ih": np.ones((8, 4))}}, ValueError, r"weight_ih has shape \(8, 4\), \(4H, 3\)"),
    ],
)
def test_bad_input_is_an_error_that_says_what_was_expected(change, error, says):
    given = {"params": SMALL, "inputs": [0, 1], "targets": [1, 2], "h0": H0, "c0": H0} | change
    with pytest.raises(error, match=says):
        char_lm.loss_and_grads(**given)


def test_a_parameter_of_none_is_one_that_is_not_there(params, rng):
    given = text(rng)
    without = {name: p for name, p in params.items() if name != "bias_y"}
    loss, grads, _ = char_lm.loss_and_grads(without | {"bias_y": None}, *given)
    assert loss == char_lm.loss_and_grads(without, *given)[0]
    assert grads.keys() == without.keys()
