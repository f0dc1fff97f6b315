"""Reber's grammar, and the embedded one, whose last letter but one was decided by the second."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minirnn.data.batch import Batch
from minirnn.data.tasks.grammar import Grammar
from minirnn.data.tasks.task import Task, check_at_least, next_symbol_batch
from minirnn.module import Array

__all__ = ["EMBEDDED_REBER", "REBER", "EmbeddedReber", "Reber"]

SYMBOLS = "BTPSXVE"

REBER = Grammar(
    "start",
    {
        "start": {"B": 1},
        1: {"T": 2, "P": 3},
        2: {"S": 2, "X": 4},
        3: {"T": 3, "V": 5},
        4: {"X": 3, "S": 6},
        5: {"P": 4, "V": 6},
        6: {"E": "end"},
        "end": {},
    },
)


def _embedded() -> Grammar:
    edges: dict[Hashable, dict[str, Hashable]] = {"start": {"B": "which"}, "which": {}, "last": {"E": "end"}, "end": {}}
    for letter in "TP":
        edges["which"][letter] = (letter, REBER.start)
        for state, choices in REBER.edges.items():
            edges[letter, state] = {symbol: (letter, following) for symbol, following in choices.items()}
        edges[letter, "end"] = {letter: "last"}
    return Grammar("start", edges)


EMBEDDED_REBER = _embedded()


def _without_letter(state: Hashable, _: str) -> Hashable:
    return state[1] if isinstance(state, tuple) else state


@dataclass(frozen=True)
class Reber(Task):
    """The next letter of words such as BTSSXXTVVE. inputs: (T, B, 7) one-hot of "BTPSXVE"; targets: (T, B).

    A letter is drawn evenly from the legal ones, of which there are up to two. Words are 5 letters and more; each
    begins with B, which is not predicted, and ends with E, which is not an input.

    Reber 1967 (doi:10.1016/S0022-5371(67)80149-X), as in Cleeremans et al. 1989 (doi:10.1162/neco.1989.1.3.372). The
    baseline is the cross-entropy of the next letter given the last one alone, the optimum that given the grammar's
    state; both are computed from the grammar. `grammar` draws words, and judges them: legal_next, is_valid.
    """

    name = "reber"
    loss = "cross_entropy"
    metric_name = "words legal throughout"
    baseline_is = "knows the last letter alone"
    input_size = 7
    output_size = 7

    @property
    def grammar(self) -> Grammar:
        """The automaton."""
        return REBER

    @cached_property
    def baseline(self) -> float:
        return self.grammar.cross_entropy(lambda state, last: last)

    @cached_property
    def optimum(self) -> float:
        return self.grammar.cross_entropy()

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        check_at_least(1, size=size)
        words = [self.grammar.draw(rng) for _ in range(size)]
        return next_symbol_batch([np.array([SYMBOLS.index(symbol) for symbol in word]) for word in words], 7)

    def metric(self, outputs: Array, batch: Batch) -> float:
        """The share of words at each of whose steps the likeliest letter is legal."""
        guesses, letters = np.argmax(outputs, axis=-1), np.argmax(batch.inputs, axis=-1)
        legal = 0
        for b, length in enumerate(batch.lengths):
            word = "".join([SYMBOLS[letter] for letter in letters[:length, b]])
            legal += all(SYMBOLS[guesses[t, b]] in self.grammar.legal_next(word[: t + 1]) for t in range(length))
        return legal / len(batch.lengths)


@dataclass(frozen=True)
class EmbeddedReber(Reber):
    """The next letter of B, T or P, a word of Reber's grammar, that T or P again, E: as BTBTXSETE. Shapes as Reber's.

    Hochreiter & Schmidhuber 1997, experiment 1 (doi:10.1162/neco.1997.9.8.1735); Smith & Zipser 1989. The baseline
    knows the grammar but not which of T and P came second: log 2 nats a word more than the optimum, and half of the
    words legal throughout.
    """

    name = "embedded-reber"
    baseline_is = "knows the grammar, but forgot the second letter"

    @property
    def grammar(self) -> Grammar:
        """The automaton."""
        return EMBEDDED_REBER

    @cached_property
    def baseline(self) -> float:
        return self.grammar.cross_entropy(_without_letter)
