"""What layers and cells are given: sizes, rngs, arrays of other libraries, states; each wrong one a clear error."""

from collections import namedtuple

import numpy as np
import pytest

import minirnn
from minirnn import GRU, LSTM, RNN, Embedding, Linear, LSTMCell, Recurrent, Sequential, Stacked, cells
from minirnn.layers import AdditiveAttention, Dropout, LayerNorm
from minirnn.layers.lstm import LSTMState

XS = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
WRONG_SIZES = [0, -1, "a", None, True, 2.0, np.float32(2), [2], np.array([2, 3])]
MAKERS = {
    "RNN": lambda **s: RNN(**{"input_size": 3, "hidden_size": 4} | s),
    "LSTM": lambda **s: LSTM(**{"input_size": 3, "hidden_size": 4} | s),
    "GRU": lambda **s: GRU(**{"input_size": 3, "hidden_size": 4} | s),
    **{
        name: lambda name=name, **s: type(cells.small(name))(**{"input_size": 3, "hidden_size": 12} | s)
        for name in cells.names()
        if isinstance(cells.small(name).input_size, int)
    },
}
OTHERS = {
    "num_layers": lambda n: LSTM(3, 4, n),
    "in_features": lambda n: Linear(n, 3),
    "out_features": lambda n: Linear(3, n),
    "num_embeddings": lambda n: Embedding(n, 3),
    "embedding_dim": lambda n: Embedding(3, n),
    "normalized_shape": lambda n: LayerNorm([3, n]),
    "attention_size": lambda n: AdditiveAttention(3, 3, n),
    "checkpoint_every": lambda n: Recurrent(LSTMCell(3, 4), checkpoint_every=n if n is not None else 0),
}


