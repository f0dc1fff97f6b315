import autograd.numpy as np
import numpy as onp
import pytest
from analysis_cases import layer_of

import minirnn
from minirnn import analysis


@minirnn.cell(nothing=("input",))
def chain(p, h, x):
    """Each unit hands on what it holds to the next."""
    h = np.concatenate([x, h[:, :-1]], axis=1)
    return h, h


def test_a_chain_of_units_remembers_as_many_steps_as_it_has_units(rng):
    found = analysis.memory_capacity(minirnn.Recurrent(chain(1, 6, dtype=onp.float64)), rng, steps=1000)
    assert found.by_lag[:5] == pytest.approx(1)  # the newest of the six holds u(t) itself
    assert found.by_lag[5:] == pytest.approx(0, abs=0.05)


def test_what_was_learned_by_heart_is_not_remembered(rng):
    """As many numbers as steps, nearly: a fit to the steps that it is scored on would be near 1 at every lag."""
    layer = minirnn.RNN(1, 40, rng=onp.random.default_rng(0), dtype=onp.float64)
    found = analysis.memory_capacity(layer, rng, steps=200, lags=80)
    assert found.by_lag[40:].mean() < 0.1


def test_it_is_at_most_the_number_of_units_and_more_for_a_larger_spectral_radius(rng):
    totals = []
    for radius in (0.3, 0.95):
        layer = minirnn.RNN(2, 10, bias=False, rng=onp.random.default_rng(0), dtype=onp.float64)
        layer.cells()[0].weight_hh[...] *= radius / analysis.recurrent_map(layer).spectral_radius
        totals.append(analysis.memory_capacity(layer, rng, steps=2000, scale=0.1).total)
    assert 0 < totals[0] < totals[1] < 10.5


def test_what_cannot_be_measured_is_said(rng):
    with pytest.raises(ValueError, match="steps=20 leaves"):
        analysis.memory_capacity(layer_of("LSTM"), rng, steps=20)
    with pytest.raises(ValueError, match="lags=0"):
        analysis.memory_capacity(layer_of("LSTM"), rng, lags=0)
    with pytest.raises(ValueError, match="vectors were expected"):
        analysis.memory_capacity(layer_of("ConvLSTM"), rng)
