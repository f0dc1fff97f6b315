"""Each pattern by evidence that is made for it, at the border of what is still called by its name."""

import numpy as np
import pytest

from minirnn.gradcheck import hints
from minirnn.gradcheck.hints import Evidence

RNG = np.random.default_rng(0)


def evidence(numeric, analytic, *, wrong=None, index=None, value=None, outputs=(), columns=None, cotangent=None,
             allowed=1e-9, summed=(), shape=None):  # fmt: skip
    numeric, analytic = np.asarray(numeric, float), np.asarray(analytic, float)
    shape = numeric.shape if shape is None else shape
    return Evidence(
        shape,
        np.argwhere(np.ones(shape)) if index is None else np.asarray(index),
        np.ones(numeric.size) if value is None else np.ravel(value),
        analytic.ravel(),
        numeric.ravel(),
        np.full(numeric.size, allowed),
        np.ravel(np.abs(numeric - analytic) > allowed) if wrong is None else np.ravel(wrong),
        columns,
        cotangent,
        list(outputs),
        list(summed),
    )


# ---------------------------------------------------------------- a factor
TRUE = np.array([1.0, -2.0, 3.0, 0.5])


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (-1, "has the wrong sign"),
        (2, "is 2 times what it should be: counted twice?"),
        (0.5, "is 0.5 (1/2) times what it should be"),
        (1.25, "is 1.25 (5/4) times what it should be"),
        (3, "is 3 times what it should be"),
        (np.pi, "is 3.14159 times what it should be"),
        (1 + 2e-5, "is 1.00002 times what it should be"),
        (1 + 2e-6, None),
        (1 / 7, "is 0.142857 (1/7) times what it should be: averaged over an axis of length 7, where the true gradient "
                "is the sum?"),
        (7, "is 7 times what it should be: summed once too often over an axis of length 7, or an average forgotten?"),
        (0, None),
    ],
)  # fmt: skip
def test_one_factor_of_all_is_named(number, says):
    assert hints.factor(evidence(TRUE, number * TRUE, wrong=[True] * 4, summed=[5, 7])) == says


def test_an_average_is_guessed_only_where_all_is_wrong():
    given = evidence(TRUE, TRUE * [7, 7, 7, 1], summed=[7])
    assert hints.factor(given) == "is 7 times what it should be"


@pytest.mark.parametrize(("off", "named"), [(1e-7, True), (3e-6, False)])
def test_factors_that_differ_are_none(off, named):
    assert bool(hints.factor(evidence(TRUE, 3 * TRUE * [1, 1, 1, 1 + off]))) == named


@pytest.mark.parametrize(("clear", "named"), [(1, False), (2, True), (4, True)])
def test_a_factor_is_read_from_at_least_two_and_half_of_the_wrong(clear, named):
    numeric = np.where(np.arange(4) < clear, TRUE, 50e-9)  # what is within 100 times of the allowed tells no factor
    assert bool(hints.factor(evidence(numeric, 3 * numeric, wrong=[True] * 4))) == named
    assert hints.factor(evidence([2.0], [6.0]))  # of a single one, one


# ---------------------------------------------------------------- sums that were not taken
COLUMNS = RNG.standard_normal((5, 6 + 3))  # five coordinates; outputs (2, 3) and (3,)
COTANGENT = RNG.standard_normal(9)
WEIGHED = COLUMNS * COTANGENT
WHOLE, FIRST = WEIGHED.sum(1), WEIGHED[:, :6].reshape(5, 2, 3)


def contribution(analytic, outputs=((2, 3), (3,)), columns=COLUMNS, cotangent=COTANGENT):
    return hints.contribution(evidence(np.zeros(5), analytic, outputs=outputs, columns=columns, cotangent=cotangent))


@pytest.mark.parametrize("i", range(2))
def test_one_index_of_an_outputs_axis_alone(i):
    assert contribution(FIRST[:, i].sum(1)) == (
        f"is that of index {i} of axis 0 of output 0 alone: a sum over that axis is missing"
    )
    assert contribution(FIRST[:, :, i].sum(1)) == (
        f"is that of index {i} of axis 1 of output 0 alone: a sum over that axis is missing"
    )
    assert contribution(WEIGHED[:, 6 + i]) == (
        f"is that of index {i} of axis 0 of output 1 alone: a sum over that axis is missing"
    )


@pytest.mark.parametrize("i", range(2))
def test_all_but_one_index_of_an_outputs_axis(i):
    assert contribution(WHOLE - FIRST[:, i].sum(1)) == f"leaves out index {i} of axis 0 of output 0"
    assert contribution(WHOLE - FIRST[:, :, i].sum(1)) == f"leaves out index {i} of axis 1 of output 0"
    assert contribution(WHOLE - WEIGHED[:, 6 + i]) == f"leaves out index {i} of axis 0 of output 1"


def test_all_of_one_output_and_none_of_any():
    assert contribution(WHOLE - WEIGHED[:, 6:].sum(1)) == "leaves out output 1: a path through it is dropped"
    assert contribution(WHOLE - WEIGHED[:, :6].sum(1)) == "leaves out output 0: a path through it is dropped"
    assert contribution(2 * WHOLE) is None
    assert contribution(WHOLE, columns=None) is None


