"""What is handed on to be judged at one point."""

import numpy as np
import pytest

from minirnn.gradcheck import gradcheck, site

X = np.array([[4.0, 0.0], [-0.5, 20.0]])


@pytest.fixture
def smallest(monkeypatch):
    """The smallest coordinate that each judgement is told of, in units of its step."""
    seen, judge = [], site.judge
    monkeypatch.setattr(site, "judge", lambda *args, **how: seen.append(args[5]) or judge(*args, **how))
    return seen


def test_the_smallest_coordinate_is_told_in_units_of_the_step(smallest):
    """A coordinate's step is its own size, where that is not small beside the array's; a zero has none."""
    gradcheck(lambda x: x**2, X, vjp=lambda g, x: 2 * g * x)
    units = site.scales(X)
    assert smallest[:4] == [4.0 / units[0, 0], 1.0, 0.5 / units[1, 0], 20.0 / units[1, 1]]


def test_along_a_direction_it_is_the_smallest_of_all_that_are_moved(smallest):
    gradcheck(lambda x: x**2, X, vjp=lambda g, x: 2 * g * x, method="directions")
    ratios = np.abs(X / site.scales(X))
    least = ratios[ratios > 0].min()
    assert least <= min(smallest[:4]) <= 2 * least  # a direction moves a coordinate by half of its unit, or more
