"""The page on data says what is true: its code runs, and its figures are those of the code."""

import re
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
