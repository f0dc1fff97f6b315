"""The judgement along one line: its states, the derivative that it finds, and how much disagreement is allowed."""

import numpy as np
import pytest

from minirnn.gradcheck.verdict import Analytic, State, Verdict, judge

EPS = float(np.finfo(float).eps)
BOTH = np.array([[1.0, -2.0], [3.0, 0.5]])  # two outputs, two cotangents


def judged(f, value, cotangents=((1.0,),), *, eps=EPS, unsteady=0.0, moved=0.0, single=True, quick=False):
    """The verdict on a directional derivative, one a cotangent."""
    line = lambda t: np.atleast_1d(np.asarray(f(t), float))
    value = np.atleast_1d(np.asarray(value, float))
    backward = Analytic(value, np.abs(value), np.full(value.size, moved), EPS, lambda: np.full(value.size, unsteady),
                        lambda t, k: line(t * (1 + EPS * (k - 1.5))))  # fmt: skip
    return judge(line, line(0.0), np.array(cotangents), backward, eps, 1.0, single=single, quick=quick)


def noisy(t):
    return 1 + t + 1e-3 * np.sin(1e13 * t + 1)


def edge(t):
    return 2 * t + t**1.5 if t >= 0 else np.nan


def other_edge(t):
    return 2 * t + (-t) ** 1.5 if t <= 0 else np.nan


STATES = {
    "smooth": (lambda t: np.sin(1 + t), np.cos(1.0), State.AGREES),
    "smooth, and wrong": (lambda t: np.sin(1 + t), 1.0001 * np.cos(1.0), State.DISAGREES),
    "falling": (lambda t: -np.exp(3 * t), -3.0, State.AGREES),
    "falling, and of the wrong sign": (lambda t: -np.exp(3 * t), 3.0, State.DISAGREES),
    "steep": (lambda t: np.exp(40 * t), 40.0, State.AGREES),
    "steep, and wrong": (lambda t: np.exp(40 * t), 40.01, State.DISAGREES),
    "constant": (lambda t: 5.0, 0.0, State.AGREES),
    "constant, and wrong": (lambda t: 5.0, 1e-3, State.DISAGREES),
    "too noisy": (noisy, 1.0, State.UNRESOLVED),
    "too noisy, and far off": (noisy, 1e3, State.DISAGREES),
    "a kink": (lambda t: abs(t) + t, 1.3, State.KINK),
    "a kink, at its left": (lambda t: abs(t) + t, 0.0, State.KINK),
    "a kink, at its right": (lambda t: abs(t) + t, 2.0, State.KINK),
    "a kink, and above both sides": (lambda t: abs(t) + t, 2.01, State.DISAGREES),
    "a kink, and below both sides": (lambda t: abs(t) + t, -0.01, State.DISAGREES),
    "a jump": (lambda t: t + (t >= 0), 1.0, State.JUMP),
    "a jump, the other way": (lambda t: t - (t > 0), 1.0, State.JUMP),
    "the right edge of a domain": (other_edge, 2.0, State.AGREES),
    "the left edge of a domain": (edge, 2.0, State.AGREES),
    "an edge, and wrong": (edge, 2.01, State.DISAGREES),
    "an edge, and of the other sign": (other_edge, -2.0, State.DISAGREES),
}


def test_states_are_as_bad_as_they_stand():
    assert [state.name for state in sorted(State)] == ["AGREES", "UNRESOLVED", "KINK", "JUMP", "DISAGREES"]
    assert [int(state) for state in State] == [0, 1, 2, 3, 4]


STAIRCASE = (lambda t: np.float32(3 + 1e-3 * t), 1e-3, None)  # single precision inside


@pytest.mark.parametrize("case", [*STATES, "a staircase"])
def test_a_cotangent_of_the_other_sign_changes_signs_alone(case):
    f, value, _ = STATES.get(case, STAIRCASE)
    one, other = judged(f, value), judged(f, -value, ((-1.0,),))
    assert (one.state, one.kinked) == (other.state, other.kinked)
    assert np.array_equal(one.numeric, -other.numeric, equal_nan=True)
    assert np.array_equal([one.error, one.allowed], [other.error, other.allowed], equal_nan=True)


@pytest.mark.parametrize("case", STATES)
def test_the_state_is_what_the_line_shows(case):
    f, value, state = STATES[case]
    verdict = judged(f, value)
    assert verdict.state is state
    assert verdict.kinked == ("kink" in case)
    assert verdict.analytic.tolist() == [value]


@pytest.mark.parametrize("case", [case for case, (_, _, state) in STATES.items() if state is State.AGREES])
def test_what_agrees_is_known_to_many_digits(case):
    f, value, _ = STATES[case]
    verdict = judged(f, value)
    assert abs(verdict.numeric[0] - value) <= 10 * verdict.error[0]
    assert verdict.error[0] <= verdict.allowed[0] < 1e-4 * max(abs(value), 1.0)


