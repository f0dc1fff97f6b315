import pytest
from typer.testing import CliRunner

from minirnn.cli import app

SMALL = ["--steps", "20", "--hidden", "8", "--batch", "4", "--seq-length", "8"]


def command(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("나는 학생이다. I am a student.\n" * 40, encoding="utf-8")
    return path


def test_train_prints_its_figures_and_sample_continues(text, tmp_path):
    done = command("train", text, *SMALL, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    for word in ("1,000 characters", "LanguageModel", "bigram", "held-out bits/char:", "a sample", "saved in"):
        assert word in done.output
    first, second, other = (
        command("sample", tmp_path / "run", "--prime", "나는", "--length", 20, "--seed", seed).output
        for seed in (1, 1, 2)
    )
    assert first == second != other
    assert first.startswith("나는")
    assert len(first) == 2 + 20 + 1


def test_an_unknown_prime_is_said(text, tmp_path):
    command("train", text, *SMALL, "--out", tmp_path / "run")
    done = command("sample", tmp_path / "run", "--prime", "Ω", "--length", 3)
    assert done.exit_code == 0
    assert "never seen 1 of the prime's tokens" in done.output


def test_runs_without_a_name_are_numbered(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        assert f"saved in runs/{number}" in command("train", text, *SMALL).output


def test_without_a_text_it_reads_the_standard_library(tmp_path):
    done = command("train", "--steps", 1, "--hidden", 4, "--out", tmp_path / "run")
    assert done.exit_code == 0
    assert "Python's standard library" in done.output


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(*words):
    """The one line that the command says, its exit code being 2."""
    done = command(*words)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    lines = done.output.strip().splitlines()
    return lines[-1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "the text is empty"),
        (b"short", "too short"),
        (b"abc\xff" * 99, "is not UTF-8"),
        (b"\0\1" * 99, "binary"),
    ],
)
def test_a_bad_text_is_one_line(content, says, tmp_path):
    path = tmp_path / "text"
    if content is not None:
        path.write_bytes(content)
    assert says in refused("train", path, *SMALL, "--out", tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [("--cell", "lstn", "one of lstm, gru, rnn"), ("--hidden", 0, "hidden=0"), ("--lr", "nan", "lr=nan")],
)
def test_a_bad_option_is_one_line(option, value, says, text, tmp_path):
    assert says in refused("train", text, option, value, "--out", tmp_path / "run")


def test_a_folder_that_holds_a_run_or_cannot_be_written_is_left_alone(text, tmp_path):
    command("train", text, *SMALL, "--out", tmp_path / "run")
    before = contents(tmp_path / "run")
    assert "already holds a run" in refused("train", text, *SMALL, "--out", tmp_path / "run")
    assert contents(tmp_path / "run") == before
    assert "Not a directory" in refused("train", text, *SMALL, "--out", text / "run")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing"], "no such folder"),
        (["."], "holds no run"),
        (["run", "--temperature", "-1"], "temperature=-1"),
        (["run", "--seed", "-1"], "--seed -1"),
        (["run", "--length", "-1"], "length=-1"),
    ],
)
def test_sample_refuses_what_is_no_checkpoint_and_bad_options(words, says, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command("train", text, *SMALL, "--out", "run")
    assert says in refused("sample", *words)


def test_a_damaged_checkpoint_is_one_line(text, tmp_path):
    command("train", text, *SMALL, "--out", tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").write_bytes(b"nothing")
    assert "no safetensors file" in refused("sample", tmp_path / "run")
