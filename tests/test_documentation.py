"""The README's code, and the examples, do what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*words):
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def python_blocks(path):
    return re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), re.DOTALL)


def test_the_readmes_example_trains_and_checks():
    printed = run("-c", "\n".join(python_blocks("README.md")) + "\nprint('final loss', value)")
    assert float(printed.split("final loss")[1]) < 0.01
    assert "ok" in printed.lower()


@pytest.mark.slow
def test_char_lm_example(tmp_path):
    (tmp_path / "text").write_text("the cat sat on the mat. " * 200)
    printed = run("examples/char_lm.py", tmp_path / "text", 60)
    assert float(re.search(r"held out: ([\d.]+)", printed)[1]) < 1.5


def test_importing_minirnn_imports_no_extra():
    heavy = {"native", "scipy", "torch", "matplotlib", "jax", "typer", "rich"}
    printed = run("-c", "import minirnn, sys; print(*sys.modules)")
    assert not heavy & set(printed.split())


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").glob("**/*.md"))),
    ],
)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / path).read_text()):
        assert ((ROOT / path).parent / link).exists(), link


def test_the_lstm_that_never_learned():
    printed = run("-c", "\n".join(python_blocks("docs/lstm_that_never_learned.md")))
    assert "mismatch ok" in printed


@pytest.mark.slow
def test_the_curves_of_the_lstm_that_never_learned(tmp_path):
    printed = run("examples/lstm_that_never_learned.py", "--steps", 20, "--plot", tmp_path / "curves.png")
    assert printed.count("bits/char") == 7
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_guide_to_checking_a_gradient(tmp_path):
    layer, test = python_blocks("docs/check_a_gradient.md")
    (tmp_path / "layer.py").write_text(layer)
    (tmp_path / "test_layer.py").write_text(test)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    failed = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert "the gradient is wrong by x, weight, bias" in failed.stdout
    (tmp_path / "layer.py").write_text(layer.replace("(1 - y)", "(1 - y * y)"))
    passed = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert "1 passed" in passed.stdout, passed.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        "docs/compiled.md",
        "docs/training.md",
        "docs/data.md",
        "docs/heads.md",
        "docs/resets.md",
        "docs/regularisation.md",
        "docs/stacks.md",
    ],
)
def test_the_code_of_a_page_runs(page, tmp_path):
    code = f"import os; os.chdir({str(tmp_path)!r})\n" + "\n".join(python_blocks(page))
    run("-c", code)


def test_the_page_on_pytorch(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'minirnn[peers]'")
    run("-c", f"import os; os.chdir({str(tmp_path)!r})\n" + "\n".join(python_blocks("docs/pytorch.md")))


@pytest.mark.slow
def test_the_page_on_onnx(tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'minirnn[onnx]'")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'minirnn[peers]'")
    (tmp_path / "text").write_text("the cat sat on the mat.\n" * 100)
    small = ["--steps", 30, "--hidden", 16, "--batch", 4, "--seq-length", 16]
    run("-m", "minirnn", "train", tmp_path / "text", *small, "--out", tmp_path / "run")
    run("-m", "minirnn", "export", tmp_path / "run", tmp_path / "model.onnx")
    there = f"import os, sys; os.chdir({str(tmp_path)!r})\n"
    elsewhere, from_python = python_blocks("docs/onnx.md")
    printed = run("-c", f"{there}sys.modules['minirnn'] = None\n{elsewhere}")  # nothing of ours is needed
    assert len(printed.strip("\n")) > 150
    assert set(printed) <= set("the cat sat on the mat.\n\N{REPLACEMENT CHARACTER}")
    assert float(run("-c", there + from_python)) < 1e-5


@pytest.mark.slow
def test_the_page_on_jax(tmp_path):
    pytest.importorskip("jax", reason="jax is not installed: pip install 'minirnn[peers]'")
    cell, in_jax = python_blocks("docs/jax.md")
    (tmp_path / "my_cells.py").write_text(cell)
    run("-m", "minirnn", "export", f"{tmp_path / 'my_cells.py'}:my_cell", tmp_path / "cell_jax.py", "--to", "jax")
    run("-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.modules['minirnn'] = None\n{in_jax}")


def test_the_korean_readme_shows_what_the_english_one_shows():
    """Row by row the same code and the same pages, a page of its own language where there is one."""
    shown = {}
    for name in ("README.md", "README.ko.md"):
        rows = [line.split("|")[2] for line in (ROOT / name).read_text().splitlines() if line.startswith("| ")]
        pages = [[link.replace("docs/ko/", "docs/") for link in re.findall(r"\]\((.*?)\)", row)] for row in rows]
        shown[name] = [
            (sorted(re.findall(r"`.*?`", row)), sorted(links)) for row, links in zip(rows, pages, strict=True)
        ]
    assert shown["README.ko.md"] == shown["README.md"]
