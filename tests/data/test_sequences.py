import numpy as np
import pytest

from minirnn.data import IGNORED, Sequences

SHORT, LONG = np.ones((1, 2), np.float32), np.ones((3, 2), np.float32)
TOKENS = [np.array([4]), np.array([0, 2, 1])]


@pytest.mark.parametrize(
    ("xs", "targets", "options", "shape", "sizes"),
    [
        (np.ones((2, 3, 5)), [0, 1], {}, (2,), (5, 2)),
        ([SHORT, LONG], [0, 1], {"classes": 7}, (2,), (2, 7)),
        ([SHORT, LONG], [0.5, 1.5], {}, (2, 1), (2, 1)),
        ([SHORT, LONG], np.ones((2, 4)), {}, (2, 4), (2, 4)),
        ([SHORT, LONG], [np.array([1]), np.array([0, 1, 2])], {"per_step": True}, (3, 2), (2, 3)),
        ([SHORT, LONG], [np.ones((1, 4)), np.ones((3, 4))], {"per_step": True}, (3, 2, 4), (2, 4)),
        (TOKENS, [0, 1], {}, (2,), (5, 2)),
        (TOKENS, [0.5, 1.5], {}, (2, 1), (5, 1)),
    ],
)
def test_shapes_and_sizes_follow_from_the_arrays(xs, targets, options, shape, sizes):
    sequences = Sequences(xs, targets, **options)
    batch = sequences.batch([1, 0])
    assert (sequences.input_size, sequences.output_size) == sizes
    assert batch.targets.shape == shape
    assert batch.lengths.tolist() == [len(xs[1]), len(xs[0])]
    assert batch.per_step == options.get("per_step", False)
    if batch.loss == "mse":
        assert batch.targets.dtype == (np.float32 if xs is TOKENS else batch.inputs.dtype)


def test_steps_after_the_end_are_ignored():
    batch = Sequences([SHORT, LONG], [np.array([1]), np.array([0, 1, 2])], per_step=True).batch([0, 1])
    assert batch.targets[:, 0].tolist() == [1, IGNORED, IGNORED]


@pytest.mark.parametrize(
    ("xs", "targets", "options", "error", "says"),
    [
        ([], [], {}, ValueError, "no sequences"),
        ([SHORT, LONG], [0], {}, ValueError, "1 targets came for 2 sequences"),
        ([SHORT, LONG[:, :1]], [0, 1], {}, ValueError, "xs differ among themselves"),
        ([SHORT, LONG.astype(float)], [0, 1], {}, ValueError, "float32 .*float64"),
        ([SHORT, np.ones(3)], [0, 1], {}, TypeError, r"sequence 1 is float64 \(3,\)"),
        ([SHORT, np.ones((3, 2), int)], [0, 1], {}, TypeError, "sequence 1 is int64"),
        ([SHORT, LONG[:0]], [0, 1], {}, ValueError, "sequence 1 is empty"),
        ([SHORT, LONG * [[1], [np.nan], [1]]], [0, 1], {}, ValueError, "sequence 1 is not finite at step 1"),
        ([np.array([-1])], [0], {}, ValueError, "token -1"),
        ([SHORT, LONG], [0, -1], {}, ValueError, "class -1 came"),
        ([SHORT, LONG], [0, 5], {"classes": 5}, ValueError, "class 5 came, 0 to 4"),
        ([SHORT, LONG], [0.0, 1.0], {"classes": 5}, ValueError, "classes=5 came with float targets"),
        ([SHORT, LONG], [0, 1.5], {}, TypeError, "target 1 is float64, target 0 int64"),
        ([SHORT, LONG], [0.0, np.inf], {}, ValueError, "target 1 is not finite"),
        ([SHORT, LONG], ["a", "b"], {}, TypeError, "target 0 is <U1"),
        ([SHORT, LONG], [np.ones(2), np.ones(3)], {}, ValueError, r"target 1 has shape \(3,\)"),
        ([SHORT, LONG], [np.ones((1, 1)), np.ones((3, 1))], {}, ValueError, "each sequence"),
        ([SHORT, LONG], [0, 1], {"per_step": True}, ValueError, r"each step \(per_step=True\)"),
        ([SHORT, LONG], [np.array([1]), np.array([1, 2])], {"per_step": True}, ValueError, "3 steps and 2 targets"),
    ],
)
def test_what_does_not_belong_together_is_named(xs, targets, options, error, says):
    with pytest.raises(error, match=says):
        Sequences(xs, targets, **options)


@pytest.mark.parametrize(
    ("sequences", "shown"),
    [
        (Sequences([SHORT, LONG], [0, 1]), "Sequences(2 of them, classification, 2 in, 2 out)"),
        (Sequences([SHORT], [0.5]), "Sequences(1 of them, regression, 2 in, 1 out)"),
    ],
)
def test_it_says_what_it_is(sequences, shown):
    assert repr(sequences) == shown
