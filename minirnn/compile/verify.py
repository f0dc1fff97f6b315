"""Before a compiled cell is used: its results and gradients beside the reference's, on a tiny problem.

Both run on the cell's own arrays, with a few steps and rows of the call's inputs, slightly moved by noise so that no
number is zero by chance. Where they differ by more than a fixed tolerance, it may be that rounding does not determine
the numbers any better (a softmax of inputs in the thousands, say). So then the compiled numbers are judged by their
distance to the reference in float64, against what rounding can do; and the same code has to agree with the reference on
numbers near 1. A disagreement beyond that, on every draw, is a bug of the compiler, and an error that carries both.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minirnn import reference, tree, untraced
from minirnn.boxes import unboxed
from minirnn.compile import sequence
from minirnn.compile.errors import CannotCompile
from minirnn.compile.packing import Packing
from minirnn.compile.program import Program
from minirnn.transform import silent_vjp

__all__ = ["CompilerError", "verify"]

STEPS, ROWS, DRAWS = 3, 2, 3
TOLERANCE = {"float32": 2e-3, "float64": 1e-8, "float16": 1e-1}
SHAKES, MARGIN = 4, 10.0  # how often arguments are moved by a rounding error, and how much further code may be off
ROUNDINGS = 100  # in a gradient that is a small difference of large numbers, of the size of arguments times cotangents

_Leaves = list[Any]
_Reference = Callable[[_Leaves, Sequence[Any] | None], tuple[list[Any], list[Any]]]


class CompilerError(RuntimeError):
    """Compiled code and the reference give different numbers."""


class _Draw(NamedTuple):
    """One tiny problem: leaves are the inputs, the states and the cell's arrays; reference(leaves, cotangents) gives
    results and gradients."""

    names: list[str]
    leaves: _Leaves
    reference: _Reference
    cotangents: Sequence[Any]
    expected: list[Any]
    found: list[Any]
    coarsest: str  # the least precise floats that the step computes with

    def tolerance(self, array: Any) -> float:
        return max(TOLERANCE[array.dtype.name], TOLERANCE[self.coarsest])


def verify(program: Program, cell: Any, state: Any, xs: Any) -> None:
    """CompilerError: the program's outputs, states or gradients differ from the reference's on every draw.
    CannotCompile: the step fails on inputs near those of the call, so that there is nothing to compare with."""
    cell, state, xs = (tree.map(unboxed, part) for part in (cell, state, xs))

    def draws(**how: Any) -> Iterator[_Draw]:
        for seed in range(DRAWS):
            with np.errstate(all="ignore"):
                yield _drawn(program, cell, state, xs, seed, **how)

    problems, excused = [], False
    for draw in draws():
        different = _differences(draw)
        problems.append(different and _beyond_rounding(draw, different))
        if not problems[-1]:
            excused = bool(different)
            break
    if excused:
        problems = [_differences(draw) for draw in draws(near_one=True)]
    if all(problems):
        listed = "\n".join([f"  {name}: {error:.2g} relative" for name, error in problems[0]])
        raise CompilerError(
            f"minirnn compiled {type(cell).__name__} wrongly. This is a bug of minirnn; engine='python' avoids it. "
            f"Against the reference differ\n{listed}\nThe code:\n{program.listing()}"
        )


def _drawn(program: Program, cell: Any, state: Any, xs: Any, seed: int, near_one: bool = False) -> _Draw:
    """The problem, the reference's numbers and the program's; unmoved where the step fails on what is moved. near_one:
    arguments of random numbers, of a size at which nothing saturates."""
    for noise in (0.1, 0.0):
        rng = np.random.default_rng(seed)

        def near(array: Any, cut: int, noise: float = noise, rng: Any = rng) -> Any:
            rows = np.arange(min(ROWS, len(array[0] if cut else array)))
            if program.layout.least > ROWS:
                rows = np.arange(program.layout.least) % len(array[0] if cut else array)
            small = np.array(array[:STEPS][:, rows] if cut else array[rows])
            moves = small.dtype.kind == "f"
            return small + noise * rng.standard_normal(small.shape).astype(small.dtype) if moves else small

        small = tree.map(lambda a: near(a, 1), xs), tree.map(lambda a: near(a, 0), state), cell
        if near_one:
            small = tree.map(partial(_moderate, rng), small)
        leaves, rebuild = tree.flatten(small)
        lengths = np.maximum(1, STEPS - np.arange(leaves[0].shape[1]))
        lengths, names = np.minimum(lengths, len(leaves[0])), list[str]()
        if not program.layout.row_wise:  # all at one pace
            lengths = np.full_like(lengths, len(leaves[0]))
        compute = _reference_of(rebuild, lengths, names)
        try:
            results, _ = compute(leaves, None)
            cotangents = [rng.standard_normal(value.shape).astype(value.dtype) for value in results]
            results, gradients = compute(leaves, cotangents)
        except Exception as error:
            if noise:
                continue
            raise CannotCompile(untraced.cause(error)) from error
        found = _compiled(program, leaves, small[0], small[1], lengths, cotangents)
        names += [f"gradient of {name}" for name, leaf in tree.named_leaves(small) if leaf.dtype.kind == "f"]
        return _Draw(
            names, leaves, compute, cotangents, [*results, *gradients], [*found[0], *found[1]], program.layout.coarsest
        )
    raise AssertionError("the last pass returns or raises")


def _moderate(rng: np.random.Generator, array: Any) -> Any:
    if array.dtype.kind != "f":
        return array
    return (rng.uniform(0.1, 0.9, array.shape) / max(1, array.shape[-1] if array.ndim else 1) ** 0.5).astype(
        array.dtype
    )


def _reference_of(rebuild: Callable[..., Any], lengths: Any, names: list[str]) -> _Reference:
    """The reference's float results, and the gradients of the float leaves under given cotangents."""

    def compute(leaves: _Leaves, cotangents: Sequence[Any] | None) -> tuple[list[Any], list[Any]]:
        moving = [k for k, leaf in enumerate(leaves) if leaf.dtype.kind == "f"]

        def run(*moved: Any) -> tuple[Any, ...]:
            given = list(leaves)
            for k, leaf in zip(moving, moved, strict=True):
                given[k] = leaf
            x, s, c = rebuild(given)
            final, outputs = reference.run(c, s, x, lengths, False, None)
            named = [*(("output " + n, v) for n, v in tree.named_leaves(outputs))]
            named += [("state " + n, v) for n, v in tree.named_leaves(final)]
            kept = [(n, v) for n, v in named if unboxed(v).dtype.kind == "f"]
            names[: len(kept)] = [n for n, _ in kept]
            return tuple([v for _, v in kept])

        results, pullback = silent_vjp(run, *[leaves[k] for k in moving])
        gradients = [] if cotangents is None else pullback(tuple(cotangents))
        return list(results), [np.asarray(g) for g in gradients]  # that of an unused number is a bare 0.0

    return compute


