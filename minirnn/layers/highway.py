"""Highway: a gate between what a recurrent layer makes of its input and the input itself."""

from typing import Any

import numpy as onp

from minirnn.functional import sigmoid
from minirnn.layers.composite import Wrapper
from minirnn.layers.linear import Linear
from minirnn.layers.recurrent import Cell, RecurrentLayer, State
from minirnn.layers.sizes import float_dtype
from minirnn.module import Array
from minirnn.padding import only_inside
from minirnn.resets import Resets

__all__ = ["Highway"]


class Highway(Wrapper):
    """A recurrent layer with a gated way around it.

        t = sigmoid(W_t x + b_t)                       transform gate
        y = t * layer(x) + (1 - t) * x

    x: (T, B, I) -> (T, B, I); transform.weight W_t (I, I), U(-k, k) with k = 1 / sqrt(I), and transform.bias b_t (I,),
    which starts at `transform_bias`: below 0, so that at first the input is carried, and deep stacks train from the
    start. State: the layer's. (Srivastava, Greff & Schmidhuber 2015, arXiv:1505.00387; between the layers of deep
    LSTMs, with a gate that also sees h, He et al. 2017, doi:10.18653/v1/P17-1044.)

    rng: draws W_t. ValueError: a layer that gives another size than it takes, or whose input is no vector.
    """

    def __init__(
        self,
        layer: Cell | RecurrentLayer,
        *,
        transform_bias: float = -1.0,
        rng: onp.random.Generator | None = None,
        batch_first: bool = False,
        engine: str = "auto",
    ):
        super().__init__(layer, batch_first=batch_first, engine=engine)
        size = self.layer.input_size
        if isinstance(size, tuple) or self.layer.output_size != size:
            raise ValueError(
                f"Highway: {type(self.layer).__name__} takes {size} features and gives {self.layer.output_size}; "
                "as many as it takes were expected, as vectors"
            )
        self.transform = Linear(size, size, rng=rng, dtype=float_dtype(self.layer))
        self.transform.bias = onp.full(size, transform_bias, float_dtype(self.layer))

    def run(
        self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str, resets: Resets | None = None
    ) -> tuple[Any, State]:
        xs = only_inside(xs, lengths)
        outputs, final = self.layer.run(xs, state, lengths, rng, self._named_first(engine), resets)
        t = sigmoid(self.transform(xs))
        return t * outputs + (1.0 - t) * xs, final
