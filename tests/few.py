"""What a test runs on by default, where it would run on everything; the others are slow tests, which CI runs."""

from collections.abc import Iterable
from typing import Any

import pytest

# Of each kind of cell one: plain, gated, normalised, with a matrix or several vectors as state, linear, by the clock.
CELLS = ("RNN", "LSTM", "GRU", "MGU", "LayerNormGRU", "mLSTM", "SRU", "LMU", "PhasedLSTM", "ConvLSTM")


def few(every: Iterable[Any], kept: Iterable[Any] = CELLS) -> list[Any]:
    """Values for parametrize: those that are not kept are marked slow."""
    kept = tuple(kept)
    return [value if value in kept else pytest.param(value, marks=pytest.mark.slow) for value in every]
