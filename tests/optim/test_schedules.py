import numpy as np
import pytest

from minirnn.optim import constant, cosine


def test_constant():
    assert [constant(0.1)(step) for step in (0, 10**6)] == [0.1, 0.1]


def test_cosine_against_torch(torch):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=0.05)
    schedule = cosine(0.3, 20, final=0.05)
    for step in range(20):
        assert np.isclose(schedule(step), theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_cosine_rises_falls_and_stays():
    schedule = cosine(1.0, 30, final=0.2, warmup=10)
    assert np.allclose([schedule(step) for step in (0, 4, 9, 10)], [0.1, 0.5, 1.0, 1.0])
    assert np.isclose(schedule(20), 0.6)
    assert np.allclose([schedule(30), schedule(300)], 0.2)
    assert all(schedule(step) > schedule(step + 1) for step in range(10, 30))


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"steps": 5, "warmup": 6}, {"steps": 5, "warmup": -1}])
def test_cosine_refuses_impossible_lengths(arguments):
    with pytest.raises(ValueError, match="warmup <= steps"):
        cosine(1.0, **arguments)
