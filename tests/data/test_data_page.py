"""The page on data says what is true: its code runs, and its figures are those of the code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minirnn.data.tasks import make_task

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_pages_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)), {})


@pytest.mark.parametrize("name", ["reber", "embedded-reber"])
def test_the_pages_figures_are_the_tasks(name):
    baseline, optimum = re.search(rf"\| `{name}` \|.*\| ([\d.]+) \(optimum ([\d.]+)\)", PAGE).groups()
    assert (baseline, optimum) == (f"{make_task(name).baseline:.4f}", f"{make_task(name).optimum:.4f}")


def test_the_adding_example_runs():
    words = [sys.executable, "examples/adding_problem.py", "--length", "10", "--steps", "20"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    assert re.search(r"GRU.*mse [\d.]+.*baseline 0\.1667", done.stdout)
