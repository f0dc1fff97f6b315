from functools import partial

import numpy as np
import pytest

from minirnn import LSTM, Linear, Sequential, init

SHAPE = (60, 40)
BOUNDED = {  # U(-k, k): its bound
    "uniform": (init.uniform(-0.3, 0.3), 0.3),
    "torch": (init.torch_default(25), 0.2),
    "xavier": (init.xavier_uniform, np.sqrt(6 / 100)),
    "xavier, gain": (partial(init.xavier_uniform, gain=2.0), 2 * np.sqrt(6 / 100)),
    "he": (init.he_uniform, np.sqrt(6 / 40)),
}
GAUSSIAN = {  # N(0, std^2): its std
    "normal": (init.normal(0.3), 0.3),
    "xavier": (init.xavier_normal, np.sqrt(2 / 100)),
    "he": (init.he_normal, np.sqrt(2 / 40)),
}
ALL = {
    "zeros": init.zeros,
    "ones": init.ones,
    "constant": init.constant(0.5),
    "identity": init.identity,
    "orthogonal": init.orthogonal,
    "per gate": init.per_gate(init.orthogonal, 4),
    **{f"U {name}": f for name, (f, _) in BOUNDED.items()},
    **{f"N {name}": f for name, (f, _) in GAUSSIAN.items()},
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_shape_dtype_and_reproducibility(draw, dtype):
    first, second = (draw(np.random.default_rng(3), SHAPE, dtype) for _ in range(2))
    assert (first.shape, first.dtype) == (SHAPE, dtype)
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("draw", "bound"), BOUNDED.values(), ids=BOUNDED)
def test_uniform_draws_fill_their_range(draw, bound, rng):
    x = draw(rng, SHAPE, np.float64)
    assert 0.99 * bound < np.abs(x).max() <= bound
    assert np.isclose(x.std(), bound / np.sqrt(3), rtol=0.05)


@pytest.mark.parametrize(("draw", "std"), GAUSSIAN.values(), ids=GAUSSIAN)
def test_gaussian_draws_have_their_spread(draw, std, rng):
    x = draw(rng, SHAPE, np.float64)
    assert np.isclose(x.std(), std, rtol=0.05)
    assert np.abs(x).max() > 3 * std


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7)])
def test_orthogonal_matrices_are(shape, rng):
    x = init.orthogonal(rng, shape, np.float64, gain=2.0)
    assert np.allclose(x @ x.T if shape[0] < shape[1] else x.T @ x, 4 * np.eye(min(shape)))


def test_orthogonal_matrices_are_drawn_evenly(rng):
    assert abs(np.mean([init.orthogonal(rng, (2, 2), np.float64)[0, 0] for _ in range(2000)])) < 0.05


def test_identity_and_constants(rng):
    assert np.array_equal(init.identity(rng, (2, 3), np.float32, gain=0.5), [[0.5, 0, 0], [0, 0.5, 0]])
    assert np.array_equal(init.constant(0.5)(rng, (2,), np.float32), [0.5, 0.5])


def test_each_gate_is_drawn_by_itself(rng):
    x = init.per_gate(init.orthogonal, 4)(rng, (12, 3), np.float64)
    for gate in x.reshape(4, 3, 3):
        assert np.allclose(gate @ gate.T, np.eye(3))


def test_forget_bias_keeps_at_first(rng):
    assert init.forget_bias(2.0)(rng, (8,), np.float32).tolist() == [0, 0, 2, 2, 0, 0, 0, 0]


def test_chrono_spreads_how_long_units_keep(rng):
    lstm, gru = (init.chrono(50, gates)(rng, (gates * 1000,), np.float64).reshape(gates, 1000) for gates in (4, 3))
    assert np.array_equal(lstm[0], -lstm[1])
    for keep, zero in ((lstm[1], lstm[2:]), (gru[1], gru[::2])):
        assert not zero.any()
        assert np.histogram(np.exp(keep), 7, (1, 49))[0].min() > 100
        assert np.histogram(np.exp(keep), 48, (1, 49))[0].min() > 0
        assert (np.exp(keep).min() >= 1) & (np.exp(keep).max() <= 49)


def test_a_model_is_initialised_by_the_first_glob_that_matches(rng):
    model = Sequential(LSTM(3, 4, rng=rng), Linear(4, 2, rng=rng))
    live = model.parameters()
    untouched = model.parameters()["layers.1.weight"].copy()
    patterns = {"*bias_ih": init.forget_bias(1.0), "*bias*": init.zeros, "*_hh": init.per_gate(init.orthogonal, 4)}
    init.apply(model, patterns, rng=rng)
    assert all(live[name] is p for name, p in model.parameters().items())
    assert np.array_equal(model.parameters()["layers.1.weight"], untouched)
    bias_ih, bias_hh = (next(p for name, p in live.items() if name.endswith(end)) for end in ("bias_ih", "bias_hh"))
    assert (bias_ih.sum(), np.abs(bias_hh).sum()) == (4, 0)


@pytest.mark.parametrize(
    ("patterns", "says"),
    [
        ({"*.bias": init.zeros, "nothing": init.zeros}, "no parameter matches 'nothing'"),
        ({"*.bias": init.zeros, "*weight_ih": init.forget_bias(1.0)}, r"weight_ih: .*\(4H,\)"),
        ({"*.bias": init.zeros, "*weight_ih": lambda rng, shape, dtype: np.ones(3)}, r"\(3,\) was drawn"),
    ],
)
def test_a_wrong_application_changes_nothing(patterns, says, rng):
    model = Sequential(Linear(4, 2, rng=rng), LSTM(2, 3, rng=rng))
    before = model.state_dict()
    with pytest.raises(ValueError, match=says):
        init.apply(model, patterns, rng=rng)
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: init.uniform(1, 0),
        lambda rng: init.normal(-1),
        lambda rng: init.torch_default(0),
        lambda rng: init.orthogonal(rng, (3,), np.float32),
        lambda rng: init.identity(rng, (3, 3, 3), np.float32),
        lambda rng: init.xavier_normal(rng, (3,), np.float32),
        lambda rng: init.he_uniform(rng, (3, 0), np.float32),
        lambda rng: init.forget_bias()(rng, (5,), np.float32),
        lambda rng: init.chrono(1, 4),
        lambda rng: init.chrono(9, 2),
        lambda rng: init.chrono(9, 4)(rng, (8, 8), np.float32),
        lambda rng: init.per_gate(init.zeros, 3)(rng, (4, 4), np.float32),
    ],
)
def test_what_cannot_be_drawn_says_what_was_expected(make, rng):
    with pytest.raises(ValueError, match=r"init\.\w+: .* came, .* expected"):
        make(rng)
