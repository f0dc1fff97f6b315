"""Integers of any width, signed or not, mean what int64 means: as lengths, targets, tokens, indices and sizes."""

import numpy as np
import pytest
from few import few

import minirnn
from minirnn import LSTM, Bidirectional, Counted, Embedding, Pool, Recurrent, TimeReversed, cells, losses
from minirnn.ctc import best_path
from minirnn.data import Batch, Sequences, last_step
from minirnn.data.tasks.task import one_hot
from minirnn.layers import beam_search, greedy_search
from minirnn.layers.embedding_dropout import EmbeddingDropout

NARROW = [np.int8, np.uint8, np.int16, np.uint64, list]
T, B = 100, 40  # T * B and 4 * 100 wrap in 8 bits; lengths up to T do not
RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(0, T + 1, B)
XS = RNG.standard_normal((T, B, 3))
LABELS = RNG.integers(1, 5, (20, B))
TARGETS = RNG.integers(0, 120, (10, B))
LOGITS = RNG.standard_normal((10, B, 120))
FRAMES = RNG.standard_normal((T, B, 5))

each_width = pytest.mark.parametrize("width", NARROW, ids=lambda w: w.__name__)


def as_width(values, width):
    return np.asarray(values).tolist() if width is list else np.asarray(values).astype(width)


def layer(make, **options):
    return make(3, 4, rng=np.random.default_rng(1), dtype=np.float64, **options)


def of_layer(made):
    def run(n):
        loss = lambda made, xs: ((made(xs, lengths=n)[0]) ** 2).sum()
        return made(XS, lengths=n)[0], *minirnn.grad(loss, argnums=(0, 1))(made, XS)[0].values()

    return run


def searched(search, **options):
    table = np.random.default_rng(2).standard_normal((130, 130))
    step = lambda tokens, state: (table[tokens], state)
    return lambda end: search(step, np.zeros((2, 1)), batch_size=2, start=end, end=end, max_steps=np.int8(5), **options)


TAKES_LENGTHS = {
    "LSTM": of_layer(layer(LSTM)),
    "LSTM, both ways": of_layer(layer(LSTM, bidirectional=True)),
    "with checkpoints": of_layer(Recurrent(layer(minirnn.GRUCell), checkpoint_every=7)),
    "checkpoints of the reference": of_layer(Recurrent(layer(minirnn.GRUCell), checkpoint_every=7, engine="python")),
    "compiled": of_layer(Recurrent(layer(cells.MGU), engine="compiled")),
    "reversed": of_layer(Recurrent(layer(cells.MGU), reverse=True, engine="python")),
    "TimeReversed": of_layer(TimeReversed(layer(cells.MGU))),
    "Bidirectional": of_layer(Bidirectional(lambda: layer(cells.MGU), merge="sum")),
    "Counted": lambda n: Counted(layer(cells.ClockworkRNN, periods=(1, 2)))(XS, lengths=n),
    "Pool last": lambda n: Pool("last")(XS, lengths=n),
    "Pool mean": lambda n: Pool("mean")(XS, lengths=n),
    "Pool max": lambda n: Pool("max")(XS, lengths=n),
    "attention": lambda n: minirnn.DotAttention(3)(XS[0], XS, lengths=n),
    "activation_regularization": lambda n: losses.activation_regularization(XS, lengths=n),
    "temporal_activation_regularization": lambda n: losses.temporal_activation_regularization(XS, lengths=n),
    "ctc, input lengths": lambda n: losses.ctc(FRAMES, LABELS, n, np.minimum(np.asarray(n), 20), reduction="none"),
    "best_path": lambda n: best_path(FRAMES, n),
    "last_step": lambda n: last_step(XS, np.maximum(n, 1) if isinstance(n, np.ndarray) else [max(k, 1) for k in n]),
    "Batch.scored": lambda n: Batch(XS, XS[..., :1], np.asarray(n)).scored(XS)[0],
}
TAKES_INDICES = {
    "cross_entropy": (lambda t: losses.cross_entropy(LOGITS, t), TARGETS),
    "cross_entropy, one ignored": (lambda t: losses.cross_entropy(LOGITS, t, ignore_index=3), TARGETS),
    "ctc": (lambda t: losses.ctc(FRAMES, t, zero_infinity=True), LABELS),
    "Embedding": (lambda t: Embedding(120, 3, rng=np.random.default_rng(0))(t), TARGETS),
    "Embedding, its padding": (lambda t: Embedding(120, 3, np.int8(-1), rng=np.random.default_rng(0))(t), TARGETS),
    "EmbeddingDropout": (
        lambda t: EmbeddingDropout(Embedding(120, 3, rng=np.random.default_rng(0)), 0.5)(
            t, rng=np.random.default_rng(1)
        ),
        TARGETS,
    ),
    "pick": (lambda t: minirnn.functional.pick(LOGITS, t), TARGETS),
    "embedding": (lambda t: minirnn.functional.embedding(LOGITS[0, :, :], t), TARGETS % B),
    "one_hot": (lambda t: one_hot(t, 120), TARGETS),
    "Sequences.batch": (lambda t: Sequences(list(XS), np.arange(T)).batch(t).inputs, np.array([3, 99, 0])),
    "Sequences.subset": (lambda t: Sequences(list(XS), np.arange(T)).subset(t).xs, np.array([3, 99, 0])),
}


