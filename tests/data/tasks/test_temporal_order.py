import numpy as np
import pytest
from task_cases import loss

from minirnn.data.tasks import TemporalOrder

CASES = [(2, [(10, 20), (50, 60)]), (3, [(10, 20), (33, 43), (66, 76)])]


@pytest.mark.parametrize(("marks", "places"), CASES)
def test_the_class_is_the_order_of_the_marks_at_the_papers_places(marks, places, rng):
    batch = TemporalOrder(marks=marks).batch(rng, 200)
    seen = set()
    for b, length in enumerate(batch.lengths):
        word = "".join(["EBabcdXY"[symbol] for symbol in batch.inputs[:length, b].argmax(axis=-1)])
        assert (word[0], word[-1]) == ("E", "B")
        assert 100 <= len(word) <= 110
        found = [(place, symbol) for place, symbol in enumerate(word) if symbol in "XY"]
        assert all(low <= place <= high for (place, _), (low, high) in zip(found, places, strict=True))
        assert set(word[1:-1]) <= set("abcdXY")
        assert batch.targets[b] == int("".join([str("XY".index(symbol)) for _, symbol in found]), 2)
        seen.update([(n, place) for n, (place, _) in enumerate(found)])
    assert len(seen) == 11 * marks
    assert set(batch.lengths) == set(range(100, 111))


@pytest.mark.parametrize("marks", [2, 3])
def test_a_guess_has_the_baselines_loss_and_classes_are_alike(marks, rng):
    task = TemporalOrder(length=10, marks=marks)
    batch = task.batch(rng, 4000)
    assert task.baseline == pytest.approx(loss(batch, np.zeros((len(batch.inputs), 4000, 2**marks))))
    p = np.bincount(batch.targets) / 4000
    assert -(p * np.log(p)).sum() == pytest.approx(task.baseline, rel=2e-3)
