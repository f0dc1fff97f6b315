import numpy as np
import pytest
from task_cases import loss

from minirnn.data.tasks import AddingProblem


@pytest.mark.parametrize("length", [2, 3, 50])
def test_the_target_is_the_sum_of_the_marked(length, rng):
    batch = AddingProblem(length).batch(rng, 40)
    values, marks = batch.inputs[..., 0], batch.inputs[..., 1]
    half = length // 2
    assert (marks[:half].sum(axis=0) == 1).all()
    assert (marks[half:].sum(axis=0) == 1).all()
    assert np.allclose((values * marks).sum(axis=0), batch.targets[:, 0])
    assert ((values >= 0) & (values < 1)).all()


def test_every_step_is_marked_at_times(rng):
    assert AddingProblem(9).batch(rng, 500).inputs[..., 1].any(axis=1).all()


def test_predicting_one_has_the_baselines_loss(rng):
    task = AddingProblem(4)
    batch = task.batch(rng, 100_000)
    assert task.baseline == pytest.approx(loss(batch, np.ones((4, 100_000, 1), np.float32)), rel=0.02)
    for other in (0.95, 1.05):
        assert loss(batch, np.full((4, 100_000, 1), other, np.float32)) > task.baseline
