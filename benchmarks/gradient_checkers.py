"""How good are gradient checkers? Traps of tests/gradcheck/traps.py, given to minirnn, PyTorch, autograd and JAX.

    python -m benchmarks.gradient_checkers [--seeds 20] [--only NAME]

Every trap is a right and a wrong backward of one function. A checker scores a catch where it rejects the wrong one in
every seed, and a false alarm where it rejects the right one in any. Each runs with its own default settings; a peer
that is not installed is left out. A peer gets NumPy functions through its own way of defining a backward, and only the
arguments that are float arrays are differentiated. Draws of arguments are the same for all.
"""

import argparse
import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from minirnn.gradcheck import gradcheck

Accepts = Callable[[Callable[..., Any], Callable[..., Any], tuple[Any, ...], int], bool]


def load_traps() -> list[Any]:
    path = Path(__file__).parent.parent / "tests" / "gradcheck" / "traps.py"
    spec = importlib.util.spec_from_file_location("traps", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TRAPS


def is_float(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def gradients_of(vjp: Callable[..., Any], g: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The backward's gradients as a tuple, also where it returns an array alone."""
    found = vjp(g, *args)
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def minirnn_accepts(f: Callable[..., Any], vjp: Callable[..., Any], args: tuple[Any, ...], seed: int) -> bool:
    return gradcheck(f, *args, vjp=vjp, seed=seed).ok


def torch_accepts(f: Callable[..., Any], vjp: Callable[..., Any], args: tuple[Any, ...], seed: int) -> bool:
    import torch

    torch.manual_seed(seed)

    class Wrapped(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Any) -> Any:
            ctx.arrays = tuple(t.detach().numpy().copy() if isinstance(t, torch.Tensor) else t for t in tensors)
            out = f(*[t.detach().numpy() if isinstance(t, torch.Tensor) else t for t in tensors])
            return tuple(map(torch.as_tensor, out)) if isinstance(out, tuple) else torch.as_tensor(out)

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            g = tuple(c.numpy() for c in cotangents)
            found = iter(gradients_of(vjp, g if len(g) > 1 else g[0], ctx.arrays))
            return tuple(torch.as_tensor(next(found)) if is_float(a) else None for a in ctx.arrays)

    tensors = tuple(torch.tensor(a, requires_grad=True) if is_float(a) else a for a in args)
    try:
        return bool(torch.autograd.gradcheck(Wrapped.apply, tensors))
    except Exception:
        return False


def autograd_accepts(f: Callable[..., Any], vjp: Callable[..., Any], args: tuple[Any, ...], seed: int) -> bool:
    from autograd.builtins import tuple as box_tuple
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    np.random.seed(seed)  # noqa: NPY002  check_grads draws from NumPy's global generator
    moved = [i for i, a in enumerate(args) if is_float(a)]

    def backward_of(position: int) -> Callable[..., Any]:
        return lambda out, *values: lambda g: gradients_of(vjp, g, values)[position]

    def returns_float64(*values: Any) -> Any:
        out = f(*values)
        return box_tuple(out) if isinstance(out, tuple) else np.asarray(out)[()]

    wrapped = primitive(returns_float64)
    defvjp(wrapped, *[backward_of(k) for k in range(len(moved))], argnums=moved)
    try:
        check_grads(wrapped, argnum=moved, modes=["rev"], order=1)(*[np.array(a) for a in args])
    except Exception:
        return False
    return True


def jax_accepts(f: Callable[..., Any], vjp: Callable[..., Any], args: tuple[Any, ...], seed: int) -> bool:
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    np.random.seed(seed)  # noqa: NPY002
    arrays = tuple(a for a in args if is_float(a))

    def filled(values: Any) -> tuple[Any, ...]:
        given = iter(np.array(v) for v in values)
        return tuple(next(given) if is_float(a) else a for a in args)

    def shape_of(tree: Any) -> Any:
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), np.asarray(a).dtype), tree)

    out_shape, grad_shape = shape_of(f(*filled(arrays))), shape_of(arrays)

    @jax.custom_vjp
    def wrapped(*values: Any) -> Any:
        return jax.pure_callback(lambda *v: jax.tree.map(np.asarray, f(*filled(v))), out_shape, *values)

    def backward(values: Any, g: Any) -> Any:
        def call(cotangent: Any, *v: Any) -> Any:
            cotangent = jax.tree.map(np.array, cotangent)
            return tuple(np.asarray(d) for d in gradients_of(vjp, cotangent, filled(v)))

        return jax.pure_callback(call, grad_shape, g, *values)

    wrapped.defvjp(lambda *values: (wrapped(*values), values), backward)
    try:
        check_grads(wrapped, arrays, order=1, modes=["rev"])
    except Exception:
        return False
    finally:
        jax.clear_caches()  # every trap and seed is a function of its own
    return True


