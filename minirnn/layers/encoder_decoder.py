"""Encoder and decoder: a sequence in, another one out (Sutskever, Vinyals & Le 2014, arXiv:1409.3215; Cho et al. 2014,
arXiv:1406.1078), with attention where the decoder looks back (Bahdanau, Cho & Bengio 2015, arXiv:1409.0473).

    memory, state = encoder(source)
    p(y | source) = product over t of p(y_t | y_0 .. y_(t-1), source),   logits_t, state = decoder(y_(t-1), state)
"""

import inspect
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import tree
from minirnn.boxes import shape_of
from minirnn.checks import is_integer
from minirnn.engines import scan
from minirnn.layers.attention import Attention, cleaned, memory_mask
from minirnn.layers.decoding import Decoded, beam_search, greedy_search
from minirnn.layers.recurrent import Cell
from minirnn.layers.sequential import Sequential
from minirnn.module import Array, Module

__all__ = ["AttentionCell", "AttentionDecoder", "EncoderDecoder"]


class Looking(NamedTuple):
    """What an AttentionCell takes before the loop: xs (T, B, I), memory (S, B, M), and its mask (B, S)."""

    xs: Array
    memory: Array
    mask: Array


class LookingStep(NamedTuple):
    """What its step takes: x (B, I), keys (B, S, K), values (B, S, M), mask (B, S)."""

    x: Array
    keys: Array
    values: Array
    mask: Array


class Seen(NamedTuple):
    """What its step puts out: output (B, H + M), the cell's output and the context; weights (B, S)."""

    output: Array
    weights: Array


class AttentionCell(Cell):
    """A cell that looks at a memory before each step (Bahdanau et al. 2015).

        context, w = attention(query, memory)       the query: the first array of the state, h
        state, o   = cell.step(state, [x, context])
        output     = [o, context]

    The cell's input_size is that of x and the memory's together. The memory is the same at each step, and so stands
    in the step's input, by `inputs`, without being copied. Where it is differentiated, its gradient takes T times its
    size for a while.

    ValueError: sizes that do not fit. TypeError: a cell that makes its own `inputs`, which cannot be known beforehand.
    """

    def __init__(self, cell: Cell, attention: Attention):
        name = type(self).__name__
        if type(cell).inputs is not Cell.inputs:
            raise TypeError(
                f"{name}: {type(cell).__name__} makes noise, masks or time of its inputs beforehand, and here"
            )
        query = shape_of(tree.leaves(cell.initial_state(1))[0])[-1]
        if query != attention.query_size:
            raise ValueError(
                f"{name}: the first array of the state has {query} features, query_size is {attention.query_size}"
            )
        if not isinstance(cell.input_size, int) or cell.input_size <= attention.memory_size:
            raise ValueError(
                f"{name}: the cell's input_size is {cell.input_size}, more than memory_size={attention.memory_size} "
                "was expected: its input is [x, context]"
            )
        self.cell, self.attention = cell, attention
        self.input_size, self.hidden_size = cell.input_size - attention.memory_size, cell.hidden_size

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> Any:
        return self.cell.initial_state(batch_size, dtype)

    def inputs(self, xs: Any, *, rng: onp.random.Generator | None = None) -> LookingStep:
        """A Looking -> what the steps take."""
        memory, steps = cleaned(xs.memory, xs.mask), shape_of(xs.xs)[0]
        each = [self.attention.keys(memory), np.swapaxes(memory, 0, 1), xs.mask]
        return LookingStep(xs.xs, *[np.broadcast_to(array[None], (steps, *shape_of(array))) for array in each])

    def step(self, state: Any, x: LookingStep) -> tuple[Any, Seen]:
        query = tree.leaves(state)[0]
        context, weights = self.attention.attend(query[:, None], x.keys, x.values, x.mask[:, None])
        state, output = self.cell.step(state, np.concatenate([x.x, context[:, 0]], axis=-1))
        return state, Seen(np.concatenate([output, context[:, 0]], axis=-1), weights[:, 0])


class AttentionDecoder(Module):
    """A decoder that looks back: (tokens (T, B), state, memory=(S, B, M), memory_lengths=(B,)) -> (logits (T, B, V),
    state).

    embedding: tokens -> (T, B, E); cell: input_size E + M; attention: query_size H, memory_size M; head: (T, B, H + M)
    -> (T, B, V). Embedding and head may be Sequentials, which get the rng.
    """

    def __init__(self, embedding: Module, cell: Cell, attention: Attention, head: Module, *, engine: str = "auto"):
        self.embedding, self.cell, self.head = Sequential(embedding), AttentionCell(cell, attention), Sequential(head)
        self.engine = engine

    def __call__(
        self,
        tokens: Array,
        state: Any = None,
        *,
        memory: Array,
        memory_lengths: Any = None,
        rng: onp.random.Generator | None = None,
    ) -> tuple[Array, Any]:
        state, seen = self._seen(tokens, state, memory, memory_lengths, rng)
        return self.head(seen.output, rng=rng), state

    def alignments(self, tokens: Array, state: Any = None, *, memory: Array, memory_lengths: Any = None) -> Array:
        """Where each step looks: the attention's weights (T, B, S)."""
        weights: Array = self._seen(tokens, state, memory, memory_lengths, None)[1].weights
        return weights

    def _seen(self, tokens: Array, state: Any, memory: Array, lengths: Any, rng: Any) -> tuple[Any, Seen]:
        state = self.cell.initial_state(shape_of(memory)[1]) if state is None else state
        looking = Looking(self.embedding(tokens, rng=rng), memory, memory_mask(memory, lengths))
        return scan(self.cell, state, self.cell.inputs(looking), engine=self.engine)


