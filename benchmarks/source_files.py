"""Files that `minirnn export --to torch` and `--to jax` wrote: a training pass by the derived backward in them, beside
the framework's own derivative of the same step, a Python loop under autograd or a plain lax.scan. On one thread each:
steps that follow each other leave little to share.

python -m benchmarks --only source_files
"""

import math
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from rich.table import Table

from benchmarks.peers import installed
from minirnn import cells
from minirnn.interop.source import source
from minirnn.speed import SIZES
from minirnn.speed.timing import Contender, apart

__all__ = ["FRAMEWORKS", "contenders", "measure", "table"]

FRAMEWORKS = {"torch": "eager loop", "jax": "plain scan"}
QUICK = ["LSTM", "GRU", "MGU", "CfC", "LayerNormLSTM", "sLSTM"]
EVERY = ["RNN", "LSTM", "GRU", *(name for name in cells.names() if name not in ("ConvLSTM", "ClockworkRNN"))]

Size = tuple[int, int, int, int]


def _loaded(name: str, to: str) -> Any:
    """The file as a module."""
    made = types.ModuleType(f"{name}_{to}")
    sys.modules[made.__name__] = made
    exec(compile(source(name, to=to), made.__name__, "exec"), made.__dict__)
    return made


def torch_pass(name: str, size: Size, derived: bool) -> Callable[[], Any] | None:
    """A training pass in PyTorch: by the file's own backward, or by autograd of its steps."""
    if not installed("torch"):
        return None
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    (batch, steps, inputs, hidden), file = size, _loaded(name, "torch")
    (kind,) = [v for v in vars(file).values() if isinstance(v, type) and issubclass(v, torch.nn.Module)]
    module = kind(inputs, hidden)
    xs = torch.randn(steps, batch, inputs, requires_grad=True)
    scan = file.Scan.apply if derived else file.by_steps

    def call() -> None:
        module.zero_grad()
        xs.grad = None
        module.run(scan, xs)[0].sum().backward()

    return call


def jax_pass(name: str, size: Size, derived: bool) -> Callable[[], Any] | None:
    """A training pass in JAX, jitted: by the file's own backward, or by JAX's gradient of a plain lax.scan."""
    if not installed("jax"):
        return None
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"  # read once
    import jax

    (batch, steps, inputs, hidden), file = size, _loaded(name, "jax")
    parameters = file.init(jax.random.key(0), inputs, hidden)
    xs = jax.random.normal(jax.random.key(1), (steps, batch, inputs))
    scan = file.scan if derived else file.by_steps
    grad = jax.jit(jax.grad(lambda parameters, xs: file.run(scan, parameters, xs)[0].sum(), (0, 1)))
    return lambda: jax.block_until_ready(grad(parameters, xs))


def contenders(name: str, size: Size) -> dict[str, Contender]:
    """In both frameworks, the file and the framework's own derivative, each in a process of its own."""
    made = {}
    for to, make in (("torch", torch_pass), ("jax", jax_pass)):
        made[f"{to} file"] = Contender(f"{to} file", make, (name, size, True))
        made[f"{to} {FRAMEWORKS[to]}"] = Contender(f"{to} {FRAMEWORKS[to]}", make, (name, size, False))
    return made


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a cell and size: seconds of each contender."""
    rows = []
    for name in QUICK if quick else EVERY:
        for size in SIZES:
            timings = apart(contenders(name, size), seconds=0.8 if quick else 2.0, rounds=3 if quick else 5)
            seconds = {who: timing.median for who, timing in timings.items()}
            rows.append({"cell": name, "size": size, "seconds": seconds})
    return rows


def ratio(seconds: dict[str, float], to: str) -> float:
    """How many times as fast as the framework's own derivative the file is; nan where it was not measured."""
    own, file = seconds.get(f"{to} {FRAMEWORKS[to]}"), seconds.get(f"{to} file")
    return own / file if own and file else math.nan


def table(rows: list[dict[str, Any]]) -> Table:
    """Milliseconds of the files, and how many times as long the frameworks' own derivatives take."""
    made = Table("cell", "(B, T, I, H)", "torch file, ms", "eager loop /", "jax file, ms", "plain scan /")
    made.title = "milliseconds a training pass, float32, one thread, of files with a derived backward"
    for row in rows:
        shown = [row["cell"], str(tuple(row["size"]))]
        for to in FRAMEWORKS:
            file = row["seconds"].get(f"{to} file", math.nan)
            shown += [f"{1e3 * file:.3g}", f"{ratio(row['seconds'], to):.2f}"]
        made.add_row(*shown)
    made.add_section()
    for size in dict.fromkeys(tuple(row["size"]) for row in rows):
        means = []
        for to in FRAMEWORKS:
            found = sorted(ratio(row["seconds"], to) for row in rows if tuple(row["size"]) == size)
            means += ["", f"{found[len(found) // 2]:.2f}"]
        made.add_row("median", str(size), *means)
    return made
