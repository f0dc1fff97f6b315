import sys

import pytest
from commands import SMALL, command, refused

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of a text, a run of a task, and a damaged one."""
    folder = tmp_path_factory.mktemp("looking")
    for name in ("empty", "damaged"):
        (folder / name).mkdir()
    (folder / "damaged" / "run.json").write_text("{")
    (folder / "text.txt").write_text("나는 학생이다. I am a student.\n" * 40, encoding="utf-8")
    (folder / "other.txt").write_text("A student am I.")
    assert command("train", folder / "text.txt", *SMALL, "--out", folder / "runs" / "1").exit_code == 0
    done = command("train", "--task", "reber", "--steps", 2, "--hidden", 4, "--out", folder / "runs" / "2")
    assert done.exit_code == 0
    return folder


@pytest.fixture(autouse=True)
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)


def test_eval_scores_a_run_on_its_own_and_on_another_text():
    own, other = command("eval", "runs/1").output, command("eval", "runs/1", "other.txt").output
    assert "runs/1 on the held-out part of" in own
    assert "runs/1 on other.txt" in other
    for name in ("bits per char", "nats", "perplexity", "accuracy", "tokens"):
        assert name in own
        assert name in other
    assert "held out metric" in command("eval", "runs/2").output


def test_runs_are_listed():
    lines = command("runs").output.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "runs/1", "runs/2"]
    assert "val_loss" in lines[1]
    assert "reber" in lines[2]


def test_show_draws_figures_and_curves(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'minirnn[plot]'")
    done = command("show", "runs/1", "--png", tmp_path / "other.png")
    assert done.exit_code == 0, done.output
    assert "runs/1: 20 steps, finished" in done.output
    assert "• loss   x val_loss" in done.output
    assert (tmp_path / "other.png").stat().st_size > 1000


def test_without_matplotlib_show_draws_in_the_terminal_and_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = command("show", "runs/1")
    assert done.exit_code == 0
    assert "pip install 'minirnn[plot]'" in done.output
    assert "minirnn[plot]" in refused("show", "runs/1", "--png", "other.png")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["eval", "missing"], "missing: no such folder"),
        (["eval", "runs"], "holds no run"),
        (["eval", "runs/1", "missing.txt"], "missing.txt: No such file"),
        (["eval", "runs/2", "text.txt"], "learned a task"),
        (["runs", "missing"], "missing: no such folder"),
        (["runs", "empty"], "empty holds no runs"),
        (["show", "missing"], "missing: no such folder"),
        (["show", "damaged"], "damaged/run.json is no JSON"),
        (["runs", "damaged"], "damaged/run.json is no JSON"),
    ],
)
def test_what_is_no_run_is_one_line(words, says):
    done = command(*words)
    assert says in done.output.strip().splitlines()[-1]
    assert done.exit_code == (0 if words == ["runs", "damaged"] else 2)
    assert "Traceback" not in done.output
