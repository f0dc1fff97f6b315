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


@pytest.mark.parametrize(
    ("states", "values", "says"),
    [
        (np.zeros((5, 2)), np.zeros(4), r"values \(4,\) came"),
        (np.zeros((3, 2)), np.zeros(3), "leaves 2 and 1"),
        (np.zeros((5, 2)), np.full(5, np.nan), "not finite"),
    ],
)
def test_what_does_not_fit_is_said(states, values, says):
    with pytest.raises(ValueError, match=says):
        analysis.probe(states, values)
