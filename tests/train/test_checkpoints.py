"""The folder: what is kept, what is found again, and who may write."""

import os
import subprocess
import sys

import numpy as np
import pytest

from minirnn.train import CheckpointError, Checkpoints, DamagedCheckpointWarning, FolderInUseError
from minirnn.train.lock import FolderLock


@pytest.fixture
def checkpoints(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    with checkpoints.lock():
        for step in (1, 2, 3):
            checkpoints.save(step, {"step": step, "x": np.full(3, step)})
    return checkpoints


def names(checkpoints):
    return [path.name for path in checkpoints.paths()]


def test_the_newest_are_kept(checkpoints):
    assert names(checkpoints) == ["step-000000003.safetensors", "step-000000002.safetensors"]
    assert checkpoints.latest().step == 3
    assert checkpoints.best_one() is None


def test_a_best_one_replaces_the_one_before_and_counts_as_newest(checkpoints):
    for step in (4, 6):
        checkpoints.save(step, {"step": step}, "best")
    assert names(checkpoints)[0] == "best-000000006.safetensors"
    assert len(checkpoints.paths("best")) == 1
    assert checkpoints.latest().step == checkpoints.best_one().step == 6


def test_steps_are_compared_as_numbers(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (999_999_998, 999_999_999, 10**9, 10**9 + 1):
        checkpoints.save(step, {"step": step})
    assert [int(path.stem[5:]) for path in checkpoints.paths()] == [10**9 + 1, 10**9]
    assert checkpoints.latest().step == 10**9 + 1


def test_nothing_is_removed_when_a_save_fails(checkpoints, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(4, {"step": 4})
    assert names(checkpoints) == ["step-000000003.safetensors", "step-000000002.safetensors"]
    assert len(list(checkpoints.folder.glob("*.safetensors*"))) == 2


def test_a_damaged_one_is_passed_over_and_said_so(checkpoints):
    newest = checkpoints.paths()[0]
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(DamagedCheckpointWarning, match=r"step-000000003.*going back to step-000000002"):
        assert checkpoints.latest().step == 2
    checkpoints.save(3, {"step": 3})
    assert checkpoints.latest().step == 3


def test_a_damaged_one_from_later_gives_way(checkpoints):
    (checkpoints.folder / "step-000000009.safetensors").write_bytes(b"")
    checkpoints.save(4, {"step": 4})
    assert names(checkpoints) == ["step-000000004.safetensors", "step-000000003.safetensors"]


def test_where_all_are_damaged_it_is_an_error_that_names_them(checkpoints):
    for path in checkpoints.paths():
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is intact: .*step-000000003.*step-000000002"):
        checkpoints.latest()


def test_a_folder_without_any_has_none(tmp_path):
    (tmp_path / "step-12.safetensors").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("mine")
    assert Checkpoints(tmp_path).latest() is None
    assert Checkpoints(tmp_path / "missing").latest() is None


def test_a_link_out_of_the_folder_is_not_followed(checkpoints, tmp_path):
    outside = tmp_path / "outside.safetensors"
    os.replace(checkpoints.paths()[0], outside)
    (checkpoints.folder / "step-000000007.safetensors").symlink_to(outside)
    with pytest.warns(DamagedCheckpointWarning, match="leads out of the folder"):
        assert checkpoints.latest().step == 2


# ---------------------------------------------------------------- one writer
def test_a_second_writer_is_refused_and_the_first_one_named(tmp_path):
    with FolderLock(tmp_path), pytest.raises(FolderInUseError, match=f"process {os.getpid()} is training into"):
        FolderLock(tmp_path).__enter__()
    with FolderLock(tmp_path):  # it was given back
        pass


def test_of_a_longer_number_that_was_in_the_lock_no_digit_is_left(tmp_path):
    (tmp_path / ".lock").write_bytes(b"\0" + b"9" * 18)
    with FolderLock(tmp_path), pytest.raises(FolderInUseError, match=rf"process {os.getpid()} is training"):
        FolderLock(tmp_path).__enter__()


def test_the_lock_of_a_killed_process_does_not_block(tmp_path):
    code = "import sys; from minirnn.train.lock import FolderLock as L; L(sys.argv[1]).__enter__(); print(); input()"
    command = [sys.executable, "-u", "-c", code, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(FolderInUseError, match=f"process {holder.pid} "):
            FolderLock(tmp_path).__enter__()
        holder.kill()
    with FolderLock(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_what_killed_writers_left_is_removed_by_the_next(checkpoints):
    left = checkpoints.folder / ".step-000000004.safetensors.x1y2.part"
    left.write_bytes(b"half")
    with checkpoints.lock():
        assert not left.exists()
