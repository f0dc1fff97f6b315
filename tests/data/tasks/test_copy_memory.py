import math

import numpy as np
import pytest
from task_cases import loss

from minirnn.data.tasks import CopyMemory


def test_the_layout_is_symbols_blanks_call_blanks(rng):
    batch = CopyMemory(delay=3, symbols=4, length=2).batch(rng, 30)
    inputs = batch.inputs.argmax(axis=-1)
    assert (batch.inputs.sum(axis=-1) == 1).all()
    assert inputs[:2].max() == 3
    assert (inputs[2:] == np.array([4, 4, 5, 4, 4])[:, None]).all()
    assert (batch.targets[:5] == 4).all()
    assert np.array_equal(batch.targets[5:], inputs[:2])


@pytest.mark.parametrize(("delay", "symbols", "length"), [(1, 2, 1), (100, 8, 10)])
def test_blanks_then_any_symbol_has_the_baselines_loss(delay, symbols, length, rng):
    task = CopyMemory(delay, symbols, length)
    batch = task.batch(rng, 8)
    logits = np.full((delay + 2 * length, 8, symbols + 1), -1e9)
    logits[:-length, :, symbols] = 0
    logits[-length:, :, :symbols] = 0
    assert task.baseline == pytest.approx(loss(batch, logits))


def test_the_papers_formula_and_that_no_guess_is_better(rng):
    assert CopyMemory(delay=500).baseline == pytest.approx(10 * math.log(8) / 520)
    said = CopyMemory(delay=1).batch(rng, 10_000).targets[-10:]
    p = np.bincount(said.ravel(), minlength=8) / said.size
    assert -(p * np.log(p)).sum() == pytest.approx(math.log(8), rel=1e-3)
