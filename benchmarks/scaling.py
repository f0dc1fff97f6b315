"""How the cost of an LSTM's training pass grows with T, H and B: time, and peak memory in a process of its own.

python -m benchmarks --only scaling
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.table import Table

import minirnn
from benchmarks.layers import THREADS, ours
from benchmarks.peers import Problem, torch_layer
from benchmarks.timing import interleaved

__all__ = ["measure", "plot", "table"]

BASE = {"B": 16, "T": 50, "I": 64, "H": 128}
AXES = {"T": [10, 100, 1000, 10_000], "H": [32, 128, 512, 1024], "B": [1, 16, 64, 256]}
QUICK = {"T": [10, 100], "H": [32, 128], "B": [1, 16]}


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row for each value along each axis: seconds of minirnn and torch, and minirnn's peak memory in MiB."""
    minirnn.set_num_threads(THREADS)
    rows = []
    for axis, values in (QUICK if quick else AXES).items():
        for value in values:
            size = {**BASE, axis: value}
            problem = Problem("LSTM", "train", (size["B"], size["T"], size["I"], size["H"]), "float32")
            calls = {"minirnn": ours(problem), "torch": torch_layer(problem, THREADS)}
            there = {name: call for name, call in calls.items() if call is not None}
            timings = interleaved(there, seconds=1.0 if quick else 4.0, rounds=3 if quick else 5)
            seconds = {name: timing.median for name, timing in timings.items()}
            rows.append({"axis": axis, "value": value, "seconds": seconds, "peak_mib": peak_memory(problem)})
    return rows


def peak_memory(problem: Problem) -> float:
    """MiB at the most, of a fresh process that runs the pass twice, above one that only imports."""
    words = [sys.executable, "-m", "benchmarks.scaling", *map(str, problem.size)]
    with_pass = float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    without = float(subprocess.run(words[:3], check=True, capture_output=True, text=True).stdout)
    return with_pass - without


def peak_of_this_process() -> float:
    """MiB. Not ru_maxrss, which a process inherits from the one that started it."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) / 1024


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


if __name__ == "__main__":
    if len(sys.argv) > 1:
        call = ours(Problem("LSTM", "train", tuple(map(int, sys.argv[1:])), "float32"))  # type: ignore[arg-type]
        call()
        call()
    else:
        ours(Problem("LSTM", "train", (1, 1, 1, 1), "float32"))()
    print(peak_of_this_process())
