"""Trials whose workers are lost again and again, counted: a client that only says so."""

import pytest

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'minirnn[sweep]'")
distributed = pytest.importorskip("distributed", reason="dask is not installed: pip install 'minirnn[sweep]'")

from minirnn.sweep import driver, sweep  # noqa: E402
from minirnn.sweep.trial import MOST_LOSSES, Outcome, Trial  # noqa: E402


class Loses:
    """A client with one worker, which ends each of its jobs in one way: None is that the worker dies with it."""

    cluster = None

    def __init__(self, ends, begins=lambda number, folder: None):
        self.ends, self.begins, self.submitted = ends, begins, []

    def nthreads(self):
        return {"worker": 1}

    def submit(self, run, objective, job, *, pure):
        assert not pure  # the same job again is to be done again
        self.submitted.append(job)
        assert len(self.submitted) < 100
        self.begins(job.number, driver.Path(job.folder))
        return self

    def done(self):
        return True

    def result(self):
        end = self.ends(len(self.submitted))
        if end is None:
            raise distributed.KilledWorker("job", None, 1)
        return end


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(driver, "PATIENCE", 0.0)


def swept(client, folder, **options):
    return sweep(lambda options, trial: 0.0, {"x": [0]}, folder=folder, client=client, trials=1, **options)


SUPERSEDED = Outcome("superseded", None, "another has it", 0.0)
FINISHED = Outcome("finished", 1.5, "", 0.0)


@pytest.mark.parametrize("end", [None, SUPERSEDED])
def test_a_trial_that_is_begun_ten_times_and_never_ends_is_given_up(end, tmp_path):
    client = Loses(lambda count: end, begins=Trial)
    [tried] = swept(client, tmp_path).trials
    assert (tried.state, tried.reason, tried.attempts) == ("failed", "its worker was lost 10 times", 10)
    assert len(client.submitted) == MOST_LOSSES == 10


def test_one_that_no_worker_gets_as_far_as_to_begin_is_given_up_after_thirty(tmp_path):
    client = Loses(lambda count: None)
    [tried] = swept(client, tmp_path).trials
    assert (tried.state, tried.attempts, len(client.submitted)) == ("failed", 0, 30)


def test_what_the_last_worker_reaches_counts(tmp_path):
    client = Loses(lambda count: FINISHED if count == 10 else None, begins=Trial)
    [tried] = swept(client, tmp_path).trials
    assert (tried.state, tried.score, tried.attempts) == ("finished", 1.5, 10)
    assert {job.before for job in client.submitted} == {0}


def test_attempts_of_an_earlier_driver_are_not_held_against_a_trial(tmp_path):
    def stopped(standing):
        if standing.trials and standing.trials[0].attempts == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swept(Loses(lambda count: None, begins=Trial), tmp_path, on_standing=stopped)
    client = Loses(lambda count: None, begins=Trial)
    [tried] = swept(client, tmp_path, resume=True).trials
    assert (len(client.submitted), tried.attempts) == (10, 14)
    assert {job.before for job in client.submitted} == {4}


@pytest.mark.parametrize(("lost", "ends"), [(9, "finished"), (10, "failed")])
def test_a_repeat_is_tried_ten_times_too(lost, ends, tmp_path):
    client = Loses(lambda count: None if 1 < count <= 1 + lost else FINISHED)
    result = swept(client, tmp_path, repeats=1)
    assert [one.state for one in result.repeats] == [ends]
