"""`declare`: the sizes and parameters of a cell that is written as a class, where `@cell` does not reach.

A class is needed for what `inputs` makes, for buffers, children, and shapes that an option changes; for anything else
the decorator is shorter.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import as_generator, check_positive
from minirnn.layers.recurrent import Cell
from minirnn.layers.sizes import as_shape
from minirnn.module import Array, Parameter

__all__ = ["declare", "fan_in_normal", "fan_in_uniform"]


def fan_in_normal(variance: float) -> init.Initialiser:
    """N(0, variance / fan-in) for a weight (O, I): LeCun's start where variance is 1."""
    return lambda rng, shape, dtype: init.normal((variance / shape[1]) ** 0.5)(rng, shape, dtype)


def fan_in_uniform(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    """U(-k, k), k = sqrt(3 / fan-in), for a weight (O, I): variance 1 / fan-in."""
    return init.uniform(-((3 / shape[1]) ** 0.5), (3 / shape[1]) ** 0.5)(rng, shape, dtype)


def declare(
    cell: Cell,
    input_size: int | tuple[int, ...],
    hidden_size: int,
    rng: np.random.Generator | None,
    dtype: DTypeLike,
    shapes: Mapping[str, tuple[int, ...]],
    init_: Mapping[str, init.Initialiser] | None = None,
) -> None:
    """Set the sizes, and draw the parameters in order: by init_, or else from U(-k, k), k = 1 / sqrt(H).

    ValueError: a size that is no positive integer, or an initialiser of no parameter.
    """
    name = type(cell).__name__
    sizes = [check_positive(name, input_size=size)[0] for size in as_shape(input_size)]
    (hidden_size,) = check_positive(name, hidden_size=hidden_size)
    drawn: dict[str, Any] = dict(init_ or {})
    strangers = set(drawn) - set(shapes)
    if strangers:
        raise ValueError(f"{name}: init_ names {', '.join(sorted(strangers))}; there are {', '.join(shapes)}")
    cell.input_size, cell.hidden_size = tuple(sizes) if isinstance(input_size, tuple) else sizes[0], hidden_size
    rng = as_generator(name, rng)
    for what, shape in shapes.items():
        draw = drawn.get(what) or init.torch_default(hidden_size)
        setattr(cell, what, Parameter(draw(rng, shape, dtype)))
