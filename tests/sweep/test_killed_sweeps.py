"""Sweeps whose workers, and drivers, are killed: real processes, real kills."""

import csv
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from objectives import deadly

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'minirnn[sweep]'")
pytest.importorskip("distributed", reason="dask is not installed: pip install 'minirnn[sweep]'")

from minirnn.sweep import read_spec, sweep, sweep_runs
from minirnn.sweep.cluster import connect
from minirnn.sweep.trial import attempts
from minirnn.train import list_runs, load_run, read_metrics

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")  # Dask's own
HERE = Path(__file__).parent

SPEC = """
trials = {trials}
repeats = {repeats}
[train]
text = "text"
steps = {steps}
seq_length = 8
batch = 4
val_every = 50
save_every = 20
[space]
hidden = [4, 6, 8]
lr = {{low = 1e-3, high = 1e-1, log = true}}
"""


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "text").write_text("the cat sat on the mat, and the dog on the log. " * 40)

    def write(trials, steps, repeats=1):
        (tmp_path / "spec.toml").write_text(SPEC.format(trials=trials, steps=steps, repeats=repeats))
        return read_spec(tmp_path / "spec.toml")

    return write


@pytest.fixture
def objectives_on_path(monkeypatch):
    paths = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def kill_workers(folder, kills, seed, over):
    """Kill processes that work on a trial, at random instants in the middle of it; how many.

    A process is stopped first, and goes on where its trial was over after all. No trial is killed more than thrice.
    """
    rng, done = random.Random(seed), 0
    killed = Counter()
    while done < kills and not over.is_set():
        time.sleep(rng.uniform(0.0, 0.1))
        working = [path for path in folder.glob("trials/*") if in_the_middle(path) and killed[path] < 3]
        working = [path for path in working if len(attempts(path)) > killed[path]]  # somebody goes on with it already
        if not working:
            continue
        path = rng.choice(working)
        pid = attempts(path)[-1]["pid"]
        try:
            os.kill(pid, signal.SIGSTOP)
            at_work = in_the_middle(path) and attempts(path)[-1]["pid"] == pid
            os.kill(pid, signal.SIGKILL if at_work else signal.SIGCONT)
        except ProcessLookupError:
            continue
        done += at_work
        killed[path] += at_work
    return done


def in_the_middle(path):
    """Whether a trial has saved something and not yet ended."""
    return any(path.glob("checkpoints/step-*")) and not (path / "model.safetensors").exists()


@pytest.mark.slow
def test_a_trial_whose_worker_is_killed_goes_on_from_its_checkpoint(spec, tmp_path):
    kills, trials, steps = 5, 6, 500
    made, over, killed = spec(trials=trials, steps=steps), threading.Event(), []
    killer = threading.Thread(target=lambda: killed.append(kill_workers(tmp_path / "sweep", kills, kills, over)))
    killer.start()
    try:
        with connect(workers=2) as client:
            result = sweep_runs(made, tmp_path / "sweep", client=client)
    finally:
        over.set()
        killer.join()
    assert [one.number for one in result.trials] == list(range(trials))
    assert [one.state for one in result.trials] == ["finished"] * trials
    assert killed[0] == kills
    assert result.lost >= 1  # on a busy machine Dask takes a worker for dead, too, that nobody killed
    for one in result.trials:  # each an ordinary run, that says each step once
        assert load_run(one.folder).figures["steps"] == steps
        assert [record["step"] for record in read_metrics(one.folder)] == list(range(1, steps + 1))
    assert [one.score for one in result.repeats] == [result.best.score]  # and killed or not, the same bits
    print(
        f"{killed[0]} workers killed, {result.lost} in the middle of a trial; {len(result.trials)} trials, all finished"
    )


@pytest.mark.slow
def test_an_objective_that_kills_its_worker_once_is_tried_again(objectives_on_path, tmp_path):
    with connect(workers=1) as client:
        result = sweep(deadly, {"x": [0, 1, 2, 3]}, folder=tmp_path, client=client, trials=8, sampler="random")
    assert [one.state for one in result.trials] == ["finished"] * 8
    assert all(one.attempts > 1 for one in result.trials if one.options["x"] in (1, 3))
    assert result.lost == sum(one.attempts - 1 for one in result.trials)


@pytest.mark.slow
@pytest.mark.parametrize("ours", [True, False])
def test_ten_deaths_end_the_trial_and_each_is_counted(ours, objectives_on_path, tmp_path):
    """With our own cluster, and with one that begins a task again by itself before it says so."""
    from distributed import Client
    from objectives import always_deadly

    made = connect(workers=2) if ours else Client(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    with made as client:
        result = sweep(always_deadly, {"x": [1, 2]}, folder=tmp_path, client=client, trials=3, sampler="random", seed=1)
    states = {one.options["x"]: (one.state, one.attempts) for one in result.trials}
    assert states[2][0] == "finished"  # again where its worker died, of another trial, before its result was fetched
    assert states[2][1] == 1 or not ours
    assert all(one.attempts == len(attempts(one.folder)) for one in result.trials)
    assert states[1] == ("failed", 10)  # an eleventh is refused before it begins
    assert {one.reason for one in result.trials if one.state == "failed"} == {"its worker was lost 10 times"}


@pytest.mark.slow
def test_a_killed_driver_is_gone_on_with_and_no_trial_is_lost_or_counted_twice(spec, tmp_path):
    kills = 3
    spec(trials=2 + kills, steps=400)
    rng, folder = random.Random(kills), tmp_path / "sweep"
    command = [sys.executable, "-m", "minirnn", "sweep", "--workers", "2"]
    for k in range(kills):
        words = ["--resume", folder] if k else [tmp_path / "spec.toml", "--out", folder]
        before = len(list(folder.glob("trials/*/checkpoints")))
        driver = subprocess.Popen([*command, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until = time.monotonic() + 600  # then it is taken for hung
        while len(list(folder.glob("trials/*/checkpoints"))) == before and driver.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(rng.uniform(0.0, 0.6))  # at any instant
        driver.kill()
        driver.communicate()
    done = subprocess.run([*command, "--resume", folder], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert f"{2 + kills} trials: {2 + kills} finished, 0 pruned, 0 failed" in done.stdout
    assert "again with the same seed" in done.stdout
    assert "the same to the bit" in done.stdout
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["trial"]) for row in rows) == list(range(2 + kills))
    assert len(list_runs(folder / "trials")) == 2 + kills
    assert all(run.finished for run in list_runs(folder))
    lost = int(re.search(r"workers lost with a trial: (\d+)", done.stdout)[1])
    print(f"the driver killed {kills} times, {lost} trials gone on with, {len(rows)} trials, all finished, none twice")