PEERS: dict[str, tuple[str, Accepts]] = {
    "minirnn": ("minirnn", minirnn_accepts),
    "PyTorch": ("torch", torch_accepts),
    "autograd": ("autograd", autograd_accepts),
    "JAX": ("jax", jax_accepts),
}


def score(trap: Any, accepts: Accepts, seeds: int) -> tuple[int, int]:
    """In how many seeds the wrong backward is rejected, and the right one."""
    caught = alarms = 0
    for seed in range(seeds):
        draw = lambda seed=seed: trap.draw(np.random.default_rng(seed))
        alarms += not accepts(trap.f, trap.right, draw(), seed)
        caught += not accepts(trap.wrong_f or trap.f, trap.wrong, draw(), seed)
    return caught, alarms


def measure(quick: bool = False, seeds: int | None = None, only: str = "") -> list[dict[str, Any]]:
    """One row a trap: in how many seeds each installed checker caught the wrong backward and rejected the right one."""
    seeds = seeds or (2 if quick else 20)
    peers = {name: accepts for name, (module, accepts) in PEERS.items() if importlib.util.find_spec(module)}
    rows = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for trap in load_traps():
            if only in trap.name:
                scores = {name: score(trap, accepts, seeds) for name, accepts in peers.items()}
                rows.append({"trap": trap.name, "seeds": seeds, "scores": scores})
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """The measurement as a table, with totals: traps caught in every seed, right backwards rejected in any."""
    seeds, names = rows[0]["seeds"], list(rows[0]["scores"])
    made = Table(
        title=f"{len(rows)} traps, {seeds} seeds: wrong backward caught / right one rejected", show_footer=True
    )
    made.add_column("trap", footer="all")
    for name in names:
        found = [row["scores"][name] for row in rows]
        caught, alarms = sum(c == seeds for c, _ in found), sum(a > 0 for _, a in found)
        made.add_column(name, justify="right", footer=f"{caught} of {len(rows)}, {alarms} false alarms")
    for row in rows:
        made.add_row(row["trap"], *[cell(*row["scores"][name], seeds) for name in names])
    return made


def cell(caught: int, alarms: int, seeds: int) -> str:
    hit = "caught" if caught == seeds else f"[red]caught in {caught} of {seeds}[/]"
    return f"{hit} / {f'[red]{alarms} rejected[/]' if alarms else '-'}"


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """For every checker, the traps that it misses and the right backwards that it rejects, in any seed."""
    lines = []
    for name in rows[0]["scores"]:
        missed = [row["trap"] for row in rows if row["scores"][name][0] < row["seeds"]]
        rejected = [row["trap"] for row in rows if row["scores"][name][1]]
        lines.append(f"{name} misses ({len(missed)}): {'; '.join(missed) or 'none'}")
        lines.append(f"{name} rejects the right backward of ({len(rejected)}): {'; '.join(rejected) or 'none'}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Score gradient checkers on traps.")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default="", help="traps whose name contains this")
    options = parser.parse_args()
    rows = measure(seeds=options.seeds, only=options.only)
    if not rows:
        parser.error(f"no trap's name contains {options.only!r}")
    console = Console(width=150)
    console.print(table(rows))
    for line in verdicts(rows):
        console.print(line, highlight=False)


if __name__ == "__main__":
    main()
