"""Three character LSTMs by hand, in NumPy: one whose gradient is wrong, one whose gates are tied, and the real one.

    python examples/lstm_that_never_learned.py [--steps 2000] [--plot curves.png]

The story, and what each curve shows: docs/lstm_that_never_learned.md. The mistake, found by one command:

    minirnn check examples/lstm_that_never_learned.py:tied_step
"""

import argparse
import math

import numpy as np

from minirnn.bptt import char_lm
from minirnn.data import Vocabulary, ngram_bits, standard_library, streams
from minirnn.optim import SGD, Adagrad

HIDDEN, BATCH, SEQ_LENGTH = 100, 16, 25
OPTIMIZERS = {"SGD": lambda params: SGD(params, lr=1e-3), "Adagrad": lambda params: Adagrad(params, lr=0.1)}


def sigmoid(a):
    return 0.5 * (1.0 + np.tanh(0.5 * a))


# ---------------------------------------------------------------- the step as it was written
def tied_step(h, c, x, weight, bias):
    """All four gates read the same H rows. h, c: (B, H), x: (B, I), weight: (H, H + I), bias: (H,) -> h', c'."""
    a = np.concatenate([h, x], axis=1) @ weight.T + bias
    i, f, g, o = sigmoid(a), sigmoid(a), np.tanh(a), sigmoid(a)
    c = f * c + i * g
    return o * np.tanh(c), c


def tied_step_backward(gradients, h, c, x, weight, bias, share=1 / 4):
    """The cotangents of h, c, x, weight and bias, from those of h' and c': the four gates' added up, times `share`.

    What was written takes a quarter of the sum, "the average of the gates". The sum itself (share=1) is the gradient:
    a is read four times, and what flows back through four paths adds up.
    """
    d_h_new, d_c_new = gradients
    hx = np.concatenate([h, x], axis=1)
    a = hx @ weight.T + bias
    i, f, g, o = sigmoid(a), sigmoid(a), np.tanh(a), sigmoid(a)
    tanh_c = np.tanh(f * c + i * g)
    d_c_new = d_c_new + d_h_new * o * (1 - tanh_c * tanh_c)
    d_a_i = d_c_new * g * i * (1 - i)
    d_a_f = d_c_new * c * f * (1 - f)
    d_a_g = d_c_new * i * (1 - g * g)
    d_a_o = d_h_new * tanh_c * o * (1 - o)
    d_a = (d_a_i + d_a_f + d_a_g + d_a_o) * share
    d_hx = d_a @ weight
    return d_hx[:, : h.shape[1]], d_c_new * f, d_hx[:, h.shape[1] :], d_a.T @ hx, d_a.sum(axis=0)


def true_tied_step_backward(gradients, h, c, x, weight, bias):
    """The same with the sum of the four paths: the gradient of tied_step."""
    return tied_step_backward(gradients, h, c, x, weight, bias, share=1)


def tied_step_args():
    """Arguments to check tied_step at."""
    rng = np.random.default_rng(0)
    h, c, x, weight = (rng.standard_normal(shape) for shape in [(3, 5), (3, 5), (3, 4), (5, 9)])
    return h, c, x, weight, rng.standard_normal(5)


# ---------------------------------------------------------------- the same over a text, with a softmax on top
def tied_loss_and_grads(params, inputs, targets, h0, c0, share):
    """As minirnn.bptt.char_lm.loss_and_grads, with tied_step in place of the LSTM's."""
    size = len(params["weight_hy"])
    h, c, steps = h0, c0, []
    for k in inputs:
        x = np.eye(size, dtype=h.dtype)[k]
        steps.append((h, c, x))
        h, c = tied_step(h, c, x, params["weight"], params["bias"])
    hs = np.stack([h for h, _, _ in steps[1:]] + [h])
    y = hs @ params["weight_hy"].T + params["bias_y"]
    y = y - y.max(axis=2, keepdims=True)
    log_p = y - np.log(np.exp(y).sum(axis=2, keepdims=True))
    target = np.eye(size, dtype=h.dtype)[targets]
    d_y = np.exp(log_p) - target
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    grads["weight_hy"] += np.tensordot(d_y, hs, axes=([0, 1], [0, 1]))
    grads["bias_y"] += d_y.sum(axis=(0, 1))
    d_h, d_c = np.zeros_like(h), np.zeros_like(c)
    for t in reversed(range(len(steps))):
        d_h = d_h + d_y[t] @ params["weight_hy"]
        args = (*steps[t], params["weight"], params["bias"])
        d_h, d_c, _, d_weight, d_bias = tied_step_backward((d_h, d_c), *args, share=share)
        grads["weight"] += d_weight
        grads["bias"] += d_bias
    return float(-(log_p * target).sum()), grads, (h, c)


