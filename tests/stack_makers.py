"""Every kind of layer made of layers, once by itself and nested in others: each takes I = 2 features, in float64."""

import numpy as np

from minirnn import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    DeepTransition,
    DenselyConnected,
    Function,
    GRUCell,
    Highway,
    LearnedInitialState,
    Linear,
    LSTMCell,
    Recurrent,
    RNNCell,
    Sequential,
    Stacked,
    TimeReversed,
    cells,
)

I = 2
FLOAT64 = {"dtype": np.float64}


def _deep_gru(rng, size, hidden):
    first = GRUCell(size, hidden, rng=rng, **FLOAT64)
    return DeepTransition(first, [GRUCell(1, hidden, rng=rng, **FLOAT64), _mlp(rng, hidden)])


def _mlp(rng, hidden):
    return Sequential(Linear(hidden, hidden, rng=rng, **FLOAT64), Function(np.tanh))


def _deep_lstm(rng, size, hidden):
    cell = lambda size: LSTMCell(size, hidden, rng=rng, **FLOAT64)
    return DeepTransition(cell(size), [cell(1), cells.PeepholeLSTM(1, hidden, rng=rng, **FLOAT64)])


def _both_ways(rng, merge, size=I, hidden=3, **kw):
    return Bidirectional(lambda: cells.MGU(size, hidden, rng=rng, **FLOAT64), merge=merge, **kw)


# name: (rng=None, **keywords of the outermost layer) -> layer
STACKS = {
    "Stacked, families mixed": lambda rng=None, **kw: Stacked(
        [
            cells.MGU(I, 3, rng=rng, **FLOAT64),
            LSTM(3, 5, 2, proj_size=2, rng=rng, **FLOAT64),
            cells.QRNN(2, 4, rng=rng, **FLOAT64),
        ],
        **kw,
    ),
    "Stacked, residual and norm": lambda rng=None, **kw: Stacked(
        [GRUCell(I, 3, rng=rng, **FLOAT64), LSTMCell(3, 3, rng=rng, **FLOAT64), cells.RAN(3, 3, rng=rng, **FLOAT64)],
        residual=True,
        norm="layer",
        **kw,
    ),
    "Bidirectional, concat": lambda rng=None, **kw: Bidirectional(
        GRU(I, 3, 2, rng=rng, **FLOAT64), Stacked([LSTMCell(I, 4, rng=rng, **FLOAT64)]), **kw
    ),
    "Bidirectional, sum": lambda rng=None, **kw: _both_ways(rng, "sum", **kw),
    "Bidirectional, mean": lambda rng=None, **kw: _both_ways(rng, "mean", **kw),
    "Bidirectional, mul": lambda rng=None, **kw: _both_ways(rng, "mul", **kw),
    "TimeReversed": lambda rng=None, **kw: TimeReversed(LSTM(I, 3, bidirectional=True, rng=rng, **FLOAT64), **kw),
    "Highway": lambda rng=None, **kw: Highway(RNN(I, I, rng=rng, **FLOAT64), rng=rng, **kw),
    "DenselyConnected": lambda rng=None, **kw: DenselyConnected(
        [GRUCell(I, 3, rng=rng, **FLOAT64), cells.SRU(I + 3, 4, rng=rng, **FLOAT64)], **kw
    ),
    "DeepTransition of a GRU": lambda rng=None, **kw: Recurrent(_deep_gru(rng, I, 3), **kw),
    "DeepTransition of an LSTM": lambda rng=None, **kw: Recurrent(_deep_lstm(rng, I, 3), **kw),
    "LearnedInitialState": lambda rng=None, **kw: LearnedInitialState(
        LSTM(I, 3, 2, bidirectional=True, rng=rng, **FLOAT64), rng=rng, **kw
    ),
    "LearnedInitialState of a stack": lambda rng=None, **kw: LearnedInitialState(
        Stacked([LSTMCell(I, 3, rng=rng, **FLOAT64), _deep_gru(rng, 3, 3)]), rng=rng, **kw
    ),
    "all nested": lambda rng=None, **kw: Bidirectional(
        DenselyConnected([Highway(GRUCell(I, I, rng=rng, **FLOAT64), rng=rng), _deep_lstm(rng, 2 * I, 3)]),
        Stacked(
            [
                TimeReversed(_both_ways(rng, "concat")),
                Highway(RNNCell(6, 6, rng=rng, **FLOAT64), rng=rng),
                LearnedInitialState(cells.MGU(6, 6, rng=rng, **FLOAT64), rng=rng),
                _both_ways(rng, "mul", 6, 7),
            ],
            norm="layer",
        ),
        merge="sum",
        **kw,
    ),
}
