"""Is a step analytic as it is written? It is run on arrays that note every NumPy function that touches them.

The complex step (Squire & Trapp 1998, doi:10.1137/S003614459631241X) takes the derivative of a real function from the
imaginary part of f(x + ih), with no difference to cancel and so with h as small as 1e-30. It holds for analytic
functions only. A comparison, an absolute value or a maximum is none, and most of them would give a number all the same.
What is not known to be analytic, here, is not.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from minirnn import tree
from minirnn.derivations.problem import Problem
from minirnn.module import Array

__all__ = ["what_is_not_analytic"]

ARITHMETIC = "add subtract multiply divide negative positive power square sqrt reciprocal matmul vecdot"
TRANSCENDENTAL = "exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arctanh"
SUMS = "sum mean prod cumsum cumprod dot inner outer tensordot einsum trace"
SHAPES = (
    "shape ndim size result_type reshape ravel transpose swapaxes moveaxis expand_dims squeeze broadcast_to copy "
    "concatenate stack hstack vstack split array_split roll flip repeat tile take take_along_axis tril triu diagonal "
    "where pad zeros_like ones_like empty_like full_like"
)
ATTRIBUTES = "shape ndim size dtype T reshape ravel flatten transpose swapaxes squeeze copy sum mean prod dot diagonal"
ANALYTIC = frozenset([*ARITHMETIC.split(), *TRANSCENDENTAL.split(), *SUMS.split(), *SHAPES.split()])
ANALYTIC_ATTRIBUTES = frozenset(ATTRIBUTES.split())


class Watched(NDArrayOperatorsMixin):
    """An array that notes what is done to it, and no ndarray: what is not noted cannot reach the values."""

    __slots__ = ("_noted", "_value")

    def __init__(self, value: Any, noted: set[str]):
        self._value, self._noted = value, noted

    def _note(self, name: str, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        self._noted.add(name)
        return _watch(call(*_plain(args), **_plain(kwargs)), self._noted)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._note(ufunc.__name__, getattr(ufunc, method), args, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self._note(function.__name__, function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        self._noted.add("conversion to a plain array")
        return np.array(self._value, dtype)

    def view(self, kind: Any) -> Any:
        """autograd's concatenate asks for the plain view; any other reads the bytes as something else."""
        if kind is not np.ndarray:
            self._noted.add("the array's .view")
        return _watch(self._value.view(kind), self._noted)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the other ways to a plain array, beside __array__
            raise AttributeError(name)
        attribute = getattr(self._value, name)
        if name not in ANALYTIC_ATTRIBUTES:
            self._noted.add(f"the array's .{name}")
        if callable(attribute):
            return lambda *args, **kwargs: _watch(attribute(*_plain(args), **_plain(kwargs)), self._noted)
        return _watch(attribute, self._noted)

    def __getitem__(self, index: Any) -> Any:
        return _watch(self._value[_plain(index)], self._noted)

    def __len__(self) -> int:
        return len(self._value)

    def __bool__(self) -> bool:
        self._noted.add("a branch on an array's value")
        return bool(self._value)


def _plain(value: Any) -> Any:
    if isinstance(value, Watched):
        return value._value
    return tree.map(_plain, value) if isinstance(value, (tuple, list, dict)) else value


def _watch(value: Any, noted: set[str]) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return Watched(value, noted)
    if type(value) in (tuple, list):
        return type(value)(_watch(part, noted) for part in value)
    return value


def what_is_not_analytic(problem: Problem) -> list[str]:
    """What the cell's `inputs` and steps do, over the whole sequence, that is not known to be analytic; sorted."""
    noted: set[str] = set()
    cell, state, xs = problem.take_apart({name: Watched(array, noted) for name, array in problem.arrays.items()})
    for t in range(len(problem.arrays["input"])):
        state, _ = cell.step(state, tree.map(lambda leaf, t=t: leaf[t], xs))
    return sorted(noted - ANALYTIC)
