"""Attention: a weighted mean of a memory, with weights from how well each entry goes with a query.

    score[s] = how well query and memory[s] go together
    w        = softmax(score), over the entries that there are
    context  = sum over s of w[s] memory[s]

Memory is time-major, (S, B, M): an encoder's outputs. A query is one step's, (B, Q), or several steps', (T, B, Q); the
context is (B, M) or (T, B, M), and the weights (B, S) or (T, B, S).
"""

from typing import Any

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import functional, init
from minirnn.boxes import dtype_of, shape_of, unboxed
from minirnn.checks import as_generator, check_float, check_lengths, check_positive
from minirnn.module import Array, Module, Parameter
from minirnn.primitive import primitive

__all__ = ["AdditiveAttention", "Attention", "DotAttention", "masked_softmax", "memory_mask"]


def _masked_softmax(scores: Array, mask: Array) -> Array:
    top = onp.max(onp.where(mask, scores, -onp.inf), axis=-1, keepdims=True, initial=-onp.inf)
    top = onp.where(top > -onp.inf, top, onp.zeros_like(top))
    weights = onp.where(mask, onp.exp(onp.where(mask, scores - top, -onp.inf)), onp.zeros((), scores.dtype))
    total = onp.sum(weights, axis=-1, keepdims=True)
    return (weights / onp.where(total > 0, total, onp.ones_like(total))).astype(scores.dtype)


def _derivative(d: Array, y: Array, scores: Array, mask: Array) -> Array:
    d = np.where(mask, d, onp.zeros((), dtype_of(d)))
    return y * (d - np.sum(y * d, axis=-1, keepdims=True))  # as softmax's: masked entries have y = 0


masked_softmax = primitive(_masked_softmax, [_derivative])
masked_softmax.__doc__ = """exp(x) / sum exp(x) along the last axis, over the entries where mask is True; 0 elsewhere.

scores: (..., S), mask: booleans that broadcast to it. Finite for any finite scores; what stands where the mask is False
has no influence (also nan); a row whose mask is False throughout has zeros, and gradient 0."""


def memory_mask(memory: Array, lengths: Any = None, mask: Any = None) -> Array:
    """Which entries of a memory (S, B, M) there are: booleans (B, S), or (T, B, S) where `mask` says it for each query.

    lengths: (B,) integers, the entries of each sequence. mask: booleans (B, S) or (T, B, S). Both: where both agree.
    ValueError: shapes that do not fit. TypeError: a mask that is not boolean.
    """
    entries, batch = shape_of(memory)[:2]
    inside = onp.ones((batch, entries), bool)
    if lengths is not None:
        inside = onp.arange(entries) < check_lengths(lengths, entries, batch)[:, None]
    if mask is None:
        return inside
    mask = onp.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f"attention: mask is {mask.dtype}, booleans were expected (True: to be looked at)")
    if mask.shape[-2:] != (batch, entries) or mask.ndim not in (2, 3):
        raise ValueError(f"attention: mask has shape {mask.shape}, (B={batch}, S={entries}) or (T, B, S) were expected")
    return inside & mask


class Attention(Module):
    """What the kinds of attention share: called with (query, memory, *, lengths=None, mask=None), each returns
    (context, weights). See minirnn.layers.attention for the shapes, and memory_mask for lengths and mask.

    A sequence with no entry to look at has the context 0. What stands where nothing is looked at has no influence.

    ValueError, TypeError: shapes or dtypes that do not fit.
    """

    query_size: int
    memory_size: int

    def keys(self, memory: Array) -> Array:
        """What of the score depends on the memory alone, computed once: (S, B, M) -> (B, S, K)."""
        raise NotImplementedError

    def scores(self, query: Array, keys: Array) -> Array:
        """query (B, N, Q) and keys (B, S, K) -> (B, N, S)."""
        raise NotImplementedError

    def __call__(self, query: Array, memory: Array, *, lengths: Any = None, mask: Any = None) -> tuple[Array, Array]:
        name = type(self).__name__
        dtype = next((dtype_of(array) for array in self._arrays()), dtype_of(memory))
        query, memory = check_float(f"{name}: query", query, dtype), check_float(f"{name}: memory", memory, dtype)
        for array, last, what in ((query, self.query_size, "query"), (memory, self.memory_size, "memory")):
            if np.ndim(array) not in (2, 3)[what == "memory" :] or shape_of(array)[-1] != last:
                raise ValueError(
                    f"{name}: {what} has shape {shape_of(array)}; (..., B, {last}), time first, was expected"
                )
        if shape_of(query)[-2] != shape_of(memory)[1]:
            raise ValueError(f"{name}: query has a batch of {shape_of(query)[-2]}, memory of {shape_of(memory)[1]}")
        looked_at = memory_mask(memory, lengths, mask)
        memory = cleaned(memory, looked_at)
        if looked_at.ndim == 3 and looked_at.shape[:-1] != shape_of(query)[:-1]:
            raise ValueError(f"{name}: mask has shape {looked_at.shape}, query {shape_of(query)}")
        keys, values = self.keys(memory), np.swapaxes(memory, 0, 1)
        if np.ndim(query) == 2:
            context, weights = self.attend(query[:, None], keys, values, looked_at[:, None])
            return context[:, 0], weights[:, 0]
        looked_at = np.swapaxes(looked_at, 0, 1) if looked_at.ndim == 3 else looked_at[:, None]
        context, weights = self.attend(np.swapaxes(query, 0, 1), keys, values, looked_at)
        return np.swapaxes(context, 0, 1), np.swapaxes(weights, 0, 1)

    def attend(self, query: Array, keys: Array, values: Array, mask: Array) -> tuple[Array, Array]:
        """query (B, N, Q), keys (B, S, K), values (B, S, M), mask (B, N or 1, S) -> (context (B, N, M), weights)."""
        weights = masked_softmax(self.scores(query, keys), mask)
        return np.matmul(weights, values), weights

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.memory_size}"


