"""Dyck-(k, m): brackets of k kinds, never more than m open."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from minirnn.data.batch import Batch
from minirnn.data.tasks.grammar import expected_visits
from minirnn.data.tasks.task import Task, check_at_least, next_symbol_batch
from minirnn.module import Array

__all__ = ["Dyck"]


@dataclass(frozen=True)
class Dyck(Task):
    """The next bracket of well-nested words of k = kinds brackets, at most m = depth of them open, or the word's end.

    Symbols: 0 .. k - 1 open, k .. 2k - 1 close them, 2k ends the word. inputs: (T, B, 2k) one-hot; targets: (T, B),
    classes 0 .. 2k. A word begins with an open bracket; where opening and closing are both legal each has probability
    1/2, after a closed word so have opening and the end; the kind that is opened is drawn evenly.

    Dyck-(k, m): Hewitt et al. 2020 (arXiv:2010.07515). The baseline knows how many brackets are open, but not which:
    it guesses the kind of each closing bracket. A word of n brackets has n steps, half of which close one, so that it
    loses (1/2) log k nats a step to the optimum.
    """

    kinds: int = 2
    depth: int = 4

    name = "dyck"
    loss = "cross_entropy"
    metric_name = "closing brackets of the right kind"
    baseline_is = "counts the open brackets, but guesses their kind"

    def __post_init__(self) -> None:
        check_at_least(1, kinds=self.kinds, depth=self.depth)

    @property
    def input_size(self) -> int:
        return 2 * self.kinds

    @property
    def output_size(self) -> int:
        return 2 * self.kinds + 1

    @property
    def optimum(self) -> float:
        """H = log 2 + (1/2) log k at each step where opening is legal, 0 where the word is m deep."""
        move = np.zeros((self.depth + 1, self.depth + 1))
        for d in range(self.depth):
            move[d, d + 1] = 0.5
            move[d + 1, d] = 0.5 if d + 1 < self.depth else 1.0
        visits = expected_visits(move, 1)
        return float(visits[: self.depth].sum() / visits.sum() * (math.log(2) + 0.5 * math.log(self.kinds)))

    @property
    def baseline(self) -> float:
        return self.optimum + 0.5 * math.log(self.kinds)

    def legal_next(self, prefix: Iterable[int]) -> set[int]:
        """The symbols that may follow; none after the end. ValueError: no word begins so, naming the place."""
        open_kinds: list[int] = []
        legal, end = set(range(self.kinds)), 2 * self.kinds
        for place, symbol in enumerate(prefix):
            if symbol not in legal:
                raise ValueError(f"symbol {symbol} at place {place} is not legal: one of {sorted(legal)} was expected")
            if symbol == end:
                legal = set()
                continue
            if symbol < self.kinds:
                open_kinds.append(symbol)
            else:
                open_kinds.pop()
            legal = set(range(self.kinds)) if len(open_kinds) < self.depth else set()
            legal.add(open_kinds[-1] + self.kinds if open_kinds else end)
        return legal

    def is_valid(self, word: Iterable[int]) -> bool:
        """Whether it is a whole word, its end included."""
        try:
            return not self.legal_next(word)
        except ValueError:
            return False

    def draw(self, rng: np.random.Generator) -> Array:
        """A word (n + 1,), its end included."""
        word: list[int] = []
        open_kinds: list[int] = []
        while True:
            opens = not word or (len(open_kinds) < self.depth and rng.random() < 0.5)
            if opens:
                open_kinds.append(int(rng.integers(self.kinds)))
                word.append(open_kinds[-1])
            elif open_kinds:
                word.append(open_kinds.pop() + self.kinds)
            else:
                return np.array([*word, 2 * self.kinds])

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        check_at_least(1, size=size)
        return next_symbol_batch([self.draw(rng) for _ in range(size)], self.input_size)

    def metric(self, outputs: Array, batch: Batch) -> float:
        """Of the steps whose target closes a bracket: the share whose likeliest closing bracket is that one; 1 / k by
        chance."""
        closing = (batch.targets >= self.kinds) & (batch.targets < 2 * self.kinds)
        guesses = self.kinds + np.argmax(outputs[..., self.kinds : 2 * self.kinds], axis=-1)
        return float(np.mean(guesses[closing] == batch.targets[closing]))
