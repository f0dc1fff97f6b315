import json
import sys

import numpy as np
import pytest
from commands import SMALL, command, refused

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'minirnn[peers]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'minirnn[onnx]'")

from minirnn.train import load_run  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.mark.parametrize(
    "cell", ["lstm", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mgu", "clockworkrnn"))]
)
def test_an_exported_run_says_what_the_run_says(cell, text, tmp_path):
    assert command("train", text, *SMALL, "--cell", cell, "--out", tmp_path / "run").exit_code == 0
    done = command("export", tmp_path / "run", tmp_path / "model.onnx")
    assert done.exit_code == 0, done.output
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    run = load_run(tmp_path / "run")
    tokens = json.loads(session.get_modelmeta().custom_metadata_map["tokens"])
    assert tokens == [run.tokenizer.decode([token]) for token in range(len(run.tokenizer))]
    given = [one for one in session.get_inputs() if one.name.startswith("state")]
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
    state = {one.name: np.zeros([2 if n == "batch" else n for n in one.shape], kinds[one.type]) for one in given}
    xs = np.random.default_rng(0).integers(0, len(tokens), (6, 2))
    pieces = []
    for x in xs:  # step by step, with the state carried
        logits, *new = session.run(None, {"xs": x[None], **state})
        state = dict(zip(state, new, strict=True))
        pieces.append(logits)
    np.testing.assert_allclose(np.concatenate(pieces), run.model(xs)[0], atol=1e-5)


def test_what_cannot_be_exported_is_one_line(tmp_path, monkeypatch):
    assert "nowhere" in refused("export", tmp_path / "nowhere", tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "minirnn.interop.onnx.runs", raising=False)
    (tmp_path / "run").mkdir()
    assert "run" in refused("export", tmp_path / "run", tmp_path / "m.onnx")
