"""Peak memory of a pass through a layer, in a process of its own.

python -m benchmarks.memory KIND MODE B T I H DTYPE ENGINE
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.ours import layer_call
from benchmarks.peers import Problem
from minirnn.speed.timing import THREADS

__all__ = ["peak_memory"]


def peak_memory(problem: Problem, engine: str = "auto") -> float:
    """MiB at the most, of a fresh process that runs the pass twice, above one whose pass is tiny."""
    return _peak(problem, engine) - _peak(problem._replace(size=(1, 1, 1, 1)), engine)


def _peak(problem: Problem, engine: str) -> float:
    """The smaller of two runs: the first may have to compile."""
    return min(_peak_once(problem, engine) for _ in range(2))


def _peak_once(problem: Problem, engine: str) -> float:
    words = [problem.kind, problem.mode, *map(str, problem.size), problem.dtype, engine]
    command = [sys.executable, "-m", "benchmarks.memory", *words]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_of_this_process() -> float:
    """MiB. Not ru_maxrss, which a process inherits from the one that started it."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) / 1024


if __name__ == "__main__":
    kind, mode, batch, steps, inputs, hidden, dtype, engine = sys.argv[1:]
    problem = Problem(kind, mode, (int(batch), int(steps), int(inputs), int(hidden)), dtype)
    call = layer_call(problem, THREADS, engine)
    call()
    call()
    print(peak_of_this_process())
