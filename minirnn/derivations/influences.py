"""Real-time recurrent learning of any cell, by forward mode: minirnn.bptt.rtrl without the Jacobians by hand.

Beside the state runs its tangent for every coordinate of the parameters and of the initial state. At each step every
tangent goes through the step's own (jvp), together with its coordinate's direct influence on the step, and what comes
out in the output is weighed by the output's cotangent. Nothing goes back in time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn import tree
from minirnn.derivations.problem import Arrays, Problem
from minirnn.layers import Cell
from minirnn.module import Array
from minirnn.transform import jvp

__all__ = ["gradient_by_influences"]


def gradient_by_influences(problem: Problem) -> Arrays:
    """The gradient with respect to every parameter and the initial state; the input's is left out."""
    cell, state, xs = problem.take_apart(problem.arrays)
    parameters = {name: problem.arrays[name] for name in problem.parameter_names}
    names = [*problem.parameter_names, *problem.state_names]
    coordinates = [(name, i) for name in names for i in range(problem.arrays[name].size)]
    units = [_unit(problem.arrays, name, i) for name, i in coordinates]
    directs = [
        {name: unit[name]} if name in parameters else {} for (name, _), unit in zip(coordinates, units, strict=True)
    ]
    tangents = [[unit[name] for name in problem.state_names] for unit in units]
    x_moves = [_moves_of_inputs(problem, direct) for direct in directs]
    d_outputs, d_final = problem.cotangents
    slopes = np.zeros(len(coordinates))
    for t in range(len(problem.arrays["input"])):
        inside = t < problem.lengths
        x = tree.map(lambda leaf, t=t, inside=inside: _only_where(inside, leaf[t]), xs)
        floats = _floats(x)

        def step(moved: Arrays, leaves: Sequence[Any], floats: Sequence[Any], x: Any = x) -> Any:
            x = _with_floats(x, floats) if floats else x
            new, output = cell.bind({**parameters, **moved}).step(problem.rebuild_state(leaves), x)
            return tree.leaves(new), output

        before = tree.leaves(state)
        weights = tree.map(lambda leaf, t=t, inside=inside: _only_where(inside, leaf[t]), d_outputs)
        for j, direct in enumerate(directs):
            moves = [_only_where(inside, move[t]) for move in x_moves[j]]
            own = {name: parameters[name] for name in direct}
            (after, _), (moved, d_output) = jvp(
                step, (own, before, floats if moves else []), (direct, tangents[j], moves)
            )
            tangents[j] = _held(inside, moved, tangents[j])
            slopes[j] += _inner(d_output, weights)
        state = problem.rebuild_state(_held(inside, after, before))
    slopes += [_inner(tangent, tree.leaves(d_final)) for tangent in tangents]
    gradient = {name: np.zeros_like(problem.arrays[name]) for name in names}
    for (name, i), slope in zip(coordinates, slopes, strict=True):
        gradient[name].flat[i] = slope
    return gradient


def _unit(arrays: Arrays, name: str, i: int) -> Arrays:
    zeros = {key: np.zeros_like(array) for key, array in arrays.items()}
    zeros[name].flat[i] = 1.0
    return zeros


def _moves_of_inputs(problem: Problem, direct: Arrays) -> list[Array]:
    """How the float arrays that `inputs` makes move with a parameter; empty where they do not."""
    if not direct or type(problem.cell).inputs is Cell.inputs:
        return []
    make = lambda moved: _floats(problem.take_apart({**problem.arrays, **moved})[2])
    moves: list[Array] = jvp(make, ({name: problem.arrays[name] for name in direct},), (direct,))[1]
    return moves


def _floats(nesting: Any) -> list[Any]:
    return [leaf for leaf in tree.leaves(nesting) if np.result_type(leaf).kind == "f"]


def _with_floats(nesting: Any, floats: Sequence[Any]) -> Any:
    following = iter(floats)
    return tree.map(lambda leaf: next(following) if np.result_type(leaf).kind == "f" else leaf, nesting)


def _beside(mask: Array, array: Array) -> Array:
    return mask.reshape(-1, *[1] * (array.ndim - 1))


def _only_where(inside: Array, array: Array) -> Array:
    return np.where(_beside(inside, array), array, np.zeros((), array.dtype))


def _held(inside: Array, new: Sequence[Array], old: Sequence[Array]) -> list[Array]:
    return [np.where(_beside(inside, a), a, b) for a, b in zip(new, old, strict=True)]


def _inner(nesting: Any, other: Any) -> float:
    pairs = zip(tree.leaves(nesting), tree.leaves(other), strict=True)
    return float(sum(np.sum(a * b) for a, b in pairs))
