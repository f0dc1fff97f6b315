"""What a test runs on by default, where it would run on everything; the others are slow tests, which CI runs."""

from collections.abc import Iterable
from typing import Any

import pytest

# Of each kind of cell one: plain, gated, normalised, with a matrix or several vectors as state, linear, by the clock.
CELLS = ("RNN", "LSTM", "GRU", "MGU", "LayerNormGRU", "mLSTM", "SRU", "LMU", "PhasedLSTM", "ConvLSTM")


def few(every: Iterable[Any], kept: Iterable[Any] = CELLS, names: int = 1) -> list[Any]:
    """Values for parametrize, or tuples of them for so many names: those that are not kept are marked slow."""
    kept, several = tuple(kept), lambda value: value if names > 1 else (value,)
    return [v if v in kept else pytest.param(*several(v), marks=pytest.mark.slow) for v in every]
