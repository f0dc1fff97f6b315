"""An encoder-decoder that says strings backwards, with attention and without: `python examples/reverse_strings.py`.

Of 500 strings of up to 10 letters 69.0 % come out right without attention, 71.6 % with a beam of 5; with it, 100 %.
"""

import argparse
import string

import numpy as np

import minirnn
from minirnn import GRU, Embedding, Function, GRUCell, Linear, Sequential
from minirnn.data import IGNORED, Lines, Vocabulary
from minirnn.layers import AdditiveAttention, AttentionDecoder, EncoderDecoder
from minirnn.losses import cross_entropy
from minirnn.optim import Adam, clip_by_global_norm, cosine

LETTERS = Vocabulary(string.ascii_lowercase)
LONGEST, E, H, V = 10, 32, 64, len(LETTERS) + 1  # one symbol more, which begins and ends


def strings(rng, count):
    """(the strings, the strings backwards) as batches."""
    words = ["".join(rng.choice(list(string.ascii_lowercase), rng.integers(1, LONGEST + 1))) for _ in range(count)]
    return [Lines(each, LETTERS).batch(range(count)) for each in (words, [word[::-1] for word in words])]


def make(attention, rng):
    encoder, embedding = Sequential(Embedding(V, E, rng=rng), GRU(E, H, rng=rng)), Embedding(V, E, rng=rng)
    if not attention:
        decoder = Sequential(embedding, GRU(E, H, rng=rng), Linear(H, V, rng=rng))
        return EncoderDecoder(encoder, decoder, start=V - 1, end=V - 1)
    cell, attention = GRUCell(E + H, H, rng=rng), AdditiveAttention(H, H, H, rng=rng)
    decoder = AttentionDecoder(embedding, cell, attention, Linear(2 * H, V, rng=rng))
    return EncoderDecoder(encoder, decoder, start=V - 1, end=V - 1, bridge=Function(lambda states: states[0][-1]))


def loss(model, source, target):  # teacher forcing: the decoder is given the right letters so far
    logits = model(source.inputs, target.inputs, lengths=source.lengths)
    return cross_entropy(logits, target.targets, ignore_index=IGNORED)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1000)
    steps = parser.parse_args().steps
    minirnn.set_num_threads(1)  # the products are too small to be shared
    source, target = strings(np.random.default_rng(1), 500)
    expected = np.where(target.targets == IGNORED, V - 1, target.targets)
    for attention in (False, True):
        rng = np.random.default_rng(0)
        model = make(attention, rng)
        optimizer = Adam(model, lr=cosine(5e-3, steps))
        for _ in range(steps):
            optimizer.step(clip_by_global_norm(minirnn.grad(loss)(model, *strings(rng, 64)), 1.0)[0])
        for name, search in (("greedy", model.greedy), ("beam of 5", model.beam)):
            found = search(source.inputs, lengths=source.lengths, max_steps=LONGEST)
            right = (found.tokens == expected[: len(found.tokens)]).all(axis=0) & (found.lengths == target.lengths - 1)
            print(f"{'with' if attention else 'without'} attention, {name}: {right.mean():.1%} of 500", flush=True)
