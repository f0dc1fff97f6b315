"""Trainings that are killed, in processes of their own; disks that are full, folders that are read-only or gone."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from few import few
from survivor import EVERY, STEPS, survive
from test_resume import Stop, StopAt, outcome

from minirnn.train import Checkpoints, FolderInUseError, read_metrics

SURVIVOR = Path(__file__).with_name("survivor.py")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    finish(folder)
    return outcome(folder)


def start(folder, *arguments):
    process = subprocess.Popen(
        [sys.executable, SURVIVOR, folder, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def start_and_pause(folder, step):
    """A training that waits after this step; SIGCONT lets it go on."""
    process = start(folder, EVERY, "pause", step)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), process.stderr.read()
    return process


def steps_done(folder):
    return read_metrics(folder)[-1]["step"] if (folder / "metrics.jsonl").exists() and read_metrics(folder) else 0


def check_at_most_one_save_is_lost(folder):
    done = steps_done(folder)
    found = Checkpoints(folder / "checkpoints").latest()
    assert (0 if found is None else found.step) >= done - EVERY
    return done


@pytest.fixture(scope="module")
def survivor():
    with subprocess.Popen([sys.executable, SURVIVOR, "--forks"], stdin=-1, stdout=-1, text=True) as process:
        yield process


def kill_again_and_again(survivor, folder, kills, seed):
    """Kill the training at random instants, so often while it is at work; a pause wherever one is over."""
    rng = random.Random(seed)
    while kills:
        print(folder, file=survivor.stdin, flush=True)
        assert survivor.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 0.25))
        print(file=survivor.stdin, flush=True)
        code = int(survivor.stdout.readline())
        assert code in (0, -signal.SIGKILL)
        kills -= code != 0  # it may have been over already
        if check_at_most_one_save_is_lost(folder) > STEPS - 40:  # nearly over: begin another one
            finish(folder)
            yield
            shutil.rmtree(folder)
            folder.mkdir()
    finish(folder)
    yield


def finish(folder):
    """Take the training up in this process: what Python takes to start would be most of the time."""
    survive(folder, every=60, callbacks=[lambda progress: None])  # as many callbacks as survivor.py has


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_random_instants_it_loses_at_most_one_save_and_no_bit(survivor, tmp_path, whole, kills):
    for _ in kill_again_and_again(survivor, tmp_path, kills, seed=kills):
        assert outcome(tmp_path) == whole


@pytest.mark.parametrize(
    "stage",
    few(
        ["before fsync", "before replace", "after replace", "before unlink", "after unlink"],
        ["before replace", "after unlink"],
    ),
)
def test_killed_in_the_middle_of_a_save_the_folder_holds_a_whole_checkpoint(tmp_path, whole, stage):
    process = start(tmp_path, EVERY, stage, 7)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    check_at_most_one_save_is_lost(tmp_path)
    finish(tmp_path)
    assert outcome(tmp_path) == whole
    assert not list(tmp_path.glob("**/.*.part"))


# ---------------------------------------------------------------- disks and folders
def test_a_full_disk_ends_the_training_with_the_older_checkpoints_intact(tmp_path, whole):
    with pytest.raises(Stop):
        survive(tmp_path, callbacks=[StopAt(10)])
    size = Checkpoints(tmp_path / "checkpoints").paths()[0].stat().st_size
    process = start(tmp_path, EVERY, "full", size // 2)
    _, said = process.communicate()
    assert process.returncode == 1
    assert "File too large" in said
    assert Checkpoints(tmp_path / "checkpoints").latest().step == 9
    assert not list(tmp_path.glob("**/.*.part"))
    finish(tmp_path)
    assert outcome(tmp_path) == whole


def test_a_folder_that_became_read_only_is_an_error_that_names_it(tmp_path):
    inner, root = tmp_path / "checkpoints", os.geteuid() == 0

    def close(progress):
        if progress.step == 8:  # root writes anywhere: it becomes someone else for a while
            os.seteuid(65534) if root else inner.chmod(0o500)

    try:
        with pytest.raises(PermissionError) as error:
            survive(tmp_path, steps=20, callbacks=[close])
    finally:
        os.seteuid(0) if root else inner.chmod(0o700)
    assert str(inner) in str(error.value)
    assert Checkpoints(inner).latest().step == 6


@pytest.mark.parametrize("what", ["checkpoints", ""])
def test_a_folder_that_is_gone_is_an_error_and_is_not_made_again(tmp_path, what):
    folder = tmp_path / "run"
    remove = lambda progress: progress.step == 8 and shutil.rmtree(folder / what)
    with pytest.raises(FileNotFoundError):
        survive(folder, steps=20, callbacks=[remove])
    assert not (folder / what).exists()


def test_a_file_in_the_folders_place_is_an_error(tmp_path):
    (tmp_path / "checkpoints").write_text("mine")
    with pytest.raises(FileExistsError):
        survive(tmp_path, steps=5)
    assert (tmp_path / "checkpoints").read_text() == "mine"


def test_two_trainings_do_not_write_into_one_folder(tmp_path, whole):
    process = start_and_pause(tmp_path, 5)
    with pytest.raises(FolderInUseError, match=f"process {process.pid} is training into this folder"):
        survive(tmp_path)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert outcome(tmp_path) == whole


@pytest.mark.filterwarnings("ignore::minirnn.train.DamagedCheckpointWarning")
@pytest.mark.parametrize("harm", ["truncate", "flip", "empty"])
def test_a_damaged_newest_checkpoint_costs_one_save(tmp_path, whole, harm):
    with pytest.raises(Stop):
        survive(tmp_path, callbacks=[StopAt(31)])
    newest = Checkpoints(tmp_path / "checkpoints").paths()[0]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"truncate": content[: len(content) // 2], "flip": content, "empty": b""}[harm])
    assert Checkpoints(tmp_path / "checkpoints").latest().step == 27
    finish(tmp_path)
    assert outcome(tmp_path) == whole


# ---------------------------------------------------------------- Ctrl-C
def test_ctrl_c_ends_the_step_and_saves_it(tmp_path, whole):
    process = start_and_pause(tmp_path, 5)
    for what in (signal.SIGINT, signal.SIGCONT):
        process.send_signal(what)
    _, said = process.communicate()
    assert process.returncode != 0
    assert "TrainingInterrupted: interrupted after step" in said
    assert Checkpoints(tmp_path / "checkpoints").latest().step == steps_done(tmp_path) >= 5
    finish(tmp_path)
    assert outcome(tmp_path) == whole


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    def twice(progress):
        if progress.step == 8:
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as raised:
            survive(tmp_path, steps=20, callbacks=[twice])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert type(raised.value) is KeyboardInterrupt
    assert Checkpoints(tmp_path / "checkpoints").latest().step == 6