@pytest.mark.parametrize("weight", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_is_lost_below_the_last_bit_of_a_large_output_is_allowed(weight, sign):
    """1e10 + 1e-9 t is a constant in floats: a derivative of 1e-9 is no error, one of 1e-3 is."""
    line = lambda t: np.array([sign * (1e10 + 1e-9 * t), np.sin(t)])
    cotangents = weight * np.array([[1.0, -1.0], [1.0, 1.0]])
    right = np.array([1e-9 * sign, 0.0]) @ cotangents + np.array([0.0, 1.0]) @ cotangents
    for off, state in ((0.0, State.AGREES), (1e-6, State.AGREES), (1e-2, State.DISAGREES)):
        assert judged(line, right + weight * off, cotangents).state is state


@pytest.mark.parametrize(("moved", "state"), [(0.0, State.DISAGREES), (1e6, State.AGREES)])
def test_the_rounding_of_large_arguments_is_allowed(moved, state):
    """What an argument of that many steps' size is rounded by moves f along the line."""
    assert judged(lambda t: 1e-3 * np.sin(t), 1e-3 + 1e-9, moved=moved).state is state


def test_a_kink_is_looked_for_along_one_coordinate_alone():
    """Along a direction through several kinks a right gradient need not lie between the two sides."""
    verdict = judged(lambda t: abs(t), 0.5, single=False)
    assert (verdict.state, verdict.kinked) == (State.DISAGREES, True)


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("wrong", [None, 0, 1])
def test_every_cotangent_has_its_own_derivative(wrong, single):
    line = lambda t: np.array([np.exp(t), np.sin(2 * t)])
    value = np.array([1.0, 2.0]) @ BOTH
    if wrong is not None:
        value[wrong] += 0.01
    verdict = judged(line, value, BOTH, single=single)
    assert verdict.state is (State.AGREES if wrong is None else State.DISAGREES)
    assert verdict.numeric == pytest.approx(np.array([1.0, 2.0]) @ BOTH, rel=1e-8)
    if wrong is not None:
        assert verdict.cotangent == wrong
    else:
        assert verdict.column == pytest.approx([1.0, 2.0], rel=1e-3)


@pytest.mark.parametrize(
    ("value", "state"),
    [([-2.0 + 1.0, -0.5 - 2.0], State.KINK), ([4.0, -1.5], State.KINK), ([4.3, -1.5], State.DISAGREES),
     ([-2.3, -1.5], State.DISAGREES), ([1.0, -1.4], State.DISAGREES), ([1.0, -2.6], State.DISAGREES)],
)  # fmt: skip
def test_a_kink_of_one_output_among_smooth_ones_weighs_as_its_cotangent(value, state):
    """|t| and t: derivatives -3..3 plus 1 by the first cotangent, -0.5..0.5 minus 2 by the second."""
    assert judged(lambda t: np.array([t, abs(t)]), value, BOTH).state is state


def test_a_quick_look_does_not_go_on_where_four_steps_tell():
    asked = []
    f = lambda t: asked.append(t) or np.exp(t)
    assert judged(f, 1.1, quick=True).state is State.DISAGREES
    few = len(asked)
    assert judged(f, 1.1).state is State.DISAGREES
    assert len(asked) - few > few


@pytest.mark.parametrize(("unsteady", "state"), [(0.0, State.DISAGREES), (1e-4, State.AGREES), (0.1, State.DISAGREES)])
def test_a_backward_that_rounding_moves_may_be_as_far_off(unsteady, state):
    """If it is a little; one that any rounding turns round is no excuse."""
    assert judged(np.exp, 1.0005, unsteady=unsteady).state is state


def test_single_precision_is_judged_by_its_own_rounding():
    f = lambda t: np.float64(np.exp(np.float32(t)))
    for factor, state in ((1.0, State.AGREES), (1.05, State.DISAGREES)):
        assert judged(f, factor, eps=float(np.finfo(np.float32).eps)).state is state


@pytest.mark.parametrize(
    ("numeric", "allowed", "worst"),
    [([1.0, 5.0], [1.0, 1.0], 1), ([9.0, 5.0], [1.0, 1.0], 0), ([9.0, 5.0], [100.0, 1.0], 1),
     ([np.nan, 1.0], [1, 1], 1),
     ([1.0, 2.0], [0.0, 0.0], 1)],
)  # fmt: skip
def test_the_cotangent_that_shows_most_is_the_one_furthest_off_for_what_is_allowed(numeric, allowed, worst):
    arrays = [np.array(x, float) for x in ([0.0, 0.0], numeric, [0.0, 0.0], allowed)]
    assert Verdict(State.DISAGREES, *arrays, False, None).cotangent == worst
