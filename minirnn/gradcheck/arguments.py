"""The arguments of one call: which of their leaves are varied, and how values and gradients come and go."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirnn.gradcheck.nesting import Misfit, Node, described, is_float_array, is_module, named, take_apart

__all__ = ["Arguments", "Leaves", "argument_names", "held_by"]

Array = NDArray[Any]


class Leaves(list[Any]):
    """Gradients of the varied leaves in order, where the backward is not the user's."""


def argument_names(f: Callable[..., Any], count: int) -> list[str]:
    """The names of f's first `count` positional parameters; `args[0]` under *args, `argument 0` without a signature."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return [f"argument {i}" for i in range(count)]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    rest = next((p.name for p in parameters if p.kind == p.VAR_POSITIONAL), "argument")
    return names + [f"{rest}[{i}]" for i in range(count - len(names))]


def held_by(f: Callable[..., Any]) -> list[str]:
    """What f brings along beside its arguments that has numbers: a Module or a float array, by its name in f."""
    held: list[tuple[str, Any]] = [("f", f), ("f.__self__", getattr(f, "__self__", None))]
    if isinstance(f, functools.partial):
        held += [(f"args[{i}] of the partial", value) for i, value in enumerate(f.args)] + list(f.keywords.items())
    code, cells = getattr(f, "__code__", None), getattr(f, "__closure__", None) or ()
    for name, cell in zip(getattr(code, "co_freevars", ()), cells, strict=True):
        try:
            held.append((name, cell.cell_contents))
        except ValueError:  # not bound yet
            continue
    return [f"{name} ({described(v)})" for name, v in held if is_module(v) or (is_float_array(v) and np.ndim(v) > 0)]


def _copy(value: Any, double: bool) -> Any:
    """A copy of an array; a float array in float64 if `double`. Anything else passes through as it is."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64, copy=True) if double and value.dtype.kind == "f" else value.copy(order="K")
    if isinstance(value, np.floating):
        return np.float64(value) if double else value
    return value


def _is_a_gradient(value: Any) -> bool:
    """Whether it claims something: float numbers that are not all zero."""
    array = np.asarray(value) if isinstance(value, (np.ndarray, np.generic, float, complex, list, tuple)) else None
    return array is not None and array.dtype.kind in "fc" and bool(array.any())


