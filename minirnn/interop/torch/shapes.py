"""Results as shapes alone, for tensors whose sizes may be symbols: found by runs on zeros.

One run at the sizes that came, and where some of them are symbols, one more for each, at another size: each size of the
results follows from these as a sum of multiples of the symbols. A symbol that can be no other is a number from then on.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from minirnn.module import Array

__all__ = ["Shapes"]

Run = Callable[[Sequence[Array]], list[Array]]

DTYPES: dict[torch.dtype, Any] = {
    getattr(torch, name): np.dtype(name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64")
}


class Shapes:
    """Of tensors that go into a computation."""

    def __init__(self, tensors: Sequence[torch.Tensor]):
        self.dtypes = [DTYPES[tensor.dtype] for tensor in tensors]
        self.shapes = [tuple(tensor.shape) for tensor in tensors]
        symbols = [size for shape in self.shapes for size in shape if isinstance(size, torch.SymInt)]
        self.symbols = {str(size): size for size in symbols}

    def results(self, run: Run) -> list[torch.Tensor]:
        """Empty tensors like run(arrays)'s. ValueError: their sizes do not follow from the symbols as said above."""
        here = {name: int(size.node.hint) for name, size in self.symbols.items()}
        first = self._run(run, here)
        slopes = dict[str, list[Array]]()
        for name, size in here.items():
            try:
                slopes[name] = self._run(run, {**here, name: size + 1})
            except (ValueError, TypeError):  # it cannot be another, as the number of features
                int(self.symbols[name])
        far = {name: size + 3 * (name in slopes) for name, size in here.items()}
        again = self._run(run, far) if slopes else first
        made = []
        for k, array in enumerate(first):
            shape = list[Any](array.shape)
            for axis, size in enumerate(array.shape):
                steps = {name: slopes[name][k].shape[axis] - size for name in slopes}
                if again[k].shape[axis] != size + 3 * sum(steps.values()):
                    raise ValueError(
                        f"minirnn::call: axis {axis} of result {k} is {again[k].shape[axis]} where the arguments have "
                        f"sizes {far}, and {size} where they have {here}; compile with dynamic=False"
                    )
                for name, step in steps.items():
                    shape[axis] = shape[axis] + step * (self.symbols[name] - here[name]) if step else shape[axis]
            made.append(_empty(array, shape))
        return made

    def _run(self, run: Run, sizes: dict[str, int]) -> list[Array]:
        shapes = [[sizes[str(size)] if str(size) in sizes else int(size) for size in shape] for shape in self.shapes]
        arrays = [np.zeros(shape, dtype) for shape, dtype in zip(shapes, self.dtypes, strict=True)]
        with np.errstate(all="ignore"):
            return [np.asarray(array) for array in run(arrays)]


def _empty(like: Array, shape: Sequence[Any]) -> torch.Tensor:
    return torch.empty(shape, dtype=next(ours for ours, numpys in DTYPES.items() if like.dtype == numpys), device="cpu")