def cleaned(memory: Array, looked_at: Array) -> Array:
    """The memory with an entry that is looked at where no query looks: 0 * nan would be nan, and a score need not be
    defined at zeros. Zeros where nothing is looked at."""
    ever: Array = looked_at if looked_at.ndim == 2 else onp.any(looked_at, axis=0)
    if ever.all():
        return memory
    somewhere = ever.any(axis=1)
    if not somewhere.any():
        return onp.zeros(shape_of(memory), dtype_of(memory))
    whose = onp.where(somewhere, onp.arange(len(ever)), onp.argmax(somewhere))
    stand_in = unboxed(memory)[onp.argmax(ever, axis=1)[whose], whose]
    return np.where(ever.T[:, :, None], memory, stand_in)


class AdditiveAttention(Attention):
    """score = v . tanh(W q + U m)  (Bahdanau, Cho & Bengio 2015, arXiv:1409.0473).

    weight_query: W (A, Q), weight_memory: U (A, M), v: (A,), all U(-k, k), k = 1 / sqrt(their inputs).
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        attention_size: int,
        *,
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        query_size, memory_size, attention_size = check_positive(
            "AdditiveAttention", query_size=query_size, memory_size=memory_size, attention_size=attention_size
        )
        rng = as_generator("AdditiveAttention", rng)
        self.query_size, self.memory_size = query_size, memory_size
        self.weight_query = Parameter(init.torch_default(query_size)(rng, (attention_size, query_size), dtype))
        self.weight_memory = Parameter(init.torch_default(memory_size)(rng, (attention_size, memory_size), dtype))
        self.v = Parameter(init.torch_default(attention_size)(rng, (attention_size,), dtype))

    def keys(self, memory: Array) -> Array:
        return np.swapaxes(functional.linear(memory, self.weight_memory), 0, 1)

    def scores(self, query: Array, keys: Array) -> Array:
        together = np.tanh(functional.linear(query, self.weight_query)[:, :, None] + keys[:, None])  # (B, N, S, A)
        return functional.linear(together, self.v[None])[..., 0]

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {shape_of(self.v)[0]}"


class DotAttention(Attention):
    """score = q . m, or with general=True score = q . W m; divided by sqrt(Q) with scaled=True.

    "dot" and "general" of Luong, Pham & Manning 2015 (arXiv:1508.04025), scaled as by Vaswani et al. 2017
    (arXiv:1706.03762). weight: W (Q, M), U(-k, k), k = 1 / sqrt(M), in the general one alone, whose memory_size may
    differ from query_size.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int | None = None,
        *,
        general: bool = False,
        scaled: bool = False,
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        memory_size = query_size if memory_size is None else memory_size
        query_size, memory_size = check_positive("DotAttention", query_size=query_size, memory_size=memory_size)
        rng = as_generator("DotAttention", rng)
        if memory_size != query_size and not general:
            raise ValueError(
                f"DotAttention: sizes {query_size} and {memory_size} came, one was expected, or general=True"
            )
        self.query_size, self.memory_size = query_size, memory_size
        self.scale = query_size**-0.5 if scaled else 1.0
        self.weight = None
        if general:
            draw = init.torch_default(memory_size)
            self.weight = Parameter(draw(rng, (query_size, memory_size), dtype))

    def keys(self, memory: Array) -> Array:
        return np.swapaxes(memory if self.weight is None else functional.linear(memory, self.weight), 0, 1)

    def scores(self, query: Array, keys: Array) -> Array:
        return np.matmul(query * self.scale, np.swapaxes(keys, 1, 2))

    def extra_repr(self) -> str:
        general = "" if self.weight is None else ", general=True"
        return f"{super().extra_repr()}{general}" + (", scaled=True" if self.scale != 1.0 else "")