class EncoderDecoder(Module):
    """EncoderDecoder(Sequential(Embedding, LSTM), Sequential(Embedding, LSTM, Linear), start=..., end=...).

    encoder: source -> (memory (S, B, M), state), called with lengths and rng where it takes them. decoder: (tokens
    (T, B), state) -> (logits (T, B, V), state), called with memory and memory_lengths too where it takes them
    (AttentionDecoder). The encoder's final state is where the decoder starts; where they differ, bridge makes one of
    the other. start, end: the tokens that begin and end a target; they may be one, as with minirnn.data.Lines.

    Called with (source, inputs, *, lengths=None, rng=None) it gives the logits (T, B, V) of the tokens that follow
    `inputs` (T, B), the start symbol and the target: teacher forcing, in one call of the decoder's time loop.
    """

    encoder: Any
    decoder: Any
    bridge: Any

    def __init__(self, encoder: Module, decoder: Module, *, start: int, end: int, bridge: Module | None = None):
        self.encoder, self.decoder, self.bridge = encoder, decoder, bridge
        for what, symbol in (("start", start), ("end", end)):
            if not is_integer(symbol) or symbol < 0:
                raise ValueError(f"EncoderDecoder: {what}={symbol!r} came, a token was expected")
        self.start, self.end = int(start), int(end)
        self._encoder_takes = _keywords(encoder) & {"lengths", "rng"}
        self._decoder_takes = _keywords(decoder) & {"memory", "memory_lengths", "rng"}

    def __call__(
        self, source: Array, inputs: Array, *, lengths: Any = None, rng: onp.random.Generator | None = None
    ) -> Array:
        memory, state = self.encode(source, lengths=lengths, rng=rng)
        return self._decode(inputs, state, memory, lengths, rng)[0]

    def encode(
        self, source: Array, *, lengths: Any = None, rng: onp.random.Generator | None = None
    ) -> tuple[Array, Any]:
        """(memory, the decoder's first state) of a source (S, B) or (S, B, F), lengths (B,)."""
        given = {"lengths": lengths, "rng": rng}
        memory, state = self.encoder(source, **{name: given[name] for name in self._encoder_takes})
        return memory, state if self.bridge is None else self.bridge(state)

    def greedy(self, source: Array, *, lengths: Any = None, max_steps: int) -> Decoded:
        """The likeliest token at each step, up to max_steps; see greedy_search."""
        memory, state = self.encode(source, lengths=lengths)
        return greedy_search(
            lambda tokens, state: self._next(tokens, state, memory, lengths),
            state,
            batch_size=shape_of(source)[1],
            start=self.start,
            end=self.end,
            max_steps=max_steps,
        )

    def beam(
        self, source: Array, *, lengths: Any = None, max_steps: int, width: int = 5, length_penalty: float = 0.0
    ) -> Decoded:
        """The best hypothesis of a beam of `width`; see beam_search."""
        memory, state = self.encode(source, lengths=lengths)
        wide = np.repeat(memory, width, axis=1)
        many = None if lengths is None else onp.repeat(lengths, width)
        return beam_search(
            lambda tokens, state: self._next(tokens, state, wide, many),
            state,
            batch_size=shape_of(source)[1],
            start=self.start,
            end=self.end,
            max_steps=max_steps,
            width=width,
            length_penalty=length_penalty,
            batch_axes=self.decoder.batch_axes() if hasattr(self.decoder, "batch_axes") else None,
        )

    def _next(self, tokens: Array, state: Any, memory: Array, lengths: Any) -> tuple[Array, Any]:
        logits, state = self._decode(tokens[None], state, memory, lengths, None)
        return logits[-1], state

    def _decode(self, tokens: Array, state: Any, memory: Array, lengths: Any, rng: Any) -> tuple[Array, Any]:
        given = {"memory": memory, "memory_lengths": lengths, "rng": rng}
        decoded: tuple[Array, Any] = self.decoder(tokens, state, **{name: given[name] for name in self._decoder_takes})
        return decoded

    def extra_repr(self) -> str:
        return f"start={self.start}, end={self.end}"


def _keywords(module: Any) -> frozenset[str]:
    return frozenset(inspect.signature(module).parameters)
