"""Cells within PyTorch: a training pass of a cell as a module of ours, beside the same step in an eager loop of torch's
and in a compiled one; and what a call of a module costs around its kernel.

python -m benchmarks --only torch_modules
"""

import importlib.util
import math
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table

import minirnn
from benchmarks.peers import installed
from benchmarks.zoo import VECTOR_CELLS
from minirnn import cells
from minirnn.speed import SIZES, Pass
from minirnn.speed.passes import Call, torch_pass
from minirnn.speed.timing import Contender, apart, interleaved, within

__all__ = ["measure", "table"]

QUICK = ["MGU", "JANET", "LEM"]
COMPILED = ["MGU"]  # whose eager loop torch.compile unrolls, at the smallest size: half a minute each


# ---------------------------------------------------------------- passes
def module_pass(name: str, what: Pass) -> Call:
    """The cell as a module of ours."""
    from minirnn.interop.torch import module

    minirnn.set_num_threads(what.threads)
    return torch_pass(lambda inputs, hidden: module(cells.make(name, inputs, hidden)), cells.get(name), what)


def eager_loop(name: str, inputs: int, hidden: int) -> Any:
    """A module of torch's that runs the cell's step once for each step, as autograd differentiates it."""
    import torch

    from minirnn.interop import source

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name.lower()}_torch.py"
        source.write(name, path, to="torch", sizes=(inputs, hidden))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        written = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = written  # where torch.compile looks for it
        spec.loader.exec_module(written)
    made = getattr(written, name)()

    class Loop(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.made = made

        def forward(self, xs: Any) -> Any:
            return made.run(written.by_steps, xs)[0]

    return Loop()


def eager_pass(name: str, what: Pass) -> Call | None:
    """The loop; None where a cell has constants too long for a file."""
    try:
        return torch_pass(partial(eager_loop, name), cells.get(name), what)
    except (TypeError, ValueError) as error:
        if str(error).startswith("write: "):
            return None
        raise


def compiled_pass(name: str, what: Pass) -> Call:
    import torch

    return torch_pass(lambda inputs, hidden: torch.compile(eager_loop(name, inputs, hidden)), cells.get(name), what)


def compile_seconds(name: str, what: Pass) -> float:
    """How long the first compiled pass takes."""
    start = time.perf_counter()
    compiled_pass(name, what)()
    return time.perf_counter() - start


# ---------------------------------------------------------------- what a call costs around its kernel
def overheads(seconds: float) -> dict[str, float]:
    """Microseconds of calls of a small LSTM, one thread: the kernels with what tells whether they may run, the layer,
    its module, direct and as an operator; and an empty function of torch's own."""
    import torch

    from minirnn.interop.torch import module
    from minirnn.layers.steady import short_way

    torch.set_num_threads(1)
    minirnn.set_num_threads(1)
    layer = minirnn.LSTM(8, 16, rng=np.random.default_rng(0))
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((10, 2, 8), dtype=np.float32))
    xs, made = x.numpy(), module(layer)
    own, cotangent = list(made.parameters()), torch.ones(10, 2, 16)
    layer(xs)  # what is known from here on
    kernels: Any = short_way(layer, xs)
    key, kind, tensors = made.operands(x)
    wanted, given = list(range(1, len(tensors))), [cotangent.numpy(), None, None]
    operator = torch.ops.minirnn.call.default

    def forward_alone() -> Any:
        return kernels.forward(xs, kernels.states(xs, None), False)

    def both_alone() -> None:
        kept = kernels.forward(xs, kernels.states(xs, None), True)[2]
        kernels.backward(kept, given, False, range(len(own)))

    def without(call: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            with torch.no_grad():
                return call()

        return run

    calls: dict[str, Callable[[], Any]] = {
        "forward: kernel": forward_alone,
        "forward: layer": lambda: layer(xs),
        "forward: module": without(lambda: made(x)),
        "forward: operator": without(lambda: operator(key, kind, [], tensors)),
        "train: kernels": both_alone,
        "train: module": lambda: torch.autograd.grad(made(x)[0], own, cotangent),
        "train: operator": lambda: torch.autograd.grad(operator(key, kind, wanted, tensors)[0], own, cotangent),
        "train: torch alone": partial(_of_torch_alone, torch, x, own, cotangent),
    }
    return {name: 1e6 * _least(call, seconds / len(calls)) for name, call in calls.items()}


def _least(call: Callable[[], Any], seconds: float) -> float:
    """Seconds a call, at the best of as many rounds of ten as fit into so many seconds: what the machine's other work
    does not touch."""
    found, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(10):
            call()
        found = min(found, (time.perf_counter() - start) / 10)
    return found


def _of_torch_alone(torch: Any, x: Any, own: Any, cotangent: Any) -> None:
    """A function of torch's own that computes nothing, and its backward pass."""
    if not hasattr(_of_torch_alone, "function"):

        class Nothing(torch.autograd.Function):  # type: ignore[misc, name-defined]
            @staticmethod
            def forward(ctx: Any, x: Any, *own: Any) -> Any:
                ctx.save_for_backward(x, *own)
                return torch.empty_like(cotangent), torch.empty(1, 2, 16), torch.empty(1, 2, 16)

            @staticmethod
            def backward(ctx: Any, *gradients: Any) -> Any:
                return None, *[torch.empty_like(p) for p in ctx.saved_tensors[1:]]

        _of_torch_alone.function = Nothing  # type: ignore[attr-defined]
    outputs = _of_torch_alone.function.apply(x, *own)[0]  # type: ignore[attr-defined]
    torch.autograd.grad(outputs, own, cotangent)


# ---------------------------------------------------------------- a model of both
def model_of_both(threads: int, seconds: float) -> dict[str, float]:
    """Milliseconds of a training pass of Linear -> cell -> Linear, and of the parts alone, where both libraries may use
    so many threads: (B, T, I, H) = (32, 100, 128, 256)."""
    import torch

    from minirnn.interop.torch import module

    torch.set_num_threads(threads)
    minirnn.set_num_threads(threads)
    before, rnn, after = torch.nn.Linear(128, 128), module(minirnn.cells.MGU(128, 256)), torch.nn.Linear(256, 128)
    x, h = torch.randn(100, 32, 128), torch.randn(100, 32, 256)

    def trained(call: Callable[[Any], Any], x: Any) -> Callable[[], None]:
        given = x.clone().requires_grad_()
        return lambda: call(given).sum().backward()

    calls = {
        "Linear -> MGU -> Linear": trained(lambda x: after(rnn(before(x))[0]), x),
        "Linear": trained(before, x),
        "MGU": trained(lambda x: rnn(x)[0], x),
        "Linear, behind": trained(after, h),
    }
    return {name: 1e3 * timing.median for name, timing in interleaved(calls, seconds=seconds).items()}


# ---------------------------------------------------------------- the measurement
def measure(quick: bool = False) -> dict[str, Any]:
    if not installed("torch"):
        return {"zoo": [], "overheads": {}, "both": {}}
    rows = []
    for name in QUICK if quick else VECTOR_CELLS:
        for size in SIZES[:2] if quick else SIZES:
            what = Pass(size)
            contenders = {
                "module": Contender("minirnn in torch", module_pass, (name, what)),
                "eager": Contender("torch", eager_pass, (name, what)),
            }
            took = None
            if not quick and name in COMPILED and size == SIZES[0]:
                took = within("compiled torch", compile_seconds, name, what)
                contenders["compiled"] = Contender("compiled torch", compiled_pass, (name, what))
            timings = apart(contenders, seconds=0.6, rounds=3)
            seconds = {who: timing.median for who, timing in timings.items()}
            rows.append({"cell": name, "size": size, "seconds": seconds, "compiling": took})
    share = 1.0 if quick else 6.0
    both = {str(threads): within("minirnn in torch", model_of_both, threads, share) for threads in (1, 2)}
    return {"zoo": rows, "overheads": within("minirnn in torch", overheads, share), "both": both}


def table(found: dict[str, Any]) -> Table:
    """Milliseconds at each size, and how many times as long the eager loop takes; the calls' costs below."""
    rows = found["zoo"]
    sizes = list(dict.fromkeys(tuple(row["size"]) for row in rows))
    by = {(row["cell"], tuple(row["size"])): row for row in rows}
    made = Table("cell", *[f"{size}\nmodule, eager / module" for size in sizes], title="a training pass in PyTorch, ms")
    for name in dict.fromkeys(row["cell"] for row in rows):
        made.add_row(name, *[_described(by[name, size]) for size in sizes])
    made.add_section()
    ratios = [
        [_ratio(row["seconds"]) for (_, s), row in by.items() if s == size and "eager" in row["seconds"]]
        for size in sizes
    ]
    made.add_row("median, least", *[f"{median(each):.1f} {min(each):.1f}" for each in ratios])
    made.add_section()
    for name, microseconds in found["overheads"].items():
        made.add_row(f"LSTM (2, 10, 8, 16), {name}", f"{microseconds:.0f} µs")
    for threads, parts in found["both"].items():
        made.add_row(
            f"{threads} thread{'s' * (threads != '1')} each",
            *[f"{name}: {ms:.2f} ms" for name, ms in parts.items()][:3],
        )
    return made


def _ratio(seconds: dict[str, float]) -> float:
    return seconds["eager"] / seconds["module"]


def _described(row: dict[str, Any]) -> str:
    seconds = row["seconds"]
    text = f"{1e3 * seconds['module']:8.3g} " + (f"{_ratio(seconds):6.1f}" if "eager" in seconds else "")
    if "compiled" in seconds:
        text += f" (compiled {seconds['compiled'] / seconds['module']:.1f}, in {row['compiling']:.0f} s)"
    return text
