"""Which digit? Pictures column by column, the empty columns at both sides cut off: sequences are ragged.

    python examples/digits.py                   needs scikit-learn: pip install 'minirnn[digits]'

A bidirectional GRU in about ten seconds: 96.7 % of the held-out pictures by its last step, 96.4 % by the mean of all,
97.8 % by their maximum.
"""

import argparse

import numpy as np

import minirnn
from minirnn.data import Batches, Sequences
from minirnn.data.tasks import SequentialDigits
from minirnn.layers import Pool
from minirnn.losses import cross_entropy


def columns(picture):
    """The columns of 8 pixels of an (8, 8) picture, from the first to the last with more than a little ink."""
    inked = np.flatnonzero(picture.sum(axis=0) > 1.0)
    return picture.T[inked[0] : inked[-1] + 1]


def ragged(pictures):
    return Sequences([columns(picture) for picture in pictures.xs], pictures.targets, classes=10)


def logits(model, batch, rng=None):
    return model(batch.inputs, lengths=batch.lengths, rng=rng)[0]


def loss(model, batch, rng):
    return cross_entropy(logits(model, batch, rng), batch.targets)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=800)
    options = parser.parse_args()
    training, held_out = map(ragged, SequentialDigits(rows=True).datasets())
    lengths, counts = np.unique(training.lengths, return_counts=True)
    print("columns a picture:", ", ".join(f"{n} ({count})" for n, count in zip(lengths, counts, strict=True)))
    test = held_out.batch(range(len(held_out)))
    for how in ("last", "mean", "max"):
        rng = np.random.default_rng(0)
        model = minirnn.Sequential(
            minirnn.GRU(8, 64, bidirectional=True, rng=rng),
            Pool(how),
            minirnn.Dropout(0.3),
            minirnn.Linear(128, 10, rng=rng),
        )
        optimizer = minirnn.optim.Adam(model, lr=minirnn.optim.cosine(5e-3, options.steps))
        for _, batch in zip(range(options.steps), Batches(training, 32, rng=rng), strict=False):
            optimizer.step(minirnn.grad(loss)(model, batch, rng))
        right = np.mean(np.argmax(logits(model, test), axis=1) == test.targets)
        print(f"pooled by {how:4s}: {right:.1%} of {len(held_out)} held-out pictures", flush=True)
