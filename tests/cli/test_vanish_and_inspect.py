import importlib
import sys

import pytest
from commands import SMALL, command, refused

pytestmark = pytest.mark.usefixtures("no_pictures")

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'minirnn[plot]'")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of a Korean text, and one of a task."""
    folder = tmp_path_factory.mktemp("inside")
    (folder / "text.txt").write_text('나는 "학생"이다. I am a student.\n' * 60, encoding="utf-8")
    done = command("train", folder / "text.txt", *SMALL, "--layers", 2, "--out", folder / "text")
    assert done.exit_code == 0, done.output
    assert command("train", "--task", "reber", "--steps", 2, "--hidden", 4, "--out", folder / "task").exit_code == 0
    return folder


@pytest.fixture
def few_units(monkeypatch):
    importlib.import_module("minirnn.analysis.vanishing")
    monkeypatch.setattr(sys.modules["minirnn.analysis.vanishing"], "HIDDEN", 6)


def test_vanish_draws_in_the_terminal_and_a_picture(few_units, tmp_path):
    done = command("vanish", "--png", tmp_path / "v.pdf", "--lags", 24, "--steps", 2, "--width", 100)
    assert done.exit_code == 0, done.output
    for said in ("tanh RNN, by spectral radius", "GRU, by bias", "LSTM, by bias", "before and after", "|W_rec^k W_in|"):
        assert said in done.output
    assert max(map(len, done.output.splitlines()[2:-2])) <= 100
    assert (tmp_path / "v.pdf").read_bytes().startswith(b"%PDF")


def test_without_matplotlib_vanish_draws_in_the_terminal_and_says_what_to_install(few_units, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = command("vanish", "--png", tmp_path / "v.png", "--lags", 24, "--steps", 2)
    assert done.exit_code == 0
    assert "pip install 'minirnn[plot]'" in done.output
    assert not (tmp_path / "v.png").exists()


def test_inspect_writes_a_page_into_the_run(runs):
    done = command("inspect", runs / "text")
    assert done.exit_code == 0, done.output
    page = (runs / "text" / "inspect.html").read_text()
    assert "tokens of the held-out part of text.txt" in page
    assert str(runs) not in page
    assert "Learning curves" in page
    assert "2: LSTMCell" in page


def test_inspect_reads_another_text(runs, tmp_path):
    text = "A student am I, 나는 학생이다."
    (tmp_path / "other.txt").write_text(text, encoding="utf-8")
    done = command("inspect", runs / "text", "--text", tmp_path / "other.txt", "--out", tmp_path / "x.html")
    assert done.exit_code == 0, done.output
    assert f"{len(text)} tokens of other.txt" in (tmp_path / "x.html").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing"], "missing: no such folder"),
        (["task"], "learned a task, not a text"),
        (["text", "--text", "missing.txt"], "missing.txt: No such file"),
        (["text", "--out", "nowhere/x.html"], "nowhere"),
    ],
)
def test_what_cannot_be_inspected_is_one_line(runs, monkeypatch, words, says):
    monkeypatch.chdir(runs)
    assert says in refused("inspect", *words)
