"""The pictures of docs/why_gradients_vanish.md: how gradients vanish, and what the gates of a trained LSTM do.

python examples/why_gradients_vanish.py [--folder docs] [--steps 800]
"""

import argparse
import math
from pathlib import Path

import numpy as np

import minirnn
from minirnn import analysis
from minirnn.analysis import figures
from minirnn.data.tasks import CopyMemory

HIDDEN = 32
TASK = CopyMemory(delay=20, symbols=4, length=1)  # a symbol, 20 steps of nothing, a call, and the symbol again


def trained_lstm(steps, seed=0):
    """An LSTM that has learned to say the symbol again, and the share of symbols that it recalls."""
    rng = np.random.default_rng(seed)
    lstm = minirnn.LSTM(TASK.input_size, HIDDEN, rng=rng)
    lstm.cells()[0].bias_ih[HIDDEN : 2 * HIDDEN] = math.log(TASK.delay)  # the keep gates begin nearly open
    model = minirnn.Sequential(lstm, minirnn.Linear(HIDDEN, TASK.output_size, rng=rng))

    def loss(model, batch):
        return minirnn.losses.cross_entropy(model(batch.inputs)[0], batch.targets)

    optimizer = minirnn.optim.Adam(model, lr=1e-2)
    for batch in TASK.batches(rng, 32, count=steps):
        _, grads = minirnn.value_and_grad(loss)(model, batch)
        optimizer.step(minirnn.optim.clip_by_global_norm(grads, 1.0)[0])
    test = TASK.batch(rng, 256)
    return lstm, TASK.metric(model(test.inputs)[0], test)


def gates_figure(lstm):
    """Write, keep and show gates of all units while the LSTM reads one sequence."""
    batch = TASK.batch(np.random.default_rng(3), 1)
    symbols = np.argmax(batch.inputs[:, 0], axis=1)
    signs = [*"ABCD", "·", "?"]
    values = analysis.record(lstm, batch.inputs, ["write", "keep", "show"])
    made, axes = figures.figure(1, 3)
    for name, each in zip(values, axes, strict=True):
        figures.plot_gates(values[name][:, 0], each, title=f"{name} gate", ticks=[signs[s] for s in symbols])
    return made


def told(lstm):
    """What the gates do at the symbol, in the pause and at the call, on the mean over the units that carry it.

    A unit carries the symbol where its c, at the end of the pause, differs most from symbol to symbol.
    """
    batch = TASK.batch(np.random.default_rng(4), 256)
    said = np.argmax(batch.inputs[0], axis=1)
    values = analysis.record(lstm, batch.inputs, ["write", "keep", "show", "c"])
    before = values["c"][TASK.delay - 1]
    means = np.stack([before[said == symbol].mean(axis=0) for symbol in range(TASK.symbols)])
    carriers = np.argsort(-means.std(axis=0))[:4]
    places = {"symbol": [0], "pause": range(2, TASK.delay - 1), "call": [TASK.delay + TASK.length - 1]}
    return {
        name: {where: float(values[name][list(steps)][:, :, carriers].mean()) for where, steps in places.items()}
        for name in ("write", "keep", "show")
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("docs"), help="where the pictures go")
    parser.add_argument("--steps", type=int, default=800, help="updates on copy memory")
    options = parser.parse_args()
    figures.plot_panels(analysis.vanishing(steps=options.steps)).savefig(
        options.folder / "why_gradients_vanish.png", dpi=110
    )
    lstm, recalled = trained_lstm(options.steps)
    print(f"the LSTM recalls {recalled:.0%} of the symbols")
    for name, means in told(lstm).items():
        print(f"{name:6s}" + "".join(f"  {where} {mean:.2f}" for where, mean in means.items()))
    gates_figure(lstm).savefig(options.folder / "gates_of_a_trained_lstm.png", dpi=110)
    longer = CopyMemory(delay=58, symbols=4, length=1).batch(np.random.default_rng(0), 8).inputs
    flow = analysis.gradient_flow(lstm, longer, spectral=False)
    figures.plot_flow(flow).figure.savefig(options.folder / "paths_of_a_gradient.png", dpi=110)


if __name__ == "__main__":
    main()