def networks(vocabulary_size, rng):
    """Name -> (parameters, loss_and_grads) of the three, all from the same kind of start."""

    def draw(*shape):
        return (rng.standard_normal(shape) * shape[-1] ** -0.5).astype(np.float32)

    def head():
        zeros = np.zeros(vocabulary_size, np.float32)
        return {"weight_hy": draw(vocabulary_size, HIDDEN), "bias_y": zeros}

    def tied(share):
        params = {"weight": draw(HIDDEN, HIDDEN + vocabulary_size), "bias": np.zeros(HIDDEN, np.float32), **head()}
        return params, lambda *args: tied_loss_and_grads(*args, share)

    real = {"weight_ih": draw(4 * HIDDEN, vocabulary_size), "weight_hh": draw(4 * HIDDEN, HIDDEN)}
    real |= {"bias_ih": np.zeros(4 * HIDDEN, np.float32), **head()}
    return {
        "(a) tied gates, a quarter of the gradient": tied(1 / 4),
        "(b) tied gates, their true gradient": tied(1),
        "(c) the LSTM": (real, char_lm.loss_and_grads),
    }


def train(params, loss_and_grads, optimizer, tokens, steps):
    """Bits per character of every step, gradients clipped to -5 .. 5."""
    bits = []
    h = c = np.zeros((BATCH, HIDDEN), np.float32)
    for _, chunk in zip(range(steps), streams(tokens, BATCH, SEQ_LENGTH), strict=False):
        loss, grads, (h, c) = loss_and_grads(params, chunk.inputs, chunk.targets, h, c)
        optimizer.step({name: np.clip(grad, -5, 5) for name, grad in grads.items()})
        bits.append(loss / chunk.targets.size / math.log(2))
    return bits


def smoothed(values, window):
    """Means over the last `window` values."""
    sums = np.cumsum([0.0, *values])
    first = np.maximum(np.arange(1, len(sums)) - window, 0)
    return (sums[1:] - sums[first]) / (np.arange(1, len(sums)) - first)


def plot(curves, yardstick, path):
    """A panel for each optimiser: the three learning curves, and the bigram model's bits as a line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(curves), figsize=(9, 4), layout="constrained", sharey=True)
    for axes, (rule, by_name) in zip(panels, curves.items(), strict=True):
        for (name, bits), style in zip(by_name.items(), ["--", "-.", "-"], strict=True):
            axes.plot(np.arange(1, len(bits) + 1), smoothed(bits, 50), style, label=name)
        axes.axhline(yardstick, color="0.6", linewidth=1, label="a bigram model")
        axes.set(title=rule, xlabel="updates", ylim=(2, 5.5))
    panels[0].set_ylabel("training loss, bits per character")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--plot", help="write the curves there, as PNG")
    options = parser.parse_args()
    text = standard_library().text
    vocabulary = Vocabulary(text)
    tokens = vocabulary.encode(text)
    half = len(tokens) // 2
    yardstick = ngram_bits(tokens[:half], tokens[half:], len(vocabulary), 2)
    curves = {}
    for rule, make in OPTIMIZERS.items():
        curves[rule] = {}
        for name, (params, loss_and_grads) in networks(len(vocabulary), np.random.default_rng(0)).items():
            bits = train(params, loss_and_grads, make(params), tokens, options.steps)
            curves[rule][name] = bits
            print(f"{rule:8s} {name:45s} {smoothed(bits, 200)[-1]:.3f} bits/char", flush=True)
    print(f"{'':8s} {'a bigram model':45s} {yardstick:.3f} bits/char")
    if options.plot:
        plot(curves, yardstick, options.plot)
