"""The summary's counts against the products that each layer's equations have, for layers of every family."""

import autograd.numpy as np
import numpy as onp
import pytest

import minirnn
from minirnn import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Embedding,
    GRUCell,
    Linear,
    LSTMCell,
    Module,
    Parameter,
    Recurrent,
    Sequential,
    Stacked,
)
from minirnn.layers import AttentionDecoder, DotAttention, EncoderDecoder, Pool

T, B, I, H = 5, 3, 2, 4

# the layer, and its multiply-adds a step and a sequence
LAYERS = {
    "Linear": (lambda: Linear(I, H), I * H),
    "RNN": (lambda: RNN(I, H), H * (I + H)),
    "LSTM": (lambda: LSTM(I, H), 4 * H * (I + H)),
    "GRU": (lambda: GRU(I, H), 3 * H * (I + H)),
    "LSTM, projected": (lambda: LSTM(I, H, proj_size=3), 4 * H * (I + 3) + H * 3),
    "GRU, two layers, bidirectional": (
        lambda: GRU(I, H, num_layers=2, bidirectional=True),
        2 * 3 * H * (I + H) + 2 * 3 * H * (2 * H + H),
    ),
    "an engine by name": (lambda: LSTM(I, H, engine="compiled"), 4 * H * (I + H)),
    "checkpoints": (lambda: Recurrent(GRUCell(I, H), checkpoint_every=2), 3 * H * (I + H)),
    "Bidirectional": (lambda: Bidirectional(LSTMCell(I, H), GRUCell(I, H)), 7 * H * (I + H)),
    "Stacked": (lambda: Stacked([LSTMCell(I, H), GRUCell(H, H)]), 4 * H * (I + H) + 3 * H * 2 * H),
    "MGU": (lambda: Recurrent(minirnn.cells.MGU(I, H)), 2 * H * (I + H)),
    "FastGRNN, whose cell multiplies once": (lambda: Recurrent(minirnn.cells.FastGRNN(I, H)), H * (I + H)),
    "IndRNN, whose recurrence is no product": (lambda: Recurrent(minirnn.cells.IndRNN(I, H)), H * I),
}


@pytest.mark.parametrize(("make", "expected"), LAYERS.values(), ids=LAYERS)
def test_multiply_adds_are_those_of_the_equations(make, expected):
    model = make()
    summary = model.summary((T, B, I))
    assert summary.multiply_adds == T * B * expected
    assert summary.parameters == model.num_parameters()
    outputs = model(onp.zeros((T, B, I), onp.float32))
    assert summary.rows[0].output == (outputs[0] if isinstance(outputs, tuple) else outputs).shape


def test_a_convolutional_cell_multiplies_a_window_for_each_pixel():
    cell = minirnn.cells.ConvLSTM((2, 5, 6), 3, kernel=3)
    summary = Recurrent(cell).summary((T, B, 2, 5, 6))
    assert summary.multiply_adds == T * B * 5 * 6 * (3 * 3) * 4 * 3 * (2 + 3)
    assert summary.rows[0].output == (T, B, 3, 5, 6)


@pytest.mark.parametrize("name", minirnn.cells.names())
def test_every_cell_of_the_zoo_has_a_summary(name):
    cell = minirnn.cells.small(name)
    size = cell.input_size if isinstance(cell.input_size, tuple) else (cell.input_size,)
    once, twice = (Recurrent(cell).summary((steps, B, *size)) for steps in (2, 4))
    assert once.parameters == cell.num_parameters()
    assert 0 < once.multiply_adds <= twice.multiply_adds <= 2 * once.multiply_adds


class Products(Module):
    """One product of (3, 4) and (4, 5), made in so many ways."""

    def __init__(self, product):
        self.product, self.weight = product, Parameter(onp.ones((4, 5), onp.float32))

    def __call__(self, x):
        return self.product(x, self.weight)


PRODUCTS = {
    "@": lambda x, w: x @ w,
    "matmul": np.matmul,
    "dot": np.dot,
    "method": lambda x, w: x.dot(w),
    "inner": lambda x, w: np.inner(x, w.T),
    "tensordot": lambda x, w: np.tensordot(x, w, axes=((1,), (0,))),
    "einsum": lambda x, w: np.einsum("ij,jk->ik", x, w),
    "einsum, implicit": lambda x, w: np.einsum("ij,jk", x, w),
    "einsum, ellipsis": lambda x, w: np.einsum("...j,jk->...k", x, w),
    "einsum, lists": lambda x, w: np.einsum(x, [0, 1], w, [1, 2], [0, 2]),
    "einsum, optimized": lambda x, w: onp.einsum("ij,jk->ik", x, w, optimize=True),
    "functional.linear": lambda x, w: minirnn.functional.linear(x, w.T),
    "functional.product": minirnn.functional.product,
    "into an array": lambda x, w: onp.matmul(x, w, out=onp.empty((3, 5), onp.float32)),
    "of plain copies": lambda x, w: onp.asarray(x) @ w,
    "rows": lambda x, w: np.stack([row @ w for row in x]),
    "behind other functions": lambda x, w: np.where(x > 0, x, -x) @ np.concatenate([w[:, :2], w[:, 2:]], axis=1),
}


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_a_product_is_counted_however_it_is_written(product):
    assert Products(product).summary((3, 4)).multiply_adds == 3 * 4 * 5


