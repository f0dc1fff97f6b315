"""Real processes under mpiexec: equal, resumed, killed."""

import os
import pickle
import random
import signal
import time

import mpi_jobs
import numpy as np
import pytest
from few import few
from mpi_jobs import HANG, HERE, finish, needs_mpi, run, start
from trainings import apart, text

from minirnn.parallel import launched, world
from minirnn.parallel.mpi import threads_of
from minirnn.train import Checkpoints, list_runs, load_run, read_checkpoint, read_metrics

JOB = HERE / "job.py"
ROUNDING = 1e-10

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def one():
    return text()


@needs_mpi
@pytest.mark.parametrize("ranks", few([1, 2, 3], [2]))
def test_n_ranks_compute_what_one_does_and_the_same_bits_again(ranks, one, tmp_path):
    """100 steps in float64 of 5 streams, two accumulated batches, two layers with dropout, clipped."""
    run(ranks, JOB, "equal", tmp_path)
    first, again = pickle.loads((tmp_path / f"{ranks}").read_bytes())
    parameters, figures = apart(one, first)
    print(f"{ranks} ranks: parameters {parameters:.1e}, losses and norms {figures:.1e} from one process")
    assert max(parameters, figures) < ROUNDING
    assert apart(first, again) == (0, 0)


@needs_mpi
@slow
def test_another_job_of_the_same_ranks_gives_the_same_bits(tmp_path):
    run(3, JOB, "equal", tmp_path)
    first, _ = pickle.loads((tmp_path / "3").read_bytes())
    run(3, JOB, "equal", tmp_path)
    assert apart(first, pickle.loads((tmp_path / "3").read_bytes())[0]) == (0, 0)


@needs_mpi
@slow
def test_two_ranks_go_on_with_what_three_began(one, tmp_path):
    run(3, JOB, "pieces", tmp_path, 30)
    run(2, JOB, "pieces", tmp_path, 100)
    parameters, losses = pickle.loads((tmp_path / "100").read_bytes())
    assert max(apart((one[0], one[1][30:]), (parameters, losses))) < ROUNDING


def wait_until(so, job=None):
    until = time.monotonic() + HANG
    while not so():
        assert job is None or job.poll() is None, job.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def begun(job, folder):
    """Wait until a job has saved something; every rank has written its number by then."""
    wait_until(lambda: Checkpoints(folder / "checkpoints").paths("step"), job)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def check_checkpoint(folder):
    found = Checkpoints(folder / "checkpoints").latest()
    assert found.path == Checkpoints(folder / "checkpoints").paths()[0]  # the newest one is whole
    return found.step


@needs_mpi
def test_a_rank_that_raises_ends_the_job_with_its_message(tmp_path):
    code, _, err = finish(start(2, JOB, "trouble", tmp_path))
    assert code != 0
    assert "minirnn: rank 1 of 2: RuntimeError: no more of this" in err
    assert check_checkpoint(tmp_path) >= 2


@needs_mpi
@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=slow)])
def test_a_killed_rank_ends_the_job_and_the_last_checkpoint_is_whole(kills, tmp_path):
    rng, steps = random.Random(kills), []
    for _ in range(kills):
        job = start(2, JOB, "endless", tmp_path)
        begun(job, tmp_path)
        pids = [int((tmp_path / f"pid {rank}").read_text()) for rank in range(2)]
        time.sleep(rng.uniform(0, 0.3))  # at any instant
        os.kill(pids[rng.randrange(2)], signal.SIGKILL)
        code, _, _ = finish(job)
        assert code != 0
        wait_until(lambda pids=pids: all(gone(pid) for pid in pids))
        steps.append(check_checkpoint(tmp_path))
        for left in [*tmp_path.glob("pid *"), *(tmp_path / "checkpoints").iterdir()]:
            left.unlink()
    print(f"{kills} ranks killed, {len(steps)} jobs ended; all checkpoints whole")


@needs_mpi
@slow
def test_ctrl_c_on_one_rank_saves_and_ends_all(tmp_path):
    job = start(2, JOB, "interrupted", tmp_path)
    begun(job, tmp_path)
    os.kill(int((tmp_path / "pid 1").read_text()), signal.SIGINT)
    assert finish(job)[0] == 0
    said = pickle.loads((tmp_path / "said").read_bytes())
    assert f"interrupted after step {check_checkpoint(tmp_path)}" in said


