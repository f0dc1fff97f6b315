"""What the tests of the tasks share."""

import pytest

from minirnn import losses
from minirnn.data import IGNORED
from minirnn.data.tasks import TASKS, make_task

DIGITS = "digits"


def made(name, **options):
    if name == DIGITS:
        pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'minirnn[digits]'")
    return make_task(name, **options)


def loss(batch, outputs):
    """The mean loss of outputs (T, B, O), as a training computes it."""
    options = {"ignore_index": IGNORED} if batch.loss == "cross_entropy" else {}
    return float(getattr(losses, batch.loss)(*batch.scored(outputs), **options))


ALL = pytest.mark.parametrize("name", TASKS)