def test_what_is_no_product_of_matrices_is_not_counted():
    none = Products(lambda x, w: np.sum(x * x[0]) + np.einsum("ij->i", w).sum() + w.trace())
    assert none.summary((3, 4)).multiply_adds == 0


def test_rows_come_in_the_order_of_the_calls_and_add_up():
    class Backwards(Module):
        def __init__(self):
            self.last, self.first = Linear(H, 2), LSTM(I, H, num_layers=2)

        def __call__(self, xs):
            return self.last(self.first(xs)[0])

    summary = Backwards().summary((T, B, I))
    assert [row.path for row in summary.rows] == ["", "first", "first.layers.0", "first.layers.1", "last"]
    assert [row.output for row in summary.rows] == [(T, B, 2), *[(T, B, H)] * 3, (T, B, 2)]
    assert [row.multiply_adds for row in summary.rows[1:]] == [0, T * B * 96, T * B * 128, T * B * 8]


def test_the_table():
    model = Sequential(Embedding(65, 64), LSTM(64, 128), Linear(128, 65))
    assert str(model.summary((35, 32))) == "\n".join(
        [
            "layer                          output         parameters  multiply-adds",
            "-----------------------------------------------------------------------",
            "Sequential()                   35 x 32 x 65                            ",
            "  layers.0: Embedding(65, 64)  35 x 32 x 64        4,160               ",
            "  layers.1: LSTM(64, 128)      35 x 32 x 128      99,328    110,100,480",
            "  layers.2: Linear(128, 65)    35 x 32 x 65        8,385      9,318,400",
            "-----------------------------------------------------------------------",
            "total                                            111,873    119,418,880",
        ]
    )


def test_a_tied_or_shared_array_is_counted_once_and_its_products_each_time():
    model = Sequential(Embedding(6, H), GRU(H, H), Linear(H, 6, bias=False))
    minirnn.tie(model, "layers.2.weight", "layers.0.weight")
    model.freeze("layers.1.*")
    summary = model.summary((T, B))
    assert summary.parameters == 6 * H + 3 * H * (2 * H + 2)
    assert "total, 24 trained" in str(summary)
    linear = Linear(H, H)
    twice = Sequential(linear, linear).summary((T, B, H))
    assert (twice.parameters, twice.multiply_adds) == (H * H + H, 2 * T * B * H * H)


def test_several_inputs_and_attention():
    decoder = AttentionDecoder(Embedding(7, I), GRUCell(I + H, H), DotAttention(H), Linear(2 * H, 7))
    last = minirnn.Function(lambda states: states[0][0])
    model = EncoderDecoder(Sequential(Embedding(7, I), GRU(I, H)), decoder, start=0, end=0, bridge=last)
    summary = model.summary((T, B), (6, B))
    encoder, attention = T * 3 * H * (I + H), 6 * 2 * T * H
    assert summary.multiply_adds == B * (encoder + attention + 6 * 3 * H * (I + 2 * H) + 6 * 2 * H * 7)


def test_the_model_stays_as_it_was_and_its_dtype_is_used():
    model = Sequential(LSTM(I, H, engine="compiled"), Pool("mean"), np.tanh).astype(onp.float64)
    before, printed = model.state_dict(), repr(model)
    assert model.summary((T, B, I)).rows[-1].output == (B, H)
    assert repr(model) == printed
    assert type(model.layers[0]) is LSTM
    assert model.layers[0].engine == "compiled"
    assert all((model.state_dict()[name] == value).all() for name, value in before.items())
    assert type(model.layers[0].layers[0].cell.weight_ih) is onp.ndarray


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: LSTM(I, H).summary(T, B, I), TypeError, "whole shapes were expected"),
        (lambda: LSTM(I, H).summary(), TypeError, "whole shapes were expected"),
        (lambda: GRUCell(I, H).summary((B, I)), TypeError, "GRUCell cannot be called"),
        (lambda: LSTM(I, H).summary((T, B, I + 1)), ValueError, "LSTM: xs has 3 features, input_size is 2"),
        (lambda: LSTM(I, H).summary((T, B, I), dtype=int), TypeError, "xs is int64"),
        (lambda: Embedding(5, 2).summary((T, B), dtype=float), TypeError, "integers were expected"),
    ],
)
def test_bad_input_is_an_error_that_says_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        call()