class Arguments:
    """args, and the varied ones among their leaves, in order: `names`, `values`.

    argnums: positions of the arguments that may be varied; None: all. Varied is every float array in them; Python
    floats, where there is no array, or where `also` names them.
    """

    def __init__(
        self,
        args: Sequence[Any],
        names: Sequence[str],
        argnums: int | Sequence[int] | None = None,
        also: Sequence[str] = (),
    ):
        self.nodes = [take_apart(arg, name) for arg, name in zip(args, names, strict=True)]
        self.leaves = [leaf for node in self.nodes for leaf in node.leaves]
        wanted = range(len(args)) if argnums is None else self._wanted(argnums, names)
        candidates = {leaf for i in wanted for leaf in self.nodes[i].leaves}
        for leaf in candidates:
            if isinstance(leaf.value, np.ma.MaskedArray):
                raise TypeError(f"gradcheck: {leaf.name} is a masked array; fill it, as in {leaf.name}.filled(0)")
        arrays = {leaf for leaf in candidates if is_float_array(leaf.value)}
        floats = {leaf for leaf in candidates if type(leaf.value) is float}
        self.floats = floats if arrays else set()  # not varied, unless the backward has a gradient for them
        varied = (arrays | {leaf for leaf in floats if leaf.name in also}) or floats
        if not varied:
            kinds = ", ".join(f"{leaf.name}: {described(leaf.value)}" for leaf in self.leaves)
            raise ValueError(f"gradcheck: no argument is a float array ({kinds or 'none came'})")
        self.where = [k for k, leaf in enumerate(self.leaves) if leaf in varied]
        self.names = [self.leaves[k].name for k in self.where]
        self.values = [np.array(self.leaves[k].value) for k in self.where]
        self.chosen = [i for i in wanted if any(leaf in varied for leaf in self.nodes[i].leaves)]
        self.excluded = [i for i in range(len(args)) if i not in wanted]
        self.constants = [
            f"{leaf.name} ({described(leaf.value)})"
            for leaf in self.leaves
            if leaf not in varied and leaf.value is not None
        ] + [name for node in self.nodes for name in _untrained(node)]

    def _wanted(self, argnums: int | Sequence[int], names: Sequence[str]) -> list[int]:
        if isinstance(argnums, (int, np.integer)):
            argnums = (int(argnums),)
        if len(argnums) == 0:
            raise ValueError("gradcheck: argnums is empty; leave it out to check every float array")
        for i in argnums:
            if not isinstance(i, (int, np.integer)) or not 0 <= i < len(self.nodes):
                raise ValueError(f"gradcheck: argnums holds {i!r}, f got {len(self.nodes)} arguments")
            if not any(is_float_array(leaf.value) or type(leaf.value) is float for leaf in self.nodes[i].leaves):
                what = described(self.nodes[i].value)
                raise TypeError(f"gradcheck: argument {names[i]} is {what}, a float array was expected")
        if len(set(argnums)) < len(argnums):
            raise ValueError(f"gradcheck: argnums {tuple(argnums)} names an argument twice")
        return [int(i) for i in argnums]

    def made(self, values: Sequence[Any], double: bool, fresh: Sequence[int] = ()) -> list[Any]:
        """The arguments with other values of the varied leaves; all arrays are copies, in float64 if `double`.

        fresh: the values that nobody else holds, and that need no copy.
        """
        varied = set(self.where)
        leaves = [None if k in varied else _copy(leaf.value, double) for k, leaf in enumerate(self.leaves)]
        return self.put(leaves, [v if j in fresh else _copy(v, double) for j, v in enumerate(values)])

    def put(self, leaves: list[Any], values: Sequence[Any]) -> list[Any]:
        """The arguments that hold `leaves`, and `values` in the place of the varied ones."""
        for k, value in zip(self.where, values, strict=True):
            is_plain = type(self.leaves[k].value) is float and isinstance(value, np.ndarray)
            leaves[k] = float(value) if is_plain else value
        left = iter(leaves)
        return [node.rebuilt(left) for node in self.nodes]

    # ------------------------------------------------------------------ gradients
    def gradients(self, returned: Any) -> list[Any]:
        """What a backward returned as one gradient a varied leaf (None where there is none).

        One for each argument with something to vary, or one for each argument at all (None where there is nothing), or
        the gradient of the only one alone. Misfit: none of these; or a gradient for what is no float.
        """
        if isinstance(returned, Leaves):
            return returned
        return [self.matched(returned)[k] for k in self.where]

    def matched(self, returned: Any) -> dict[int, Any]:
        """Gradients by the position of their leaf, those of arguments that argnums leaves out apart."""
        problems: list[Misfit] = []
        for positions, parts in self._readings(returned):
            try:
                return self._by_leaf(positions, parts)
            except Misfit as problem:
                problems.append(problem)
        if problems:
            raise problems[0]
        count = len(returned) if isinstance(returned, (tuple, list)) else 1
        names = [self.nodes[i].name for i in self.chosen]
        nested = [self.nodes[i].name for i in self.chosen if self.nodes[i].keys is not None]
        raise Misfit(
            "",
            f"the backward returned {count} gradients, {len(names)} were expected: one for each of {', '.join(names)}"
            + "".join(f"; that of {name} is nested like {name}" for name in nested),
        )

    def _readings(self, returned: Any) -> list[tuple[list[int], list[Any]]]:
        """The ways to read what came, the likeliest first: positions of arguments, and a part for each."""
        found = []
        several = isinstance(returned, (tuple, list))
        for positions in (self.chosen, list(range(len(self.nodes)))):
            if several and len(returned) == len(positions):
                found.append((positions, list(returned)))
        if len(self.chosen) == 1 and (not several or self.nodes[self.chosen[0]].keys is not None):
            found.append((self.chosen, [returned]))
        return found

    def _by_leaf(self, positions: list[int], parts: list[Any]) -> dict[int, Any]:
        found: dict[int, Any] = {}
        first = np.concatenate([[0], np.cumsum([len(node.leaves) for node in self.nodes])])
        for i, part in zip(positions, parts, strict=True):
            if i in self.excluded:
                continue
            for k, gradient in enumerate(self.nodes[i].matched(part), int(first[i])):
                name = self.leaves[k].name
                if k in self.where or self.leaves[k] in self.floats:
                    found[k] = gradient
                elif _is_a_gradient(gradient) and gradient is not self.leaves[k].value:
                    raise Misfit(name, f"a gradient of {name} came, which is no float array; return None for it")
        return found

    def answered(self, returned: Any) -> list[str]:
        """The Python floats that the backward has a gradient for."""
        try:
            found = self.matched(returned)
        except Misfit:
            return []
        return [self.leaves[k].name for k, g in found.items() if self.leaves[k] in self.floats and g is not None]


def _untrained(node: Node) -> list[str]:
    """What the Modules in a nesting hold beside their parameters: buffers, and what is frozen."""
    found = [name for child in node.children for name in _untrained(child)]
    state = getattr(node.value, "state_dict", None)
    if is_module(node.value) and node.keys is not None and callable(state):
        found += [f"{named(node.name, path)} (no parameter)" for path in state() if path not in node.keys]
    return found
