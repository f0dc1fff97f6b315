"""Greedy and beam search: sequences out of a model that gives the next token's logits.

A model is here a function step(tokens (N,), state) -> (logits (N, V), state): a decoder, a language model, anything
that goes on token by token. A hypothesis is complete when it takes the end symbol, or has max_steps tokens.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirnn import tree
from minirnn.checks import check_positive, is_integer
from minirnn.functional import log_softmax, pick
from minirnn.module import Array

__all__ = ["Decoded", "beam_search", "greedy_search"]

Step = Callable[[Array, Any], tuple[Array, Any]]


class Decoded(NamedTuple):
    """tokens: (T, B) integers, T the longest's, the end symbol past each one's end. lengths: (B,), without the end
    symbol. log_probs: (B,) float64, log p of the tokens, and of the end symbol where it was taken; -inf where the model
    came to an end at which no token has a probability (all its logits -inf), and nothing else was found."""

    tokens: Array
    lengths: Array
    log_probs: Array


def greedy_search(step: Step, state: Any, *, batch_size: int, start: int, end: int, max_steps: int) -> Decoded:
    """The likeliest token at each step, B sequences at once. state: what `step` takes first, with a batch of B.

    ValueError: a max_steps that is not positive, an end that is no token, or logits that are nan or +inf.
    """
    batch_size, max_steps = check_positive("greedy_search", batch_size=batch_size, max_steps=max_steps)
    start, end = _symbols("greedy_search", start=start, end=end)
    tokens, running = np.full(batch_size, start), np.ones(batch_size, bool)
    lengths, log_probs = np.zeros(batch_size, np.int64), np.zeros(batch_size)
    found: list[Array] = []
    while running.any() and len(found) < max_steps:
        log_p, state = _log_p(step, tokens, state, end, running)
        likeliest = np.argmax(log_p, axis=1)
        log_probs += np.where(running, pick(log_p, likeliest), 0.0)
        running &= log_probs > -np.inf
        tokens = np.where(running, likeliest, end)
        running &= tokens != end
        lengths += running
        found.append(tokens)
    return Decoded(np.array(found)[: lengths.max()], lengths, log_probs)


def beam_search(
    step: Step,
    state: Any,
    *,
    batch_size: int,
    start: int,
    end: int,
    max_steps: int,
    width: int,
    length_penalty: float = 0.0,
    batch_axes: Any = None,
) -> Decoded:
    """The best complete hypothesis of those that a beam meets, B beams at once.

    At each step a beam keeps the `width` likeliest continuations of what it held; one that is complete leaves it, and
    the beam is narrower by one from then on (Sutskever, Vinyals & Le 2014, arXiv:1409.3215). Best is the highest
    log p / ((5 + n) / 6)^length_penalty, n the number of tokens with the end symbol (Wu et al. 2016, arXiv:1609.08144,
    eq. 14). A beam stops as soon as nothing in it can become better. Width 1 is greedy_search.

    state: with a batch of B; batch_axes: which axis of each of its arrays is the batch, nested as it is; left out, the
    first. `step` is called with N = B * width rows, those of one beam side by side.

    ValueError: max_steps or width not positive, a negative length_penalty, an end that is no token, or logits that are
    nan or +inf.
    """
    sizes = check_positive("beam_search", batch_size=batch_size, max_steps=max_steps, width=width)
    batch_size, max_steps, width = sizes
    start, end = _symbols("beam_search", start=start, end=end)
    if not 0 <= length_penalty < np.inf:
        raise ValueError(f"beam_search: length_penalty={length_penalty} came, a finite number from 0 was expected")
    batch_axes = tree.map(lambda leaf: 0, state) if batch_axes is None else batch_axes
    each = np.arange(batch_size)
    state = _rows(state, batch_axes, np.repeat(each, width))
    tokens = np.full((batch_size, width), start)
    prefixes = np.zeros((batch_size, width, 0), np.int64)
    scores = np.full((batch_size, width), -np.inf)  # -inf: an empty place
    scores[:, 0] = 0.0
    places = np.full((batch_size, 1), width)
    best, log_probs = np.full(batch_size, -np.inf), np.full(batch_size, -np.inf)
    lengths, winners = np.zeros(batch_size, np.int64), np.full((batch_size, max_steps), end)
    for n in range(1, max_steps + 1):
        log_p, state = _log_p(step, tokens.ravel(), state, end, (scores > -np.inf).ravel())
        continued = (scores[:, :, None] + log_p.reshape(batch_size, width, -1)).reshape(batch_size, -1)
        order = np.argsort(-continued, axis=1, kind="stable")[:, :width]
        scores = np.take_along_axis(continued, order, axis=1)
        parents, tokens = np.divmod(order, log_p.shape[1])
        prefixes = np.concatenate([prefixes[each[:, None], parents], tokens[:, :, None]], axis=2)
        held = np.arange(width) < places
        complete = held & (scores > -np.inf) & ((tokens == end) | (n == max_steps))
        penalised = np.where(complete, scores / _penalty(n, length_penalty), -np.inf)
        top = np.argmax(penalised, axis=1)
        for b in np.flatnonzero(penalised[each, top] > best):
            best[b], log_probs[b] = penalised[b, top[b]], scores[b, top[b]]
            winners[b, :n], lengths[b] = prefixes[b, top[b]], n - (tokens[b, top[b]] == end)
        places = places - complete.sum(axis=1, keepdims=True)
        hopeful = scores / _penalty(max_steps, length_penalty) > best[:, None]  # log p only falls
        scores = np.where(held & ~complete & hopeful, scores, -np.inf)
        if not (scores > -np.inf).any():
            break
        state = _rows(state, batch_axes, (each[:, None] * width + parents).ravel())
    winners[np.arange(max_steps) >= lengths[:, None]] = end
    return Decoded(winners[:, : lengths.max()].T, lengths, log_probs)


def _penalty(n: int, alpha: float) -> float:
    return float(((5.0 + n) / 6.0) ** alpha)


def _symbols(name: str, **symbols: Any) -> list[int]:
    for what, symbol in symbols.items():
        if not is_integer(symbol) or symbol < 0:
            raise ValueError(f"{name}: {what}={symbol!r} came, a token was expected, an integer from 0 on")
    return [int(symbol) for symbol in symbols.values()]


def _log_p(step: Step, tokens: Array, state: Any, end: int, running: Array) -> tuple[Array, Any]:
    """log p of each token in the rows that are running; -inf throughout where no token has a probability."""
    logits, state = step(tokens, state)
    if end >= logits.shape[1]:
        raise ValueError(f"decoding: end={end} came, and the model's tokens are 0 to {logits.shape[1] - 1}")
    logits = np.where(running[:, None], logits.astype(np.float64), 0.0)
    top = logits.max(axis=1)
    if np.isnan(top).any() or (top == np.inf).any():
        raise ValueError(f"decoding: the model's logits are {'nan' if np.isnan(top).any() else 'infinite'}")
    dead = top == -np.inf
    logits[dead] = 0.0
    log_p = log_softmax(logits)
    log_p[dead] = -np.inf
    return log_p, state


def _rows(state: Any, axes: Any, chosen: Array) -> Any:
    """The state with these rows of its batch."""
    return tree.map(lambda leaf, axis: np.take(leaf, chosen, axis), state, axes)
