import numpy as np
import pytest

from minirnn import analysis


def test_the_unit_that_tracks_a_property_is_found_and_measured_on_what_is_held_out(rng):
    values = rng.integers(0, 2, 2000)
    states = rng.standard_normal((2000, 30))
    states[:, 17] = -2.0 * values + 0.3 * rng.standard_normal(2000)
    found = analysis.probe(states, values)
    assert found.best == 17
    assert found.held_out_correlation[17] == pytest.approx(np.corrcoef(states[1000:, 17], values[1000:])[0, 1])
    assert 0.8 < found.information[17] <= 1.0
    assert np.delete(found.information, 17).max() < 0.03
    assert analysis.probe(states[:, None], values).best == 17


def test_chance_does_not_pass_what_is_held_out(rng):
    found = analysis.probe(rng.standard_normal((60, 400)), rng.standard_normal(60))
    assert abs(found.correlation[found.best]) > 0.4
    assert abs(found.held_out_correlation[found.best]) < 0.4


def test_information_sees_what_correlation_cannot(rng):
    unit = rng.uniform(-1, 1, 4000)
    found = analysis.probe(unit[:, None], unit**2)
    assert abs(found.held_out_correlation[0]) < 0.1
    assert found.information[0] > 1


def test_what_never_moves_tracks_nothing(rng):
    found = analysis.probe(np.ones((20, 2)), rng.standard_normal(20))
    assert not found.correlation.any()
    assert not found.information.any()


@pytest.mark.parametrize("value", [0.1, 1 / 3, -7.7, 1e-300, 1e300, 0.0])
@pytest.mark.parametrize("size", [20, 33])
def test_a_constant_goes_with_nothing_whatever_its_rounding(value, size, rng):
    """The mean of equal numbers is not always that number."""
    constant, moving = np.full(size, value), rng.standard_normal(size)
    for states, values in (
        (constant, constant),
        (constant, moving),
        (moving, constant),
        (constant, np.full(size, 0.3)),
    ):
        found = analysis.probe(states[:, None], values)
        assert found.correlation.tolist() == found.held_out_correlation.tolist() == found.information.tolist() == [0.0]


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_a_correlation_knows_no_scale(scale, rng):
    states, values = rng.standard_normal((40, 3)), rng.standard_normal(40)
    expected = analysis.probe(states, values).correlation
    assert np.allclose(analysis.probe(states * scale, values).correlation, expected)
    assert np.allclose(analysis.probe(states, values * scale).correlation, expected)


@pytest.mark.parametrize(
    ("states", "values", "says"),
    [
        (np.zeros((5, 2)), np.zeros(4), r"values \(4,\) came"),
        (np.zeros((3, 2)), np.zeros(3), "leaves 2 and 1"),
        (np.zeros((5, 2)), np.full(5, np.nan), "not finite"),
        (np.array([[0.0, 1.0]] * 4 + [[0.0, np.nan]]), np.zeros(5), "unit 1 is not finite"),
    ],
)
def test_what_does_not_fit_is_said(states, values, says):
    with pytest.raises(ValueError, match=says):
        analysis.probe(states, values)
