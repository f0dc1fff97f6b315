"""Embedding dropout: whole words are dropped, at all the places where they stand."""

import numpy as np

from minirnn.checks import as_integers
from minirnn.dropping import dropout_mask
from minirnn.layers.dropout import check_probability, noise
from minirnn.layers.embedding import Embedding
from minirnn.module import Array, Module

__all__ = ["EmbeddingDropout"]


class EmbeddingDropout(Module):
    """An Embedding whose rows are dropped with probability p in a call with an rng, the others divided by 1 - p.

        y = (m * weight)[tokens],    m: (num_embeddings, 1), one draw a call

    tokens: (...) integers -> (..., embedding_dim). A word that is dropped is zero wherever it stands in this call; the
    mask is looked up and not the table multiplied, which is the same.  (Gal & Ghahramani 2016, arXiv:1512.05287;
    Merity, Keskar & Socher 2018, arXiv:1708.02182.)

    TypeError: not an Embedding. ValueError: p is no probability. And what Embedding raises.
    """

    def __init__(self, embedding: Embedding, p: float = 0.1):
        if not isinstance(embedding, Embedding):
            raise TypeError(f"EmbeddingDropout: {type(embedding).__name__} came, an Embedding was expected")
        self.embedding, self.p = embedding, check_probability("EmbeddingDropout", p)

    def __call__(self, tokens: Array, *, rng: np.random.Generator | None = None) -> Array:
        words, tokens = len(self.embedding.weight), as_integers("Embedding: tokens", tokens)

        def drop(vectors: Array, p: float, rng: np.random.Generator) -> Array:
            return vectors * dropout_mask((words, 1), p, np.result_type(vectors), rng)[tokens]

        return noise(self.embedding(tokens), self.p, rng, drop)

    def extra_repr(self) -> str:
        return f"{self.p}"
