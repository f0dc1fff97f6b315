import pytest
from commands import SMALL, command, contents, refused

pytestmark = pytest.mark.usefixtures("no_pictures")


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
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--cell", "lstn", "one of lstm, gru, rnn"),
        ("--hidden", 0, "hidden=0"),
        ("--lr", "nan", "lr=nan"),
        ("--engine", "warp", "engine='warp' came, one of auto"),
        ("--preset", "huge", "preset 'huge' came, one of"),
        ("--config", "missing.toml", "missing.toml: No such file"),
        ("--task", "copy", "give one of them"),
    ],
)
def test_a_bad_option_is_one_line(option, value, says, text, tmp_path):
    assert says in refused("train", text, option, value, "--out", tmp_path / "run")


def test_a_folder_that_holds_a_run_or_cannot_be_written_is_left_alone(text, tmp_path):
    command("train", text, *SMALL, "--out", tmp_path / "run")
    before = contents(tmp_path / "run")
    assert "already holds a run" in refused("train", text, *SMALL, "--out", tmp_path / "run")
    assert contents(tmp_path / "run") == before
    assert "Not a directory" in refused("train", text, *SMALL, "--out", text / "run")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a run of a text and one of a task."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text("I am a student.\n" * 40)
    assert command("train", folder / "text.txt", *SMALL, "--out", folder / "run").exit_code == 0
    task = ["--task", "reber", "--steps", 2, "--hidden", 4]
    assert command("train", *task, "--out", folder / "task").exit_code == 0
    return folder


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing"], "no such folder"),
        (["."], "holds no run"),
        (["run", "--temperature", "-1"], "temperature=-1"),
        (["run", "--seed", "-1"], "--seed -1"),
        (["run", "--length", "-1"], "length=-1"),
        (["run", "--top-k", "0"], "top_k=0"),
        (["run", "--top-p", "2"], "top_p=2.0"),
        (["run", "--samples", "0"], "samples=0"),
        (["run", "--samples", "2", "--stream"], "--stream shows one text"),
        (["task"], "learned a task"),
    ],
)
def test_sample_refuses_what_is_no_checkpoint_and_bad_options(words, says, runs, monkeypatch):
    monkeypatch.chdir(runs)
    assert says in refused("sample", *words)


def test_several_texts_are_drawn_and_one_can_be_watched(text, tmp_path):
    command("train", text, *SMALL, "--out", tmp_path / "run")
    options = ["sample", tmp_path / "run", "--prime", "I ", "--length", 20, "--top-k", 3, "--temperature", 0.5]
    several = command(*options, "--samples", 3).output
    assert [line for line in several.splitlines() if line.startswith("---")] == ["--- 1", "--- 2", "--- 3"]
    assert several.count("I ") >= 3
    assert command(*options, "--stream").output == command(*options).output


def test_a_damaged_checkpoint_is_one_line(text, tmp_path):
    command("train", text, *SMALL, "--out", tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").write_bytes(b"nothing")
    assert "no safetensors file" in refused("sample", tmp_path / "run")


@pytest.mark.parametrize("cell", ["mgu", pytest.param("PhasedLSTM", marks=pytest.mark.slow)])
def test_a_published_cell_is_trained_evaluated_sampled_and_shown(cell, text, tmp_path):
    done = command("train", text, *SMALL, "--cell", cell, "--layers", 2, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert command("sample", tmp_path / "run", "--length", 5).exit_code == 0
    assert "bits" in command("eval", tmp_path / "run").output
    assert command("show", tmp_path / "run").exit_code == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--cell", "mgux"], "near it are MGU"),
        (["--cell", "convlstm"], "whose input is a frame"),
        (["--cell", "clockworkrnn", "--hidden", "6"], "hidden_size=6"),
    ],
)
def test_a_cell_that_cannot_be_had_is_one_line(options, says, text, tmp_path):
    assert says in refused("train", text, *SMALL, *options, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
