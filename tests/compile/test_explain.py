import io

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn.compile.explain import explain


def explained(layer, features):
    out = io.StringIO()
    layer_explain = getattr(layer, "explain", None) or (lambda *a, **k: explain(layer, *a, **k))
    layer_explain(np.zeros((4, 2, features), np.float32), file=out)
    return out.getvalue()


@pytest.mark.parametrize("layer", [minirnn.LSTM(2, 3), minirnn.Recurrent(minirnn.cells.MGU(2, 3))])
def test_it_shows_both_programs_before_and_after_the_passes(layer):
    text = explained(layer, 2)
    parts = ["as traced", "after the passes", "forward, over a sequence", "backward, over the sequence"]
    assert all(part in text for part in parts)
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert "step by step:" in text
    assert "stored for backward: the states, and" in text
    assert "summed over all steps:" in text
    assert "\nruns as native code: " in text or "\nruns on generated NumPy: llvmlite is not installed" in text


def test_it_says_why_there_is_no_native_code():
    text = explained(minirnn.Recurrent(mixing(2, 3)), 2)
    assert "there is no native code for it: it mixes float32 and float64" in text


@minirnn.cell(w=("hidden", "input"))
def mixing(p, h, x):
    h = anp.astype(anp.tanh(x @ p.w.T + anp.astype(h, np.float64) @ np.eye(3)), np.float32)
    return h, h


def test_a_layer_without_a_cell_is_an_error():
    with pytest.raises(ValueError, match="Linear holds no cell"):
        explained(minirnn.Linear(2, 3), 2)
