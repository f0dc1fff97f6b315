"""Grammar: a finite automaton that draws words, judges them, and knows how well they can be predicted."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

import numpy as np

from minirnn.module import Array

__all__ = ["Grammar", "expected_visits"]

State = Hashable


class Grammar(NamedTuple):
    """edges[state][symbol] is the next state; a state without edges ends the word, every other draws its symbol evenly.

    A word begins at `start`, which no edge leads back to, and whose symbol is not predicted.
    """

    start: State
    edges: Mapping[State, Mapping[str, State]]

    def draw(self, rng: np.random.Generator) -> str:
        """A word."""
        state, word = self.start, []
        while choices := list(self.edges[state].items()):
            symbol, state = choices[rng.integers(len(choices)) if len(choices) > 1 else 0]
            word.append(symbol)
        return "".join(word)

    def legal_next(self, prefix: str) -> set[str]:
        """The symbols that may follow; none after a whole word. ValueError: no word begins so, naming the place."""
        state = self.start
        for place, symbol in enumerate(prefix):
            if symbol not in self.edges[state]:
                expected = " or ".join(sorted(self.edges[state])) or "the word's end"
                raise ValueError(f"{prefix!r} is not legal: {symbol!r} at place {place}, {expected} was expected")
            state = self.edges[state][symbol]
        return set(self.edges[state])

    def is_valid(self, word: str) -> bool:
        """Whether it is a whole word."""
        try:
            return not self.legal_next(word)
        except ValueError:
            return False

    def cross_entropy(self, seen: Callable[[State, str], Hashable] = lambda state, last: state) -> float:
        """Nats a symbol of the best prediction from seen(state, last symbol) alone: of the state, the optimum.

        With v(s, a) the expected number of times that s is entered by a, q(. | o) the mean of s's next-symbol
        distribution over all (s, a) with seen(s, a) = o, weighted by v:  sum v(s, a) H(s, q(. | seen(s, a))) / sum v.
        """
        states = list(self.edges)
        move = np.zeros((len(states), len(states)))
        for s, state in enumerate(states):
            for following in self.edges[state].values():
                move[s, states.index(following)] += 1 / len(self.edges[state])
        visits = expected_visits(move, states.index(self.start))
        seen_next: defaultdict[Hashable, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        for state, own in zip(states, visits, strict=True):
            for symbol, entered in self.edges[state].items():
                for following in self.edges[entered]:
                    share = own / len(self.edges[state]) / len(self.edges[entered])
                    seen_next[seen(entered, symbol)][following] += share
        nats = steps = 0.0
        for counts in seen_next.values():
            weights = np.array(list(counts.values()))
            nats -= float(weights @ np.log(weights / weights.sum()))
            steps += float(weights.sum())
        return nats / steps


def expected_visits(move: Array, start: int) -> Array:
    """How often each of n states is expected to be visited, from `start` until the chain ends. move: (n, n), from row
    to column; what a row lacks to 1 ends the chain.  v = e_start + move' v."""
    n = len(move)
    return np.linalg.solve(np.eye(n) - move.T, np.eye(n)[start])
