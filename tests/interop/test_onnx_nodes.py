"""ONNX's own node cases for every operation that from_onnx reads, in their opset and the newest (in all between when
slow); the count run and passed of each operation is printed at the end of the session."""

import re

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'minirnn[onnx]'")

from onnx_nodes import NEWEST, arrays, at_opset, cases_of, difference, opset_of, ours  # noqa: E402

from minirnn.interop.onnx.cells import RECURRENT  # noqa: E402
from minirnn.interop.onnx.evaluate import OPERATIONS  # noqa: E402

# Cases that are refused, by what their names hold, and what the refusal says.
REFUSED = {
    "Cast": (r"to_FLOAT8", r"node Cast:output: attribute (to|saturate|round_mode)="),
    "Dropout": (r"training_dropout(?!_zero)", r"node Dropout:y \(Dropout\): training_mode is not supported"),
    "Identity": (r"_sequence|_opt", r"an array was expected"),
    "Scan": (r"scan_sum", r"node Scan:y: Scan of opset 8 is not supported; expected opset 9 to"),
    "RNN": (r"batchwise", r"node RNN:Y: attribute layout=1"),
    "GRU": (r"batchwise", r"node GRU:Y: attribute layout=1"),
    "LSTM": (r"batchwise|peepholes", r"node LSTM:Y.*(attribute layout=1|peepholes)"),
}


def stamped(case, every):
    """The case in the opsets in which its node is right."""
    own = opset_of(case.model)
    for opset in [own] if "scan_sum" in case.name else range(own, NEWEST + 1) if every else sorted({own, NEWEST}):
        model = at_opset(case.model, opset)
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError:
            assert opset > own
            continue
        yield model


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["two opsets", "all"])
@pytest.mark.parametrize("kind", sorted([*OPERATIONS, *RECURRENT, "Scan"]))
def test_onnxs_own_cases_of(kind, every, tmp_path, worst_errors):
    which, says = REFUSED.get(kind, ("^$", ""))
    passed, refused, worst, failed = 0, 0, 0.0, []
    cases = cases_of(kind)
    for case, model in [(one, model) for one in cases for model in stamped(one, every)]:
        run = lambda given, model=model: ours(model, arrays(given), tmp_path / "m.onnx")
        if re.search(which, case.name):
            with pytest.raises(ValueError, match=says):
                [run(given) for given, _ in case.data_sets]
            refused += 1
            continue
        with np.errstate(all="ignore"):
            apart = max(
                difference(run(given), arrays(expected), case.rtol, case.atol) for given, expected in case.data_sets
            )
        passed += apart < np.inf
        worst = max(worst, apart)
        failed += [] if apart < np.inf else [(case.name, opset_of(model))]
    count = f"{passed} of {passed + len(failed)} passed, of {len(cases)} cases in one opset or more"
    worst_errors("node")(kind, worst, count + (f"; {refused} refused" if refused else ""))
    assert passed
    assert not failed
