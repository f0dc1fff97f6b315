"""The picture of docs/long_memory.md: held-out loss over the steps, one panel a task, one curve a run.

python examples/long_memory.py runs/adding/* runs/copy/* --plot docs/long_memory.png

Each folder is a run of `minirnn train --task ...`; a curve has its folder's name. The dashed line is the task's
baseline without memory (for the adding problem 1/6).
"""

import argparse
from pathlib import Path

import numpy as np

from minirnn.analysis import figures
from minirnn.train import load_run, read_metrics


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs")
    parser.add_argument("--plot", default="long_memory.png", help="where the picture goes")
    options = parser.parse_args()
    runs = {folder: load_run(folder) for folder in options.runs}
    tasks = list(dict.fromkeys(run.data["source"] for run in runs.values()))
    names = list(dict.fromkeys(folder.name for folder in runs))  # a name has one colour in all panels
    made, panels = figures.figure(1, len(tasks))
    for task, axes in zip(tasks, np.ravel(panels), strict=True):
        own = {folder: run for folder, run in runs.items() if run.data["source"] == task}
        for folder in own:
            k = names.index(folder.name)
            points = [(one["step"], one["val_loss"]) for one in read_metrics(folder) if one.get("val_loss") is not None]
            style = {"color": figures.COLOURS[k % 7], "marker": figures.MARKERS[k % 7], "markersize": 3}
            axes.semilogy(*np.transpose(points), label=folder.name, **style)
        data = next(iter(own.values())).data
        axes.axhline(data["baseline"], color="black", linestyle="--", linewidth=1)
        axes.set(title=task, xlabel="step", ylabel={"mse": "mean squared error"}.get(data["loss"], "nats a step"))
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    made.savefig(options.plot, dpi=110)


if __name__ == "__main__":
    main()