def same(came, expected):
    for one, other in zip(minirnn.tree.leaves(came), minirnn.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("width", few(NARROW, [np.uint8]), ids=lambda w: w.__name__)
@pytest.mark.parametrize("name", TAKES_LENGTHS)
def test_lengths_of_any_width(name, width):
    same(TAKES_LENGTHS[name](as_width(LENGTHS, width)), TAKES_LENGTHS[name](LENGTHS))


@each_width
@pytest.mark.parametrize("name", TAKES_INDICES)
def test_indices_of_any_width(name, width):
    call, values = TAKES_INDICES[name]
    same(call(as_width(values, width)), call(values))


@pytest.mark.parametrize("width", [w for w in NARROW if w is not list], ids=lambda w: w.__name__)
@pytest.mark.parametrize("call", [searched(greedy_search), searched(beam_search, width=3)], ids=["greedy", "beam"])
def test_symbols_of_any_width(call, width):
    same(call(width(100)), call(100))


@pytest.mark.parametrize("width", [np.int8, np.uint8, np.uint64])
def test_sizes_of_any_width(width):
    made = LSTM(width(3), width(100), width(2), bidirectional=True)
    assert made.state_dict().keys() == LSTM(3, 100, 2, bidirectional=True).state_dict().keys()
    assert all(value.shape[0] == 400 for value in made.state_dict().values())
    for name in cells.names():
        small = cells.small(name)
        if isinstance(small.input_size, int):
            twin = type(small)(width(small.input_size), width(60))
            assert all(type(n) is int for n in (twin.input_size, twin.hidden_size)), name


@pytest.mark.parametrize("call", [TAKES_LENGTHS["LSTM"], TAKES_LENGTHS["Pool last"], TAKES_LENGTHS["best_path"]])
@pytest.mark.parametrize(
    "lengths",
    [
        *(np.ones(B), np.ones(B, bool), [1.0] * B, [True] * B, ["1"] * B, [None] * B, 5, np.int64(5), [[1] * B]),
        *([1, [2]], np.full(B, 2**64 - 1, np.uint64), np.full(B, -1), np.full(B, T + 1), np.ma.array(LENGTHS)),
    ],
    ids=str,
)
def test_lengths_that_are_none_are_one_clear_error(call, lengths):
    with pytest.raises(ValueError, match="lengths"):
        call(lengths)


@pytest.mark.parametrize("wrong", [TARGETS.astype(float), TARGETS > 3, np.ma.array(TARGETS), TARGETS.astype(str)])
@pytest.mark.parametrize("name", ["cross_entropy", "Embedding", "EmbeddingDropout", "one_hot", "pick"])
def test_indices_that_are_no_integers_are_one_clear_error(name, wrong):
    if name == "pick" and isinstance(wrong, np.ma.MaskedArray):
        return
    with pytest.raises(TypeError, match=r"integers were expected|mask would be lost"):
        TAKES_INDICES[name][0](wrong)


def test_a_target_beyond_int64_is_not_taken_for_a_negative_one():
    with pytest.raises(ValueError, match="18446744073709551615 came, which is beyond int64"):
        losses.cross_entropy(LOGITS[0], np.full(B, 2**64 - 1, np.uint64), ignore_index=-1)


def test_the_gradient_of_a_row_that_is_named_from_both_ends_is_the_sum():
    loss = lambda table: (
        minirnn.functional.embedding(table, np.array([-1, 2, 2, -3], np.int8)) * [[1], [2], [3], [4]]
    ).sum()
    assert minirnn.grad(loss)(np.zeros((3, 2)))[:, 0].tolist() == [4, 0, 6]
