"""Models of every kind that can be written as ONNX, and how a file is run."""

import numpy as np

import minirnn
from minirnn import Bidirectional, Linear, Recurrent, Sequential, Stacked, cells, layers, tree
from minirnn.interop.onnx import to_onnx
from minirnn.layers import Counted, DeepTransition, DenselyConnected, Highway, LearnedInitialState, Pool, TimeReversed

LENGTHS = np.array([6, 2, 4])


def models():
    """Name -> a function of an rng that makes a model of 3 features (tokens below 7 for "tied")."""
    made = {}
    for kind in (minirnn.RNN, minirnn.LSTM, minirnn.GRU):
        for options in (
            {},
            {"bidirectional": True},
            {"num_layers": 2, "bias": False},
            {"num_layers": 2, "bidirectional": True},
        ):
            made[f"{kind.__name__} {options}"] = lambda rng, kind=kind, options=options: kind(3, 5, rng=rng, **options)
    lstm = lambda rng, size=3: minirnn.LSTM(size, 4, rng=rng)
    gru_cell = lambda rng, size=3, hidden=4: minirnn.GRUCell(size, hidden, rng=rng)
    return made | {
        "relu": lambda rng: minirnn.RNN(3, 5, nonlinearity="relu", rng=rng),
        "projection": lambda rng: minirnn.LSTM(3, 5, 2, proj_size=2, bidirectional=True, rng=rng),
        "batch first": lambda rng: minirnn.GRU(3, 5, batch_first=True, rng=rng),
        "reverse": lambda rng: Recurrent(minirnn.LSTMCell(3, 5, rng=rng), reverse=True),
        **{
            f"merge {merge}": lambda rng, merge=merge: Bidirectional(lambda: gru_cell(rng), merge=merge)
            for merge in ("concat", "sum", "mean", "mul")
        },
        "two nonlinearities": lambda rng: Bidirectional(
            minirnn.RNNCell(3, 4, rng=rng), minirnn.RNNCell(3, 4, nonlinearity="relu", rng=rng)
        ),
        "two families": lambda rng: Bidirectional(gru_cell(rng), cells.MGU(3, 4, rng=rng), merge="mean"),
        "stacked": lambda rng: Stacked(
            [lstm(rng), cells.MGU(4, 4, rng=rng), gru_cell(rng, 4)], residual=True, norm="layer", dropout=0.1
        ),
        "dense": lambda rng: DenselyConnected([gru_cell(rng), minirnn.LSTMCell(7, 2, rng=rng)]),
        "highway": lambda rng: Highway(gru_cell(rng, 3, 3), rng=rng),
        "time reversed": lambda rng: TimeReversed(minirnn.LSTM(3, 4, 2, rng=rng)),
        "learned state": lambda rng: LearnedInitialState(minirnn.LSTM(3, 4, 2, rng=rng), rng=rng),
        "counted": lambda rng: Counted(cells.ClockworkRNN(3, 8, rng=rng)),
        "weight norm": lambda rng: layers.weight_norm(lstm(rng)),
        "deep transition": lambda rng: Recurrent(DeepTransition(gru_cell(rng), [gru_cell(rng, 1)])),
        "zoneout": lambda rng: Recurrent(layers.Zoneout(minirnn.LSTMCell(3, 4, rng=rng), 0.1)),
        **{
            f"pool {how}": lambda rng, how=how: Sequential(lstm(rng), Pool(how), Linear(4, 2, rng=rng))
            for how in ("last", "mean", "max")
        },
        "batch first pool": lambda rng: Sequential(
            minirnn.LSTM(3, 4, batch_first=True, rng=rng), Pool("last", batch_first=True), Linear(4, 2, rng=rng)
        ),
        "sequential": lambda rng: Sequential(
            Linear(3, 4, rng=rng),
            np.tanh,
            minirnn.LayerNorm(4),
            lstm(rng, 4),
            minirnn.Dropout(0.2),
            Linear(4, 4, bias=False, rng=rng),
            gru_cell_layer(rng),
            minirnn.functional.softmax,
        ),
        "tied": tied,
    }


def gru_cell_layer(rng):
    return minirnn.GRU(4, 2, rng=rng)


def tied(rng):
    model = Sequential(minirnn.Embedding(7, 4, rng=rng), minirnn.LSTM(4, 4, rng=rng), Linear(4, 7, rng=rng))
    minirnn.tie(model, "layers.0.weight", "layers.2.weight")
    return model


MODELS = models()


def batch_first(model):
    return any(getattr(layer, "batch_first", False) for layer in model.modules())


def sequences_for(name, model, rng, steps=6, batch=3):
    if name == "tied":
        return rng.integers(0, 7, (steps, batch))
    dtype = next(iter(model.parameters(frozen=True).values())).dtype
    xs = rng.standard_normal((steps, batch, 3)).astype(dtype)
    return xs.swapaxes(0, 1) if batch_first(model) else xs


def moved_state(model, rng, batch=3):
    """A state that is no model's own, and its arrays by the names of a file's inputs."""
    moved = lambda leaf: (
        leaf + rng.standard_normal(leaf.shape).astype(leaf.dtype) if leaf.dtype.kind == "f" else leaf + 3
    )
    state = tree.map(moved, model.initial_state(batch))
    return state, dict(tree.named_leaves(state, "state"))


def session(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def worst_error(came, expected):
    """The largest difference, beside 1 or the largest number; all of one shape and dtype."""
    worst = 0.0
    for one, other in zip(came, tree.leaves(expected), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        beside = max(1.0, np.abs(other).max(initial=0.0, where=np.isfinite(other)))
        apart = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0.0, np.abs(one - other))
        worst = max(worst, float(np.nan_to_num(apart / beside, nan=np.inf).max(initial=0.0)))
    return worst


XS = np.random.default_rng(0).standard_normal((5, 2, 3), dtype=np.float32)


def tagger(path, rng=0):
    """A GRU with a head of one output, and its file, which takes XS."""
    rng = np.random.default_rng(rng)
    model = Sequential(minirnn.GRU(3, 4, rng=rng), Linear(4, 1, rng=rng))
    to_onnx(model, XS, path)
    return model
