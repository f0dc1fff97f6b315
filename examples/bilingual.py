"""Korean and English, letter by letter, by a stack of GRU and LSTM: `python examples/bilingual.py [TEXT] [--steps N]`.

Without a TEXT: sentences, each in Korean and then in English; one in eight is held out.
In about half a minute: 0.295 bits a letter held out, where the best n-gram model has 0.351. It writes both languages
without a mistake, but seldom the English of the Korean yet: `나는 가끔 집에서 빵을 먹는다. The children eat bread ...`
"""

import argparse
import itertools
import math

import numpy as np

from minirnn import GRU, LSTM, Embedding, Linear, Sequential, Stacked, grad
from minirnn.data import Vocabulary, ngram_bits, read_text, streams
from minirnn.losses import cross_entropy
from minirnn.optim import Adam, clip_by_global_norm, cosine
from minirnn.train import held_out_nats, sample

PARTS = """나는 I,우리는 We,너희는 You,그들은 They,아이들은 The children,친구들은 My friends,어른들은 The parents
매일 every day,아침마다 every morning,가끔 sometimes,함께 together,조용히 quietly,저녁마다 every evening
집에서 at home,학교에서 at school,공원에서 in the park,산에서 in the mountains,시장에서 at the market
물을_마신다 drink water,차를_마신다 drink tea,빵을_먹는다 eat bread,책을_읽는다 read books,편지를_쓴다 write letters,\
노래를_부른다 sing songs,그림을_그린다 paint pictures,사과를_먹는다 eat apples,꽃을_산다 buy flowers"""


def sentences():
    """Korean has the verb last, English second: `나는 매일 집에서 차를 마신다. I drink tea at home every day.`"""
    choices = [[part.split(" ", 1) for part in line.split(",")] for line in PARTS.split("\n")]
    for who, when, where, what in itertools.product(*choices):
        yield f"{who[0]} {when[0]} {where[0]} {what[0].replace('_', ' ')}. {who[1]} {what[1]} {where[1]} {when[1]}.\n"


def loss(model, chunk, state, rng):
    logits, state = model(chunk.inputs, state, rng=rng)
    return cross_entropy(logits, chunk.targets), state


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("text", nargs="?")
    parser.add_argument("--steps", type=int, default=1000)
    options, rng = parser.parse_args(), np.random.default_rng(0)
    text = read_text(options.text).text if options.text else "".join(rng.permutation(list(sentences())))
    split = text.index("\n", len(text) * 7 // 8) + 1
    vocabulary = Vocabulary(text)
    stack = Stacked([GRU(64, 128, rng=rng), LSTM(128, 128, rng=rng)], dropout=0.2, residual=True)
    model = Sequential(Embedding(len(vocabulary), 64, rng=rng), stack, Linear(128, len(vocabulary), rng=rng))
    optimizer, state = Adam(model, lr=cosine(4e-3, options.steps)), None
    chunks = streams(vocabulary.encode(text[:split]), batch=16, seq_length=64)
    for _, chunk in zip(range(options.steps), chunks, strict=False):
        grads, state = grad(loss, has_aux=True)(model, chunk, None if chunk.starts else state, rng)
        optimizer.step(clip_by_global_norm(grads, 1.0)[0])
    tokens = vocabulary.encode(text)
    bits = held_out_nats(model, tokens, split) / math.log(2)
    yardstick = min(ngram_bits(tokens[:split], tokens[split:], len(vocabulary), n) for n in range(1, 8))
    print(f"held out: {bits:.3f} bits a letter (the best of n-gram models up to 7 letters: {yardstick:.3f})")
    print("".join(sample(model, vocabulary, "\n", 150, temperature=0.5, rng=rng)))
