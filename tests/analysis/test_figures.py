import subprocess
import sys

import numpy as np
import pytest
from analysis_cases import inputs_for, layer_of

from minirnn import analysis
from minirnn.analysis import Curve, Panel, figures


@pytest.fixture(scope="module", autouse=True)
def matplotlib():
    return pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'minirnn[plot]'")


def drawn(name):
    layer = layer_of("LSTM")
    xs = inputs_for(layer, 8)
    flow = analysis.gradient_flow(layer, xs)
    statistics = next(iter(analysis.gate_statistics(layer, xs).values()))
    panel = Panel("a", [Curve("x", np.geomspace(1, 1e-30, 9)), Curve("x: formula", np.ones(9), predicted=True)])
    arguments = {
        "plot_flow": (flow,),
        "plot_panel": (panel,),
        "plot_singular_values": (flow.map,),
        "plot_eigenvalues": (flow.map,),
        "plot_truncation": (analysis.TruncationBias(np.array([1, 4]), np.array([0.5, 1]), np.array([0.7, 1])),),
        "plot_memory_capacity": (analysis.MemoryCapacity(np.array([1, 0.5]), 1.5),),
        "plot_gates": (analysis.record(layer, xs, "keep")["keep"][:, 0],),
        "plot_learning": ([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "val_loss": 1.5}],),
        "plot_saturation": (statistics.gates,),
    }
    return getattr(figures, name), arguments[name]


NAMES = [name for name in figures.__all__ if name.startswith("plot_") and name != "plot_panels"]


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_draws_on_given_axes_and_is_saved_as_vectors(name, tmp_path):
    plot, arguments = drawn(name)
    _, axes = figures.figure()
    assert plot(*arguments, axes) is axes
    assert axes.has_data()
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    assert min(tick.get_fontsize() for tick in axes.get_xticklabels() or [axes.xaxis.label]) >= 8
    own = plot(*arguments)
    for ending, beginning in ((".pdf", b"%PDF"), (".svg", b"<?xml")):
        own.figure.savefig(tmp_path / f"figure{ending}")
        assert (tmp_path / f"figure{ending}").read_bytes().startswith(beginning)


def test_panels_stand_two_abreast_and_predictions_are_named_once():
    panel = Panel(
        "a", [Curve(f"{k}: f", np.ones(3), True, str(k)) for k in range(2)] + [Curve("0", np.ones(3), False, "0")]
    )
    made = figures.plot_panels([panel] * 3)
    assert [axes.axison for axes in made.axes] == [True, True, True, False]
    assert [text.get_text() for text in made.axes[0].get_legend().get_texts()] == ["dotted: f", "0"]


def test_no_two_curves_of_a_flow_differ_by_colour_alone():
    plot, arguments = drawn("plot_flow")
    looks = [(line.get_linestyle(), line.get_marker()) for line in plot(*arguments).get_lines()]
    assert len(set(looks)) == len(looks) == 4


def test_a_flow_is_drawn_over_its_lags():
    plot, (flow,) = drawn("plot_flow")
    lines = [line.get_xydata() for line in plot(flow).get_lines()]
    values = flow.input["h"].frobenius
    lags = np.arange(len(values))
    assert np.array_equal(lines[0], np.stack([lags, np.median(values, axis=1)], 1))
    assert np.array_equal(lines[1], np.stack([lags, flow.predicted["h"].frobenius], 1))
    for line, norms in zip(lines[2:], (flow.memory.along, flow.memory.through_gates), strict=True):
        x, y = line.T
        shown = np.isfinite(y)
        assert np.array_equal(x, np.arange(1, len(norms.frobenius)))
        assert np.array_equal(y[shown], np.median(norms.frobenius, axis=1)[1:][shown])
        assert shown.sum() >= len(x) - 1 > 4


def test_without_matplotlib_the_error_says_what_to_install_and_the_rest_works():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from minirnn import analysis\n"
        "try: analysis.figures.figure()\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'minirnn[plot]'" in done.stdout, done.stderr
