"""A character language model in 40 lines: `python examples/char_lm.py [TEXT] [STEPS]`.

On the source of Python's standard library, 300 steps take about 20 seconds and end near 2.9 bits/char held out.
"""

import math
import sys

import numpy as np

import minirnn
from minirnn.data import Vocabulary, read_text, standard_library, streams
from minirnn.losses import cross_entropy
from minirnn.optim import Adam, clip_by_global_norm
from minirnn.train import held_out_nats, sample

text = read_text(sys.argv[1]).text if len(sys.argv) > 1 else standard_library().text
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 300
split = len(text) * 9 // 10
vocabulary = Vocabulary(text[:split])
tokens = vocabulary.encode(text)
rng = np.random.default_rng(0)

model = minirnn.Sequential(
    minirnn.Embedding(len(vocabulary), 64, rng=rng),
    minirnn.LSTM(64, 128, rng=rng),
    minirnn.Linear(128, len(vocabulary), rng=rng),
)


def loss(model, chunk, state):
    logits, state = model(chunk.inputs, state)
    return cross_entropy(logits, chunk.targets), state


optimizer, state = Adam(model, lr=4e-3), None
for step, chunk in zip(range(1, steps + 1), streams(tokens[:split], batch=32, seq_length=64), strict=False):
    state = None if chunk.starts else state  # carried from chunk to chunk; the gradient ends where a chunk begins
    (value, state), grads = minirnn.value_and_grad(loss, has_aux=True)(model, chunk, state)
    grads, _ = clip_by_global_norm(grads, 1.0)
    optimizer.step(grads)
    if step % 50 == 0 or step == steps:
        print(f"step {step}: {value / math.log(2):.3f} bits/char")

held_out = held_out_nats(model, tokens[: split + 20_000], split) / math.log(2)
print(f"held out: {held_out:.3f} bits/char\n")
print("".join(sample(model, vocabulary, "def ", 200, temperature=0.7, rng=rng)))
