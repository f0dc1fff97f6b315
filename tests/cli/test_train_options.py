"""Options of `minirnn train` from files and presets, tasks, and runs that are gone on with."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import SMALL, command, contents, refused
from few import few

from minirnn.train import TrainConfig, load_run, preset, read_config, read_metrics
from minirnn.train.config import options

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_every_option_of_the_config_is_one_of_the_command():
    said = command("train", "--help").output
    assert all(f"--{option.name.replace('_', '-')}" in said for option in options() if option.name != "text")


def test_a_file_a_preset_and_the_command_line_are_laid_over_each_other(text, tmp_path):
    (tmp_path / "c.toml").write_text("hidden = 6\nbatch = 3\nschedule = 'linear'\n")
    options = ["--preset", "tinyshakespeare", "--config", tmp_path / "c.toml", "--batch", 2, "--steps", 3]
    done = command("train", text, *options, "--clip", 0.5, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    config = load_run(tmp_path / "run").config
    assert (config.hidden, config.batch, config.schedule, config.steps, config.clip) == (6, 2, "linear", 3, 0.5)
    assert (config.minutes, config.embedding, config.text) == (None, preset("tinyshakespeare")["embedding"], str(text))
    assert TrainConfig(**read_config(tmp_path / "run" / "config.toml")) == config


@pytest.mark.parametrize(
    "options",
    [
        ["--tokenizer", "byte", "--dropout", "0.2", "--layers", "2"],
        ["--tokenizer", "word", "--tie-weights", "--average", "ema", "--ema-decay", "0.9"],
        ["--average", "ntasgd", "--accumulate", "2", "--schedule", "plateau", "--weight-decay", "0.1"],
        ["--schedule", "one-cycle", "--warmup", "5", "--clip-value", "0.1", "--patience", "1", "--keep", "1"],
        ["--cell", "gru", "--engine", "python", "--embedding", "3", "--on-nonfinite", "skip", "--final-lr", "0"],
    ],
)
def test_every_option_has_its_run_which_can_be_read_and_sampled(options, text, tmp_path):
    done = command("train", text, *SMALL, *options, "--val-every", 4, "--save-every", 6, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert command("sample", tmp_path / "run", "--length", 5).exit_code == 0
    assert command("eval", tmp_path / "run").exit_code == 0


def test_a_task_is_trained_and_its_baseline_said(tmp_path):
    options = ["--task", "copy", "--task-options", "delay=4,length=2", "--steps", 3, "--hidden", 4]
    done = command("train", *options, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "CopyMemory(delay=4, symbols=8, length=2)" in done.output
    assert "symbols recalled" in done.output


def test_tensorboard_without_its_extra_is_one_line_and_leaves_no_folder(text, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    said = refused("train", text, *SMALL, "--tensorboard", "--out", tmp_path / "run")
    assert "pip install 'minirnn[tensorboard]'" in said
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------- going on
@pytest.fixture
def start(text, tmp_path):
    """Start a training in a process of its own that stops after 12 steps until it is told to go on."""
    processes = []

    def start(folder):
        words = [text, *SMALL, "--steps", "120", "--save-every", "5"]
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("paused.py"), "12", "train", *words, "--out", folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        processes.append(process)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), process.stderr.read()
        assert len(read_metrics(folder)) == 12
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def same(one, other):
    before = load_run(one).model.state_dict()
    return all(np.array_equal(value, before[name]) for name, value in load_run(other).model.state_dict().items())


@pytest.mark.parametrize(
    ("harm", "code"), few([(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)], [(signal.SIGINT, 130)], names=2)
)
def test_a_run_in_use_is_refused_and_once_ended_gone_on_with_to_the_same_bits(start, harm, code, text, tmp_path):
    folder, whole = tmp_path / "run", tmp_path / "whole"
    assert command("train", text, *SMALL, "--steps", 120, "--out", whole).exit_code == 0
    process = start(folder)
    assert f"process {process.pid} is training into" in refused("train", "--resume", folder)
    for what in (harm, signal.SIGCONT):
        process.send_signal(what)
    _, said = process.communicate()
    assert process.returncode == code
    if harm == signal.SIGINT:
        assert f"Go on with: minirnn train --resume {folder}" in said
        assert "Traceback" not in said
    done = command("train", "--resume", folder)
    assert done.exit_code == 0, done.output
    assert same(folder, whole)
    assert "there is nothing to resume" in refused("train", "--resume", folder)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing"], "missing: no such folder"),
        (["."], "holds no run"),
        (["run", "--hidden", "3"], "leave out --hidden"),
        (["run", "--config", "c.toml", "--out", "x"], "leave out --out, --config"),
    ],
)
def test_resume_refuses_what_is_no_run_and_other_options(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert says in refused("train", "--resume", *words)


def test_a_training_that_diverges_is_one_line_and_leaves_its_checkpoints(text, tmp_path):
    """Weights in a checkpoint that are not finite stand for any cause."""
    from minirnn.train import Checkpoints, read_checkpoint, write_checkpoint
    from minirnn.train.run import CHECKPOINTS

    config = ["--steps", 40, "--hidden", 4, "--batch", 4, "--seq-length", 8, "--save-every", 5, "--keep", 1]
    folder = tmp_path / "run"
    assert command("train", text, *config, "--val-every", 40, "--out", folder).exit_code == 0
    (folder / "run.json").write_text((folder / "run.json").read_text().replace('"finished": true', '"finished": false'))
    best, newest = (
        Checkpoints(folder / CHECKPOINTS).paths("best")[0],
        Checkpoints(folder / CHECKPOINTS).paths("step")[0],
    )
    best.unlink()
    state = read_checkpoint(newest)
    state["model"]["head.bias"][0] = np.nan
    earlier = newest.with_name("step-000000030.safetensors")
    newest.unlink()
    state["step"] = 30
    write_checkpoint(earlier, state)
    before = contents(folder / CHECKPOINTS)
    said = refused("train", "--resume", folder)
    assert "at step 31, the loss is nan; the first value not finite is the parameter head.bias" in said
    assert f"The newest checkpoint is {earlier}" in said
    assert contents(folder / CHECKPOINTS) == before
