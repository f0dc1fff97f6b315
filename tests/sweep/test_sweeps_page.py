"""The code of docs/sweeps.md does what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'minirnn[sweep]'")
pytest.importorskip("distributed", reason="dask is not installed: pip install 'minirnn[sweep]'")

from minirnn.sweep import read_spec

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sweeps.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_spec_is_one(tmp_path):
    (tmp_path / "spec.toml").write_text(blocks("toml")[0])
    assert read_spec(tmp_path / "spec.toml").trials == 20


@pytest.mark.slow
def test_the_program_runs(tmp_path):
    (tmp_path / "program.py").write_text(blocks("python")[0])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    assert "rate" in done.stdout
