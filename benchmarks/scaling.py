"""How the cost of an LSTM's training pass grows with T, H and B: time, and peak memory in a process of its own.

python -m benchmarks --only scaling
"""

from typing import Any

from rich.table import Table

from benchmarks.memory import peak_memory
from benchmarks.ours import layer_call
from benchmarks.peers import Problem, torch_layer
from minirnn.speed.timing import THREADS, Contender, apart

__all__ = ["measure", "plot", "table"]

BASE = {"B": 16, "T": 50, "I": 64, "H": 128}
AXES = {"T": [10, 100, 1000, 10_000], "H": [32, 128, 512, 1024], "B": [1, 16, 64, 256]}
QUICK = {"T": [10, 100], "H": [32, 128], "B": [1, 16]}


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row for each value along each axis: seconds of minirnn and torch, and minirnn's peak memory in MiB."""
    rows = []
    for axis, values in (QUICK if quick else AXES).items():
        for value in values:
            size = {**BASE, axis: value}
            problem = Problem("LSTM", "train", (size["B"], size["T"], size["I"], size["H"]), "float32")
            contenders = {
                "minirnn": Contender("minirnn", layer_call, (problem, THREADS)),
                "torch": Contender("torch", torch_layer, (problem, THREADS)),
            }
            timings = apart(contenders, seconds=1.0 if quick else 4.0, rounds=3 if quick else 5)
            seconds = {name: timing.median for name, timing in timings.items()}
            rows.append({"axis": axis, "value": value, "seconds": seconds, "peak_mib": peak_memory(problem)})
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """Milliseconds and MiB."""
    made = Table("axis", "value", "minirnn ms", "torch ms", "minirnn MiB")
    made.title = f"LSTM training pass, float32, around {BASE}"
    for row in rows:
        torch = row["seconds"].get("torch")
        made.add_row(
            row["axis"],
            str(row["value"]),
            f"{1e3 * row['seconds']['minirnn']:.3g}",
            "" if torch is None else f"{1e3 * torch:.3g}",
            f"{row['peak_mib']:.0f}",
        )
    return made


def plot(rows: list[dict[str, Any]], axes: Any) -> None:
    """Time against each axis's value, in units of the base size's, on logarithmic axes."""
    for axis, style in zip(AXES, ["o-", "s-", "^-"], strict=True):
        chosen = [row for row in rows if row["axis"] == axis]
        ms = [1e3 * row["seconds"]["minirnn"] for row in chosen]
        axes.loglog([row["value"] / BASE[axis] for row in chosen], ms, style, label=f"{axis} (1 = {BASE[axis]})")
    axes.set_xlabel("size, in units of the base")
    axes.set_ylabel("milliseconds a training pass")
    axes.set_title("LSTM, float32", fontsize=9)
    axes.legend(frameon=False)
