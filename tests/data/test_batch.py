import numpy as np
import pytest

import minirnn
from minirnn.data import IGNORED, Batch, last_step, pad
from minirnn.losses import cross_entropy, mse

LENGTHS = np.array([3, 1])
INPUTS = np.zeros((3, 2, 4), np.float32)
TARGETS = {
    "class-per-step": np.array([[0, 1], [1, IGNORED], [0, IGNORED]]),
    "class": np.array([1, 0]),
    "values-per-step": np.ones((3, 2, 2), np.float32),
    "values": np.ones((2, 2), np.float32),
}


def test_pad_fills_up_to_the_longest():
    padded, lengths = pad([np.array([1, 2]), np.array([3])], value=9)
    assert padded.tolist() == [[1, 3], [2, 9]]
    assert lengths.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("sequences", "error", "says"),
    [
        ([], ValueError, "no sequences"),
        ([np.zeros((2, 1)), np.zeros((2, 3))], ValueError, "sequence 1 has shape"),
        ([np.zeros(2), np.zeros(2, np.float32)], TypeError, "sequence 1 is float32"),
    ],
)
def test_what_cannot_be_padded_is_an_error(sequences, error, says):
    with pytest.raises(error, match=says):
        pad(sequences)


def test_last_step_is_each_sequences_own():
    outputs = np.arange(6).reshape(3, 2)
    assert last_step(outputs, LENGTHS).tolist() == [4, 1]
    assert last_step(outputs, np.array([3, 3])).tolist() == [4, 5]


@pytest.mark.parametrize(
    ("kind", "loss", "per_step"),
    [
        ("class-per-step", "cross_entropy", True),
        ("class", "cross_entropy", False),
        ("values-per-step", "mse", True),
        ("values", "mse", False),
    ],
)
def test_padding_has_no_part_in_loss_or_gradient(kind, loss, per_step, rng):
    batch = Batch(INPUTS, TARGETS[kind], LENGTHS)
    assert (batch.loss, batch.per_step, batch.padded) == (loss, per_step, True)

    def mean(outputs):
        predictions, targets = batch.scored(outputs)
        if loss == "mse":
            return mse(predictions, targets)
        return cross_entropy(predictions, targets, ignore_index=IGNORED)

    outputs = rng.standard_normal((3, 2, 2)).astype(np.float32)
    value, grad = minirnn.value_and_grad(mean)(outputs)
    counts = np.abs(grad).sum(axis=2) > 0
    assert counts.tolist() == ([[1, 1], [1, 0], [1, 0]] if per_step else [[0, 1], [0, 0], [1, 0]])
    changed = np.where(counts[..., None], outputs, 99).astype(np.float32)
    assert mean(changed) == value


def test_outputs_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"outputs are \(2, 2, 2\), \(3, 2, 'O'\)"):
        Batch(INPUTS, TARGETS["class"], LENGTHS).scored(np.zeros((2, 2, 2)))


@pytest.mark.parametrize("kind", TARGETS)
def test_astype_leaves_integers_alone(kind):
    batch = Batch(INPUTS, TARGETS[kind], LENGTHS).astype(np.float64)
    assert batch.inputs.dtype == np.float64
    assert batch.targets.dtype == (np.float64 if "values" in kind else np.int64)
