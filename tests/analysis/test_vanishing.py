import numpy as np
import pytest

from minirnn.analysis.terminal import terminal_panel, terminal_panels
from minirnn.analysis.vanishing import Curve, Panel, lag_curves, trained_curves


@pytest.fixture(scope="module")
def panels():
    return lag_curves(lags=30)


def test_a_simple_rnn_vanishes_with_its_spectral_radius_and_the_formula_bounds_it(panels):
    measured = {curve.label: curve.values for curve in panels[0].curves if not curve.predicted}
    assert list(measured) == ["0.5", "0.9", "1", "1.2"]
    assert measured["0.5"][25] < 1e-6 < measured["0.9"][25] < measured["1"][25]
    formula = next(curve.values for curve in panels[0].curves if curve.predicted)
    assert (measured["0.5"] <= formula * 1.001).all()
    assert measured["0.5"] == pytest.approx(formula, rel=0.9)


@pytest.mark.parametrize("kind", [1, 2])
def test_a_gate_that_keeps_keeps_the_gradient(panels, kind):
    values = [curve.values[-1] for curve in panels[kind].curves]
    assert values[0] < 1e-3 * values[1] < values[2]


@pytest.mark.slow
def test_gated_networks_learn_to_remember_and_the_simple_one_does_not():
    curves = {curve.label.partition(",")[0]: curve for curve in trained_curves().curves if not curve.predicted}
    recalled = {name: int(curve.label.partition("after: ")[2].partition("%")[0]) for name, curve in curves.items()}
    assert recalled["tanh RNN"] < 60 < 90 < min(recalled["GRU"], recalled["LSTM"])
    assert curves["tanh RNN"].values[22] < 1e-3 * curves["GRU"].values[22]


def test_before_and_after_are_there_for_each_network():
    panel = trained_curves(lags=24, steps=2)
    assert [curve.label.partition(",")[0] for curve in panel.curves[::2]] == ["tanh RNN", "GRU", "LSTM"]
    assert all(len(curve.values) == 24 for curve in panel.curves)
    assert not np.array_equal(panel.curves[0].values, panel.curves[1].values)


# ---------------------------------------------------------------- in the terminal
def test_a_straight_line_on_the_logarithmic_axis_is_a_straight_line():
    lines = terminal_panel(Panel("decay", [Curve("half", 10.0 ** -np.arange(11))]), width=50, height=11)
    rows = [line for line in lines if "|" in line]
    places = [row.index("A") for row in rows]
    assert len(rows) == 11
    assert places == sorted(places)
    assert max(np.diff(places)) - min(np.diff(places)) <= 1 or np.std(np.diff(places)) < 1
    assert lines[0].strip() == "decay"
    assert "A half" in lines[-1]
    assert rows[0].startswith(" 1e+0")


def test_predicted_curves_are_dots_below_measured_ones_and_zeros_are_left_out():
    panel = Panel("p", [Curve("1", np.array([1.0, 1, 0, 0])), Curve("1: formula", np.ones(4), predicted=True)])
    text = "\n".join(terminal_panel(panel, width=40, height=5))
    assert "AAA" in text
    assert "···" in text
    assert "· formula" in text


def test_panels_stand_side_by_side_where_there_is_room():
    panel = Panel("one", [Curve("x", np.geomspace(1, 1e-5, 20))])
    narrow, wide = (terminal_panels([panel] * 3, width=width) for width in (60, 130))
    assert max(map(len, wide.splitlines())) <= 130
    assert wide.splitlines()[0].split() == ["one", "one", "one"]
    assert len(narrow.splitlines()) > 2 * len(wide.splitlines())


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(ValueError, match="nothing above 0"):
        terminal_panel(Panel("p", [Curve("x", np.zeros(3))]))
    with pytest.raises(ValueError, match="width=10"):
        terminal_panel(Panel("p", [Curve("x", np.ones(3))]), width=10)
