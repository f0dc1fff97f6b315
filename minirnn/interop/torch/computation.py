"""What a torch function computes: plain arrays in and out, with a derivative that is again such a computation.

So every order of derivative follows from one class: `Pulled`, the gradient of a computation, and `Pushed`, its tangent,
are computations of the arrays and of the cotangents or tangents beside them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn.boxes import dtype_of, shape_of, unboxed
from minirnn.transform import jvp, silent_vjp

__all__ = ["Computation", "Pulled", "Pushed", "is_float"]

Arrays = Sequence[Any]


class Computation:
    """Arrays to arrays. A subclass says in __call__ how, by differentiable functions; the rest follows.

    given: the arrays of the call that is coming, where they are known. fresh: whether the results of the last forward
    pass are new arrays that nothing reads again.
    """

    given: Arrays | None = None
    fresh = False

    def __call__(self, arrays: Arrays) -> list[Any]:
        """The results, for plain arrays and within a differentiated function."""
        raise NotImplementedError

    def forward(self, arrays: Arrays, wanted: Sequence[int]) -> tuple[list[Any], Any]:
        """The results, and what `pull` needs for the gradients of arrays[i], i in wanted; None if it is to begin anew.

        Arrays are plain here and in `pull`.
        """
        if not wanted:
            return self(arrays), None
        record = _Record(self, arrays, wanted)
        return record.results, record

    def pull(self, arrays: Arrays, record: Any, cotangents: Arrays, wanted: Sequence[int]) -> list[Any]:
        """The cotangents of arrays[i], i in wanted; a result's cotangent None stands for zeros. record: that of a
        `forward` that was told of all of these, None where it is gone."""
        if record is None:
            record = _Record(self, arrays, wanted)
        found: list[Any] = record.pull(cotangents, wanted)
        return found


class _Record:
    """A computation that was traced, for the gradients of arrays[i], i in wanted; its results are all of them, and may
    be boxed, where the arrays are."""

    def __init__(self, computation: Computation, arrays: Arrays, wanted: Sequence[int]):
        self.wanted, self.results = tuple(wanted), list[Any]()

        def of_floats(*moved: Any) -> list[Any]:
            self.results = computation(_with(arrays, wanted, moved))
            return [y for y in self.results if is_float(y)]

        floats, self._pullback = silent_vjp(of_floats, *[arrays[i] for i in wanted])
        self._like = [(shape_of(y), dtype_of(y)) for y in floats]
        self._floats = [k for k, y in enumerate(self.results) if is_float(y)]
        self.results = _with([unboxed(y) for y in self.results], self._floats, floats)

    def pull(self, cotangents: Arrays, wanted: Sequence[int]) -> list[Any]:
        given = [cotangents[k] for k in self._floats]
        whole = [np.zeros(*like) if g is None else g for g, like in zip(given, self._like, strict=True)]
        found = dict(zip(self.wanted, self._pullback(whole), strict=True))
        return [found[i] for i in wanted]


class Pulled(Computation):
    """The gradients of arrays[i], i in wanted: of the arrays, and behind them the cotangents of the results that have
    one, all told by `there`. record: the forward pass's, for the first call alone."""

    def __init__(self, of: Computation, wanted: Sequence[int], there: Sequence[bool], record: Any):
        self.of, self.wanted, self.there, self._record = of, list(wanted), list(there), record

    def _apart(self, arrays: Arrays) -> tuple[list[Any], list[Any]]:
        """The arrays, and the cotangents."""
        count = len(arrays) - sum(self.there)
        came = iter(arrays[count:])
        return list(arrays[:count]), [next(came) if there else None for there in self.there]

    def __call__(self, arrays: Arrays) -> list[Any]:
        own, cotangents = self._apart(arrays)
        return _Record(self.of, own, self.wanted).pull(cotangents, self.wanted)

    def forward(self, arrays: Arrays, wanted: Sequence[int]) -> tuple[list[Any], Any]:
        record, self._record = self._record, None
        own, cotangents = self._apart(arrays)
        return self.of.pull(own, record, cotangents, self.wanted), None


class Pushed(Computation):
    """The tangents of the results: of the arrays, and behind them the tangents of arrays[i], i in moving."""

    def __init__(self, of: Computation, moving: Sequence[int]):
        self.of, self.moving = of, list(moving)

    def __call__(self, arrays: Arrays) -> list[Any]:
        own, tangents = list(arrays[: -len(self.moving)]), list(arrays[-len(self.moving) :])
        floats = lambda *moved: [y for y in self.of(_with(own, self.moving, moved)) if is_float(y)]
        return list(jvp(floats, [own[i] for i in self.moving], tangents)[1])


def is_float(array: Any) -> bool:
    return bool(dtype_of(array).kind == "f")


def _with(arrays: Arrays, places: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """The arrays with others in these places."""
    given = list(arrays)
    for i, value in zip(places, values, strict=True):
        given[i] = value
    return given