# ---------------------------------------------------------------- the command
SMALL = ["--steps", 12, "--hidden", 8, "--batch", 5, "--seq-length", 8, "--dropout", 0.2, "--val-every", 6]
MINIRNN = ("-m", "minirnn", "train")


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "text"
    path.write_text("the cat sat on the mat, and the dog on the log. " * 40)
    return path


@needs_mpi
@slow
def test_the_command_speaks_with_one_voice_and_keeps_one_run(written, tmp_path):
    out = run(2, *MINIRNN, written, *SMALL, "--out", tmp_path / "run")
    assert out.count("held-out bits/char:") == 1
    assert "on 2 ranks, up to 3 streams each" in out
    assert len(list_runs(tmp_path)) == 1
    assert [record["step"] for record in read_metrics(tmp_path / "run")] == list(range(1, 13))
    assert load_run(tmp_path / "run").figures["steps"] == 12
    newest = read_checkpoint(Checkpoints(tmp_path / "run" / "checkpoints").paths("step")[0])
    assert newest["environment"]["ranks"] == 2


@needs_mpi
@pytest.mark.parametrize(
    ("mine", "other", "says"),
    [
        pytest.param({}, {"--lr": 0.1}, "option lr is 0.1 on rank 1, 0.004 on rank 0", marks=slow),
        ({}, {"text": "another"}, "the text's characters is 1200 on rank 1, 1920 on rank 0"),
        pytest.param({}, {"text": "missing"}, "rank 1 of 2: FileNotFoundError", marks=slow),
        pytest.param({"text": "missing"}, {}, "No such file", marks=slow),
        pytest.param({}, {"--hidden": 0}, "rank 1 of 2: ValueError: hidden=0 came", marks=slow),
    ],
)
def test_ranks_that_were_given_different_things_are_one_line_before_training(written, tmp_path, mine, other, says):
    (tmp_path / "another").write_text("a quick brown fox jumps. " * 48)

    def words(changed):
        options = {**dict(zip(SMALL[::2], SMALL[1::2], strict=True)), "--out": tmp_path / "run", **changed}
        file = tmp_path / options.pop("text", "text")
        return [*MINIRNN, file, *(word for pair in options.items() for word in pair)]

    code, out, err = finish(start(1, *words(mine), separate=[(1, words(other))]))
    assert code == 2
    lines = [line for line in err.splitlines() if line.startswith("minirnn:")]
    assert len(lines) == 1
    assert says in lines[0]
    assert "step" not in out
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------- who there is
def test_an_mpi_that_does_not_work_is_the_reason_of_a_skip(tmp_path, monkeypatch):
    """mpi4py is there, and finds no library."""
    launcher = tmp_path / "mpiexec"
    launcher.write_text("#!/bin/sh\necho 'RuntimeError: cannot load MPI library' >&2\nexit 1\n")
    launcher.chmod(0o755)
    monkeypatch.setattr(mpi_jobs, "MPIEXEC", str(launcher))
    assert mpi_jobs.why_no_mpi.__wrapped__() == "MPI does not work here: RuntimeError: cannot load MPI library"
    monkeypatch.setattr(mpi_jobs, "MPIEXEC", None)
    assert "pip install 'minirnn[mpi]'" in mpi_jobs.why_no_mpi.__wrapped__()


def test_without_a_launcher_there_is_one_process(monkeypatch):
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert launched() is None
    assert world().size == 1


def test_mpiexec_without_mpi4py_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setenv("PMI_SIZE", "4")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"mpiexec started 4 processes.*pip install 'minirnn\[mpi\]'"):
        world()


@pytest.mark.parametrize(
    ("mine", "others", "threads"),
    [({0, 1}, [{0, 1}], 1), ({0, 1}, [{2, 3}], 2), (set(range(8)), [set(range(8))] * 2, 2), ({0}, [{0}], 1)],
)
def test_ranks_of_a_host_divide_the_processors_that_they_share(mine, others, threads):
    mine, others = frozenset(mine), [frozenset(other) for other in others]
    assert threads_of(mine, [mine, *others]) == threads


def test_processors_that_nobody_names_are_divided_too():
    assert threads_of(None, [None, None]) == max(1, (os.cpu_count() or 1) // 2)


def test_numbers_of_one_process_are_not_changed_by_the_seam(one):
    from minirnn.parallel import SINGLE

    assert apart(one, text(SINGLE)) == (0, 0)
    assert np.isfinite(one[1][-1]).all()
