"""Every trap is caught, and no right backward is rejected: see traps.py."""

from functools import cache

import numpy as np
import pytest
from traps import TRAPS

from minirnn.gradcheck import gradcheck

by_name = pytest.mark.parametrize("trap", TRAPS, ids=[t.name for t in TRAPS])


def kinds(trap, seeds):
    for seed in seeds:
        right = of_the_right_one(trap.f, trap.right, trap.draw, seed)
        wrong = gradcheck(trap.wrong_f or trap.f, *drawn(trap.draw, seed), vjp=trap.wrong, seed=seed)
        assert right.kind == trap.right_kind, f"seed {seed}: a right backward\n{right}"
        assert wrong.kind == trap.kind, f"seed {seed}: a wrong backward\n{wrong}"
        assert right.ok
        assert not wrong.ok


@cache
def of_the_right_one(f, right, draw, seed):
    """One report for all traps that are laid in one backward."""
    return gradcheck(f, *drawn(draw, seed), vjp=right, seed=seed)


def drawn(draw, seed):
    return draw(np.random.default_rng(seed))


def test_there_are_traps_enough():
    assert len({t.name for t in TRAPS}) == len(TRAPS) >= 32


@by_name
def test_a_wrong_backward_is_caught_and_a_right_one_passes(trap):
    kinds(trap, [0])


@pytest.mark.slow
@by_name
def test_traps_over_several_seeds(trap):
    kinds(trap, range(1 + TRAPS.index(trap) % 3, 20, 3))
