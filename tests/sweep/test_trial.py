"""What an attempt says, and hears."""

import json
import threading

import pytest
from objectives import troubled

from minirnn.sweep import PrunedError, Trial
from minirnn.sweep.trial import Job, SupersededError, attempts, read_lines, run_job, tell_to_stop
from minirnn.threads import get_num_threads


def test_reports_are_lines_in_the_trials_folder(tmp_path):
    trial = Trial(3, tmp_path / "3")
    trial.report(10, 0.5)
    trial.report(20, 0.25)
    assert [(one["step"], one["score"]) for one in read_lines(tmp_path / "3" / "reports.jsonl")] == [
        (10, 0.5),
        (20, 0.25),
    ]


def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path):
    trial = Trial(0, tmp_path)
    trial.report(1, 0.5)
    with (tmp_path / "reports.jsonl").open("a") as file:
        file.write('{"step": 2, "sc')
    assert len(read_lines(tmp_path / "reports.jsonl")) == 1
    trial.report(3, 0.1)
    assert [one["step"] for one in read_lines(tmp_path / "reports.jsonl")] == [1, 3]


def test_who_was_told_to_stop_stops_at_the_next_report(tmp_path):
    trial = Trial(0, tmp_path)
    tell_to_stop(tmp_path, "pruned after step 7")
    with pytest.raises(PrunedError, match="after step 7"):
        trial.report(8, 1.0)
    assert run_job(troubled, Job(0, str(tmp_path), {"x": 3}, 1))[:3] == ("pruned", None, "pruned after step 7")


def test_who_was_taken_for_dead_leaves_the_trial_to_the_next(tmp_path):
    first = Trial(0, tmp_path)
    second = Trial(0, tmp_path)
    with pytest.raises(SupersededError):
        first.report(1, 0.0)
    second.report(1, 0.0)
    assert len(attempts(tmp_path)) == 2


@pytest.mark.parametrize(
    ("x", "state", "reason"),
    [(0, "finished", ""), (1, "failed", "RuntimeError: there is no solution"), (2, "failed", "its score is nan")],
)
def test_however_an_attempt_ends_it_is_an_outcome(tmp_path, x, state, reason):
    outcome = run_job(troubled, Job(0, str(tmp_path), {"x": x}, 1))
    assert (outcome.state, outcome.reason) == (state, reason)
    assert json.dumps(outcome)


def test_trials_at_a_time_in_one_process_leave_it_its_threads(tmp_path):
    """A Dask client of the caller's may run them so; the first to begin is the first to end."""
    before, begun, over = get_num_threads(), threading.Event(), threading.Event()
    first = lambda options, trial: begun.set() or float(over.wait(60))
    job = lambda k: Job(k, str(tmp_path / str(k)), {}, before + 1)
    running = threading.Thread(target=run_job, args=(first, job(0)))

    def second(options, trial):
        over.set()
        running.join()
        return float(get_num_threads())

    running.start()
    assert begun.wait(60)
    assert run_job(second, job(1)).score == before + 1
    assert get_num_threads() == before


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (SystemExit("no data\nhere"), "SystemExit: no data here"),
        (SystemExit(), "SystemExit: "),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (GeneratorExit("gone"), "GeneratorExit: gone"),
        (BaseException("of its own"), "BaseException: of its own"),
        (Unspeakable(), "Unspeakable: an error that cannot be shown"),
    ],
)
def test_an_objective_that_ends_the_process_ends_its_trial_alone(tmp_path, error, reason):
    def objective(options, trial):
        raise error

    outcome = run_job(objective, Job(0, str(tmp_path), {}, 1))
    assert (outcome.state, outcome.reason) == ("failed", reason)


@pytest.mark.parametrize(
    ("earlier", "of_others", "state"), [(9, 0, "finished"), (10, 0, "failed"), (14, 5, "finished")]
)
def test_ten_lost_workers_end_a_trial_whoever_begins_it_again(tmp_path, earlier, of_others, state):
    for _ in range(earlier):
        Trial(0, tmp_path)
    outcome = run_job(lambda options, trial: 1.0, Job(0, str(tmp_path), {}, 1, of_others))
    assert outcome.state == state
    assert state == "finished" or outcome.reason == "its worker was lost 10 times"
