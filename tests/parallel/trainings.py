"""Trainings for any number of ranks, in float64: what each leaves behind."""

import numpy as np

import minirnn
from minirnn.data import IGNORED, Batches, Sequences, streams
from minirnn.layers import Dropout, Linear, Sequential, VariationalDropout
from minirnn.losses import cross_entropy, mse
from minirnn.optim import Adam
from minirnn.train import LanguageModel, fit, held_out_nats
from minirnn.train.language_model import next_token_loss

TOKENS = np.random.default_rng(1).integers(0, 7, 700)


def text(comm=None, *, steps=100, batch=5, accumulate=2, dropout=0.2, seed=0, cell="lstm", **more):
    """A language model: streams that go on, two layers, noise, accumulated and clipped gradients, validation."""
    model = LanguageModel(7, cell, 6, 2, 4, dropout=dropout, rng=np.random.default_rng(seed), dtype=np.float64)
    losses = []
    more = {
        "clip_norm": 0.5,
        "validate": lambda model: held_out_nats(model, TOKENS, 600, streams=4, seq_length=16, comm=comm),
        "val_every": 25,
        "callbacks": [
            lambda progress: losses.append((progress.loss, progress.grad_norm, *progress.validation.values()))
        ],
        **more,
    }
    fit(model, next_token_loss, streams(TOKENS[:600], batch, 8), Adam(model, lr=0.01), steps=steps,
        accumulate=accumulate, rng=np.random.default_rng(3), comm=comm, **more)  # fmt: skip
    return model.state_dict(), losses


def _sequences(kind):
    rng = np.random.default_rng(4)
    xs = [rng.standard_normal((n, 3)) for n in rng.integers(2, 9, 23)]
    if kind == "values":
        return Sequences(xs, [rng.standard_normal((len(x), 2)) for x in xs], per_step=True), mse
    if kind == "one class":
        return Sequences(xs, rng.integers(0, 4, 23)), cross_entropy
    return Sequences(xs, [rng.integers(0, 4, len(x)) for x in xs], per_step=True), cross_entropy


def ragged(comm=None, *, kind="classes", steps=20, batch=5, **more):
    """Sequences of different lengths, in batches the last of which is smaller, with noise shared over time."""
    data, loss = _sequences(kind)
    rng = np.random.default_rng(5)
    model = Sequential(
        minirnn.GRU(3, 5, rng=rng, dtype=np.float64),
        VariationalDropout(0.3),
        Dropout(0.1),
        Linear(5, data.output_size, rng=rng, dtype=np.float64),
    )

    def mean_loss(model, batch, state, rng):
        outputs, _ = model(batch.inputs, lengths=batch.lengths, rng=rng)
        predictions, targets = batch.scored(outputs)
        ignored = {"ignore_index": IGNORED} if loss is cross_entropy else {}
        return loss(predictions, targets, **ignored), None

    losses = []
    fit(model, mean_loss, Batches(data, batch, rng=np.random.default_rng(6), pool=2), Adam(model, lr=0.01),
        steps=steps, rng=np.random.default_rng(7), comm=comm,
        callbacks=[lambda progress: losses.append((progress.loss,))], **more)  # fmt: skip
    return model.state_dict(), losses


def apart(one, other):
    """The largest difference between parameters, and between losses, of two trainings."""
    (a, losses), (b, others) = one, other
    assert [len(row) for row in losses] == [len(row) for row in others]
    figures = [abs(x - y) for row, row2 in zip(losses, others, strict=True) for x, y in zip(row, row2, strict=True)]
    return max(float(np.abs(a[name] - b[name]).max()) for name in a), max(figures)