def test_of_one_output_the_name_is_the_output_and_an_axis_of_one_has_no_sum():
    one = contribution(FIRST[:, :, 1].sum(1), [(1, 2, 3)], COLUMNS[:, :6], COTANGENT[:6])
    assert one == "is that of index 1 of axis 2 of the output alone: a sum over that axis is missing"
    assert contribution(WHOLE, [(1,)], WHOLE[:, None], np.ones(1)) is None


@pytest.mark.parametrize(("i", "found"), [(0, True), (63, True), (64, False), (198, False), (199, True)])
def test_of_a_long_axis_the_first_64_and_the_last_are_tried(i, found):
    columns = RNG.standard_normal((5, 200))
    assert bool(contribution(columns[:, i], [(200,)], columns, np.ones(200))) == found


# ---------------------------------------------------------------- others
def test_a_transposed_gradient_is_a_square_ones_of_which_all_is_known():
    square = np.arange(9.0).reshape(3, 3)
    assert hints.transposed(evidence(square, square.T)) == "is the transpose of what it should be"
    assert hints.transposed(evidence(square, square.T + 1e-8)) is None
    assert hints.transposed(evidence(square[:2], square[:2])) is None
    assert (
        hints.transposed(evidence(square[:, 0], square[:, 0], index=np.argwhere(np.ones((3, 1))), shape=(3, 3))) is None
    )


def test_a_plateau_is_where_all_that_is_wrong_stands_at_one_magnitude_that_the_truth_exceeds():
    assert hints.plateau(evidence([7.0, -8, 1], [5.0, -5, 1])) == "never exceeds 5: clipped inside the backward?"
    assert hints.plateau(evidence([7.0, 1, 1], [5.0, 1, 1])) is None  # one is no plateau
    assert hints.plateau(evidence([7.0, -8, 1], [5.0, -5, 2])) is None  # another is wrong too
    assert hints.plateau(evidence([7.0, -4, 1], [5.0, -5, 1])) is None  # one should be smaller


def at(shape, wrong, value=None):
    numeric = np.ones(shape)
    return hints.where(evidence(numeric, numeric + wrong, value=value))


def mask(shape, *places):
    found = np.zeros(shape, bool)
    for place in places:
        found[place] = True
    return found


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (mask((3, 4), ...), None),
        (mask((3, 4), (1, 2)), "at [1, 2] alone"),
        (mask((4,), 3), "at index 3 of axis 0 (the last of 4)"),
        (mask((4,), 0), "at index 0 of axis 0 (the first of 4)"),
        (mask((4, 3), 2), "at index 2 of axis 0 (only that one of 4)"),
        (mask((4, 3), np.s_[:, 0]), "at index 0 of axis 1 (the first of 3)"),
        (mask((1, 3), np.s_[:, 2]), "at index 2 of axis 1 (the last of 3)"),
        (mask((8, 3), np.s_[2:4]), "in rows 2:4 (block 1 of 4) alone"),
        (mask((8, 3), np.s_[4:8]), "in rows 4:8 (block 1 of 2) alone"),
        (mask((3, 12), np.s_[:, 4:8]), "in indices 4:8 of axis 1 (block 1 of 3) alone"),
        (mask((16, 2), np.s_[14:16]), "in rows 14:16 (block 7 of 8) alone"),
    ],
)
def test_a_part_that_is_wrong_is_named_by_its_place(wrong, says):
    assert at(wrong.shape, wrong) == says


@pytest.mark.parametrize(("count", "named"), [(2, False), (3, True), (4, True)])
def test_most_of_a_part_is_to_be_wrong_that_can_be_seen(count, named):
    wrong = mask((4, 3), np.s_[:count, 1])
    assert (at((4, 3), wrong) == "at index 1 of axis 1 (only that one of 3)") == named
    numeric = np.where(wrong, 1.0, 0.0)  # where both are zero nothing speaks against it
    assert hints.where(evidence(numeric, 2 * numeric)) == "at index 1 of axis 1 (only that one of 3)"


@pytest.mark.parametrize(
    ("value", "wrong", "says"),
    [
        ([-1, 2, -3, 4, 5], [1, 0, 1, 0, 0], "where the argument is negative"),
        ([-1, 2, -3, 4, 5], [0, 1, 0, 1, 1], "where the argument is positive"),
        ([-1, 2, -3, -4, 5], [0, 0, 0, 1, 1], "where the argument's magnitude exceeds about 3 to 4"),
        ([-1, 2, -3, 4, 5], [1, 0, 0, 0, 1], None),
    ],
)
def test_a_part_that_is_wrong_is_named_by_its_argument(value, wrong, says):
    assert at((5,), np.array(wrong, bool), value) == says


def test_zero_throughout_needs_a_tenth_of_all_and_two():
    zero = np.zeros(40)
    few = lambda count: hints.recognise(evidence(np.where(np.arange(40) < count, 1.0, 0.0), zero))
    assert "zero throughout" in few(4)[0]
    assert "zero throughout" not in few(3)[0]
    assert "is zero, and should not be" in few(3)[0]
    assert "zero throughout" in hints.recognise(evidence([1.0], [0.0]))[0]