def _compiled(
    program: Program, leaves: Sequence[Any], xs: Any, state: Any, lengths: Any, cotangents: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """The compiled float results, and the gradients of the float leaves."""
    layout = program.layout
    columns, states = tree.leaves(xs), tree.leaves(state)
    parameters = leaves[len(columns) + len(states) :]
    steps, batch = columns[0].shape[:2]
    order = sequence.ordered(program, lengths, (steps, batch), False)
    packing = order if isinstance(order, Packing) else None
    problem = sequence.Problem(program, parameters, [order.there(array) for array in columns], None, packing)
    outputs = [order.room(leaf.shape, leaf.dtype) for leaf in layout.outputs]
    final = [np.empty_like(array) for array in states]
    kept = sequence.forward(problem, [order.rows(array) for array in states], outputs, final, True)
    results = [*map(order.back, outputs), *map(order.held, states, final)]
    found = [array for array in results if array.dtype.kind == "f"]
    count = sum(leaf.dtype.kind == "f" for leaf in layout.outputs)
    d_xs = [order.room(leaf.shape, leaf.dtype) for leaf in layout.inputs if leaf.dtype.kind == "f"]
    d_outputs, d_final = [order.there(g) for g in cotangents[:count]], cotangents[count:]
    d_rows, _, d_parameters = sequence.backward(problem, kept, d_outputs, list(map(order.rows, d_final)), d_xs, True)
    d_state = map(order.held, d_final, d_rows)
    return found, [*map(order.back, d_xs), *d_state, *(d for d in d_parameters if d is not None)]


# ---------------------------------------------------------------- judging it
def _differences(draw: _Draw) -> list[tuple[str, float]]:
    """The arrays that differ by more than the fixed tolerance."""
    pairs = zip(draw.names, draw.expected, draw.found, strict=True)
    return [(name, error) for name, a, b in pairs for error in [_error(a, b)] if error > draw.tolerance(a)]


def _error(expected: Any, found: Any) -> float:
    """The largest difference in units of the largest number; where the reference is no number, nothing is asked."""
    if expected.shape != found.shape:
        return float("inf")
    finite = np.isfinite(expected)
    if not finite.any():
        return 0.0
    scale = max(1e-6, float(np.abs(expected[finite]).max()))
    difference = np.abs(np.where(finite, expected - np.where(finite, found, 0), 0)).max()
    return float(difference) / scale if np.isfinite(difference) else float("inf")


def _beyond_rounding(draw: _Draw, different: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Of arrays that differ, those that are further from the float64 reference than rounding explains."""
    try:
        with np.errstate(all="ignore"):
            exact, shaken = _exact(draw), _shaken(draw)
    except Exception:  # the step knows one dtype alone, or one point: nothing better than the tolerance
        return different
    kept, error_of = [], dict(different)
    largest = [max(map(_largest, arrays), default=0.0) for arrays in (draw.leaves, draw.cotangents)]
    for k, name in enumerate(draw.names):
        found, expected = draw.found[k], draw.expected[k]
        if name in error_of:
            bound = MARGIN * max(_distance(other[k], exact[k]) for other in (draw.expected, *shaken))
            bound += draw.tolerance(expected) * _largest(exact[k])
            if k >= len(draw.cotangents):
                bound += ROUNDINGS * float(np.finfo(expected.dtype).eps) * max(1.0, largest[0]) * largest[1]
            if found.shape != expected.shape or not _distance(found, exact[k]) <= bound:
                kept.append((name, error_of[name]))
    return kept


def _exact(draw: _Draw) -> list[Any]:
    """The reference's numbers in float64."""
    leaves = [leaf.astype(np.float64) if leaf.dtype.kind == "f" else leaf for leaf in draw.leaves]
    results, gradients = draw.reference(leaves, [g.astype(np.float64) for g in draw.cotangents])
    return [*results, *gradients]


def _shaken(draw: _Draw) -> list[list[Any]]:
    """The reference's numbers where every argument is moved by about a rounding error."""
    rng, made = np.random.default_rng(7), []
    for _ in range(SHAKES):
        moved = []
        for leaf in draw.leaves:
            if leaf.dtype.kind == "f":
                step = 2 * np.finfo(leaf.dtype).eps * rng.uniform(-1, 1, leaf.shape)
                leaf = (leaf * (1 + step)).astype(leaf.dtype)
            moved.append(leaf)
        results, gradients = draw.reference(moved, draw.cotangents)
        made.append([*results, *gradients])
    return made


def _distance(a: Any, exact: Any) -> float:
    finite = np.isfinite(exact)
    difference = np.abs(np.where(finite, a, 0) - np.where(finite, exact, 0))
    return float(np.max(difference, initial=0.0))


def _largest(array: Any) -> float:
    return float(np.max(np.abs(array[np.isfinite(array)]), initial=0.0)) if array.dtype.kind == "f" else 0.0