@pytest.mark.parametrize("what", ["input_size", "hidden_size"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_size_that_is_none_is_named(name, what):
    for size in WRONG_SIZES:
        with pytest.raises(ValueError, match=f"{what}=.* came, a positive integer was expected"):
            MAKERS[name](**{what: size})


@pytest.mark.parametrize("size", WRONG_SIZES, ids=str)
@pytest.mark.parametrize("what", OTHERS)
def test_other_sizes_are_named_too(what, size):
    with pytest.raises(ValueError, match=f"{what}=.* came, a positive integer was expected"):
        OTHERS[what](size)


@pytest.mark.parametrize("size", [-1, 4, 9, "a", None, True, 1.0], ids=str)
def test_a_projection_that_does_not_fit_is_named(size):
    with pytest.raises(ValueError, match=r"proj_size=.* came, 0 to 3 was expected"):
        LSTM(3, 4, proj_size=size) if size is not None else LSTMCell(3, 4, proj_size=None)


@pytest.mark.parametrize("p", [-0.1, 1.1, "a", None, True, np.nan], ids=str)
def test_a_probability_that_is_none_is_named(p):
    for make in (lambda: Dropout(p), lambda: LSTM(3, 4, 2, dropout=p), lambda: cells.small("MGU") and Dropout(p)):
        with pytest.raises(ValueError, match=r"dropout .* came, a probability"):
            make()


@pytest.mark.parametrize("rng", [42, "seed", np.random.RandomState(0), np.random], ids=lambda r: type(r).__name__)
def test_an_rng_that_is_no_generator_is_said_at_construction_and_at_the_call(rng):
    says = r"rng=.* came, a numpy.random.Generator was expected: rng=np.random.default_rng\(" + ("42" * (rng == 42))
    for make in [*MAKERS.values(), lambda rng: Linear(3, 4, rng=rng), lambda rng: Embedding(3, 4, rng=rng)]:
        with pytest.raises(TypeError, match=says):
            make(rng=rng)
    noisy = minirnn.Zoneout(LSTMCell(3, 4))
    for layer in (LSTM(3, 4), LSTM(3, 4, 2, dropout=0.5), Recurrent(noisy), Sequential(Dropout(0.5)), Dropout(0.5)):
        with pytest.raises(TypeError, match=says):
            layer(XS, rng=rng)


# ---------------------------------------------------------------- states
@pytest.mark.parametrize("engine", ["auto", "python", "compiled", "fused"])
def test_named_states_may_come_as_plain_tuples(engine, rng):
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    for layer, state in (
        (LSTM(3, 4, engine=engine), (draw(1, 2, 4), draw(1, 2, 4))),
        (LSTM(3, 4, 2, bidirectional=True, engine=engine), (draw(4, 2, 4), draw(4, 2, 4))),
        (Recurrent(LSTMCell(3, 4), engine=engine), (draw(2, 4), draw(2, 4))),
    ):
        expected = layer(XS, LSTMState(*state))
        for came in (state, list(state)):
            found = layer(XS, came)
            np.testing.assert_array_equal(found[0], expected[0])
            assert type(found[1]) is LSTMState
    cell = LSTMCell(3, 4)
    final, outputs = minirnn.scan(cell, state, XS, engine=engine)
    np.testing.assert_array_equal(outputs, minirnn.scan(cell, LSTMState(*state), XS, engine=engine)[1])
    assert type(final) is LSTMState


@pytest.mark.parametrize("engine", ["python", "compiled"])
@pytest.mark.parametrize("name", [n for n in cells.names() if isinstance(cells.small(n).initial_state(1), tuple)])
def test_every_cell_of_the_zoo_takes_a_plain_tuple(name, engine):
    cell = cells.small(name)
    if not isinstance(cell.input_size, int):
        return
    state = cell.initial_state(2)
    xs = np.random.default_rng(0).standard_normal((3, 2, cell.input_size)).astype(cell.dtype)
    layer = Recurrent(cell, engine=engine)
    for found, expected in zip(*[minirnn.tree.leaves(layer(xs, s)) for s in (tuple(state), state)], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_plain_tuples_within_the_states_of_a_stack():
    layer = Stacked([LSTMCell(3, 4), minirnn.GRUCell(4, 5), LSTMCell(5, 2)])
    state = layer.initial_state(2)
    expected = layer(XS, state)[0]
    np.testing.assert_array_equal(layer(XS, [tuple(state[0]), state[1], list(state[2])])[0], expected)


Other = namedtuple("Other", ["a", "b"])
Z = np.zeros((1, 2, 4), np.float32)


@pytest.mark.parametrize(
    ("make", "state", "says"),
    [
        (LSTM, "zeros", "LSTM: state is a str; arrays were expected: h"),
        (GRU, "zeros", "GRU: state is a str"),
        (GRU, 3, "GRU: state is a int"),
        (LSTM, Z, r"LSTM: state has leaves \[''\], \['h', 'c'\] were expected"),
        (LSTM, (Z,), "leaves"),
        (LSTM, (Z, Z, Z), "leaves"),
        (LSTM, (Z, None), "leaves"),
        (LSTM, Other(Z, Z), "leaves"),
        (LSTM, {"h": Z}, "leaves"),
        (GRU, (Z, Z), "leaves"),
        (LSTM, (Z, Z[:, :1]), r"state.c is float32 \(1, 1, 4\), float32 \(1, 2, 4\) was expected"),
        (GRU, Z.astype(float), "state is float64"),
        (LSTM, (Z, "c"), "state.c is a str"),
    ],
)
def test_a_state_of_another_kind_is_an_error_that_says_what_was_expected(make, state, says):
    with pytest.raises((ValueError, TypeError), match=says):
        make(3, 4)(XS, state)


# ---------------------------------------------------------------- inputs
class Foreign:
    """An array of a library that offers __array__, and one that offers DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class DLPackOnly:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **keywords):
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Unreadable:
    shape, dtype = (5, 2, 3), "float32"

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


@pytest.mark.parametrize("make", [LSTM, GRU, Linear])
@pytest.mark.parametrize("kind", [Foreign, DLPackOnly])
def test_arrays_of_other_libraries_are_read(kind, make):
    layer = make(3, 4)
    out = lambda xs: layer(xs) if make is Linear else layer(xs)[0]
    np.testing.assert_array_equal(out(kind(XS)), out(XS))


def test_tensors_of_torch_are_read_where_they_can_be(torch):
    layer = GRU(3, 4)
    np.testing.assert_array_equal(layer(torch.from_numpy(XS))[0], layer(XS)[0])
    np.testing.assert_array_equal(layer(XS, torch.ones(1, 2, 4))[0], layer(XS, np.ones((1, 2, 4), np.float32))[0])
    np.testing.assert_array_equal(Embedding(5, 2).weight.shape, (5, 2))
    tokens = torch.tensor([[1, 2], [0, 4]])
    table = Embedding(5, 2)
    np.testing.assert_array_equal(table(tokens), table(tokens.numpy()))
    for tensor in (torch.from_numpy(XS).requires_grad_(), torch.from_numpy(XS).bfloat16()):
        with pytest.raises(TypeError, match=r"a torch.Tensor came, which NumPy cannot read .*\.detach\(\)"):
            layer(tensor)


@pytest.mark.parametrize(
    ("xs", "says"),
    [
        pytest.param(Unreadable(), "requires grad.*detach", id="unreadable"),
        (np.ma.array(XS), "a masked array came, whose mask would be lost"),
        ([[1.0, 2.0, 3.0]], "list came, an array was expected"),
        ("text", "str came, an array was expected"),
        (None, "NoneType came, an array was expected"),
        (XS.astype(object), "xs is object"),
        (
            XS.astype(int),
            r"xs is int64, the parameters are float32; use np.asarray\(xs, np.float32\); tokens go",
        ),
        (XS.astype(float), r"xs is float64.*np.asarray\(xs, np.float32\), or model.astype\(np.float64\)"),
        (XS.astype(complex), "xs is complex128"),
        (XS > 0, "xs is bool"),
    ],
    ids=str,
)
def test_inputs_of_another_kind_are_an_error_that_says_what_to_do(xs, says):
    with pytest.raises(TypeError, match=f"LSTM: .*{says}"):
        LSTM(3, 4)(xs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_data_that_is_not_finite_is_named_with_its_place(value):
    xs = XS.copy()
    xs[3, 1, 2] = value
    for layer in (LSTM(3, 4), Sequential(GRU(3, 4), Linear(4, 1)), Recurrent(cells.MGU(3, 4))):
        with pytest.raises(ValueError, match=rf"xs holds {value} at \[3, 1, 2\] \(1 of 30 entries are not finite\)"):
            layer(xs)
        layer(xs, lengths=[5, 3])  # past the end it does not matter
    flipped = LSTM(3, 4, batch_first=True)
    with pytest.raises(ValueError, match="xs holds"):
        flipped(np.swapaxes(xs, 0, 1))
    huge = np.full_like(XS, 1e30)  # whose squares are infinite
    assert np.isfinite(LSTM(3, 4)(huge)[0]).all()


def test_a_diverged_model_is_not_told_that_its_data_are_wrong():
    model = Sequential(GRU(3, 4), GRU(4, 4))
    for array in model.parameters().values():
        array[...] = np.nan
    assert np.isnan(model(XS)[0]).all()
