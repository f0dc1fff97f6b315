"""Embedding: a table of vectors, looked up by integers."""

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import functional, init
from minirnn.boxes import shape_of
from minirnn.checks import as_generator, as_integers, check_positive, is_integer
from minirnn.module import Array, Module, Parameter
from minirnn.transform import stop_gradient

__all__ = ["Embedding"]


class Embedding(Module):
    """y = weight[tokens]: integers (...) -> (..., embedding_dim).

    weight: (num_embeddings, embedding_dim), N(0, 1). The row `padding_idx` starts as zeros and gets no gradient.

    ValueError: a token outside 0 .. num_embeddings - 1. TypeError: tokens that are no integers.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        num_embeddings, embedding_dim = check_positive(
            "Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim
        )
        if padding_idx is not None and not is_integer(padding_idx):
            raise TypeError(f"Embedding: padding_idx={padding_idx!r} came, an integer was expected")
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"Embedding: padding_idx={padding_idx} is outside the {num_embeddings} rows")
        self.padding_idx = None if padding_idx is None else int(padding_idx) % num_embeddings
        weight = init.normal(1.0)(as_generator("Embedding", rng), (num_embeddings, embedding_dim), dtype)
        if self.padding_idx is not None:
            weight[self.padding_idx] = 0
        self.weight = Parameter(weight)

    def __call__(self, tokens: Array) -> Array:
        tokens = as_integers("Embedding: tokens", tokens)
        rows = shape_of(self.weight)[0]
        if tokens.size and int(tokens.view(onp.uint64).max()) >= rows:  # as unsigned, negative ones are huge
            worst = tokens.min() if tokens.min() < 0 else tokens.max()
            raise ValueError(f"Embedding: token {worst} came, 0 to {rows - 1} were expected")
        looked_up = functional.embedding(self.weight, tokens)
        if self.padding_idx is None:
            return looked_up
        fixed = (tokens == self.padding_idx)[..., None]
        return np.where(fixed, stop_gradient(looked_up), looked_up)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}{padding}"
