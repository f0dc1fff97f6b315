"""How large an output is: declared by a cell or layer, or found by one step on zeros."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn import loop
from minirnn.boxes import dtype_of, shape_of

__all__ = ["Size", "as_shape", "concatenated", "first_dtype", "float_dtype", "output_size"]

Size = int | tuple[int, ...]
"""F for vectors (T, B, F), or a tuple such as (C, Y, X) for images (T, B, C, Y, X)."""


def as_shape(size: Size) -> tuple[int, ...]:
    """A size as the shape behind (T, B)."""
    return size if isinstance(size, tuple) else (size,)


def float_dtype(module: Any) -> Any:
    """The dtype of a Module's float arrays; float32 where it has none."""
    dtypes = (dtype_of(array) for array in module._arrays())
    return next((dtype for dtype in dtypes if dtype.kind == "f"), np.dtype(np.float32))


def first_dtype(module: Any) -> Any:
    """The dtype of a Module's first array; None where it has none."""
    if module._leaves:
        return dtype_of(module.__dict__[next(iter(module._leaves))])
    return next((dtype_of(array) for array in module._arrays()), None)


def output_size(layer: Any) -> Size:
    """The size of one output: F where the outputs are (T, B, F), otherwise the shape behind (T, B).

    A cell or layer that declares none (self.output_size = ... in its constructor) is run for one step, on zeros and a
    batch of one, the first time that it is asked. TypeError: an output that is not one array.
    """
    dtype = float_dtype(layer)
    xs, state = np.zeros((1, 1, *as_shape(layer.input_size)), dtype), layer.initial_state(1, dtype)
    with np.errstate(all="ignore"):
        if hasattr(layer, "step"):
            outputs = loop.run(layer.step, state, layer.inputs(xs))[1]
        else:
            outputs = layer.run(xs, state, None, None, "python")[0]
    if not hasattr(outputs, "shape"):
        raise TypeError(f"{type(layer).__name__}: its output is a {type(outputs).__name__}, one array was expected")
    shape = shape_of(outputs)[2:]
    return shape[0] if len(shape) == 1 else shape


def concatenated(name: str, sizes: Sequence[Size]) -> Size:
    """The size of outputs joined on their first axis behind (T, B): features, or the channels of images.

    ValueError: their other axes differ.
    """
    shapes = [as_shape(size) for size in sizes]
    if len({shape[1:] for shape in shapes}) > 1:
        raise ValueError(f"{name}: sizes {', '.join(map(str, sizes))} came, and only their first axis may differ")
    joined = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    return joined[0] if len(joined) == 1 else joined
