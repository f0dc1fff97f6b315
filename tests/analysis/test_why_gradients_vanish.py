"""The page on vanishing gradients, in both languages: its code runs, and its pictures are made by its command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["docs/why_gradients_vanish.md", "docs/ko/why_gradients_vanish.md"]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def run(*words):
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_pages_code_does_what_it_says():
    assert "spectral radius 0.50" in run("-c", "\n".join(blocks(PAGES[0])))


def test_both_languages_have_the_same_code():
    assert blocks(PAGES[0]) == blocks(PAGES[1])
    assert blocks("README.md")[0] == blocks("README.ko.md")[0]


@pytest.mark.parametrize("page", ["README.ko.md", *PAGES])
def test_links_and_pictures_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text(encoding="utf-8")):
        assert ((ROOT / page).parent / link).exists(), link


@pytest.mark.slow
def test_one_command_makes_all_pictures_of_the_page(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'minirnn[plot]'")
    printed = run("examples/why_gradients_vanish.py", "--folder", tmp_path, "--steps", 3)
    assert "keep" in printed
    named = set(re.findall(r"!\[.*?\]\(([^)]+)\)", (ROOT / PAGES[0]).read_text(encoding="utf-8")))
    assert {path.name for path in tmp_path.iterdir()} == named
