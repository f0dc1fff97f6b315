"""Every example runs, briefly, and says what its docstring says it does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from few import few

from minirnn.train import TrainConfig, task_experiment, train

ROOT = Path(__file__).parents[1]
NAMES = "emma\nolivia\nava\nisabella\nsophia\nmia\namelia\nharper\nevelyn\nabigail\nemily\nella\n"

# words, and what is printed
EXAMPLES = {
    "name_generation": (["--names", "names.txt", "--steps", "5"], r"12 names; held out: [\d.]+ bits[\s\S]*are new: "),
    "digits": (
        ["--steps", "3"],
        r"columns a picture: 2 \(\d+\)[\s\S]*last: [\d.]+%[\s\S]*mean: [\d.]+%[\s\S]*max : [\d.]+%",
    ),
    "adding_problem": (
        ["--length", "6", "--steps", "3", "--plot", "curves.png"],
        r"RNN .*mse[\s\S]*LSTM .*mse[\s\S]*GRU .*mse[\s\S]*IRNN .*mse[\s\S]*LEM .*mse [\d.]+, ",
    ),
    "bilingual": (["text.txt", "--steps", "3"], r"held out: [\d.]+ bits a letter"),
    "sklearn_digits": (
        ["2"],
        r"logistic regression: 0\.9\d+ right\na GRU over the rows: [\d.]+ right[\s\S]*error [\d.]+ by a GRU",
    ),
    "cell_in_jax": (
        ["--steps", "2", "--length", "6"],
        r"mean squared error [\d.]+\n[\s\S]*: \de-0[6-9] from JAX's outputs",
    ),
    "recurrent_policy": (["--chunks", "3"], r"3 chunks: [\d.]+% of the last \d+ turns are right"),
    "torch_training": (["--steps", "10", "--longest", "6"], r"step 10: mean squared error [\d.]+"),
    "reverse_strings": (
        ["--steps", "2"],
        r"without attention, beam of 5: [\d.]+%[\s\S]*with attention, beam of 5: [\d.]+%",
    ),
}


@pytest.fixture
def run_example(tmp_path):
    def run(name, words):
        command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("name", few(EXAMPLES, ["name_generation"]))
def test_an_example_runs(name, run_example, tmp_path):
    if name == "digits":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'minirnn[digits]'")
    if name == "cell_in_jax":
        pytest.importorskip("jax", reason="JAX is not installed: pip install 'minirnn[peers]'")
    if name == "adding_problem":
        pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'minirnn[plot]'")
    if name == "torch_training":
        pytest.importorskip("torch", reason="torch is not installed: pip install 'minirnn[peers]'")
    (tmp_path / "names.txt").write_text(NAMES)
    (tmp_path / "text.txt").write_text("나는 빵을 먹는다. I eat bread.\n" * 100, encoding="utf-8")
    words, printed = EXAMPLES[name]
    assert re.search(printed, run_example(name, words))
    if name == "adding_problem":
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_curves_are_drawn_from_the_folders_of_runs(run_example, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'minirnn[plot]'")
    for task in ("adding", "copy"):
        train(task_experiment(TrainConfig(task=task, steps=2, hidden=4, batch=2)), tmp_path / task)
    run_example("long_memory", ["adding", "copy", "--plot", "curves.png"])
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "name", ["name_generation", "digits", "adding_problem", "bilingual", "reverse_strings", "long_memory"]
)
def test_an_example_is_short_and_says_what_it_reaches(name):
    source = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) < 60
    assert f"python examples/{name}.py" in source.split('"""')[1]
    assert re.search(r"\d", source.split('"""')[1])
