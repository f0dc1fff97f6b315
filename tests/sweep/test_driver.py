"""Sweeps of small functions, on a Dask cluster within this process."""

import threading

import pytest
from objectives import Clock, heard_parabola, left_parabola, parabola, takes_time, told, troubled

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'minirnn[sweep]'")
distributed = pytest.importorskip("distributed", reason="dask is not installed: pip install 'minirnn[sweep]'")

from minirnn.sweep import driver, plot_sweep, sweep, write_csv  # noqa: E402
from minirnn.sweep.spec import Pruning  # noqa: E402
from minirnn.sweep.trial import REPORTS, read_lines  # noqa: E402
from minirnn.train import FolderInUseError  # noqa: E402

SPACE = {"x": {"low": -5.0, "high": 5.0}, "kind": ["a", "b"]}

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")  # Dask's own


@pytest.fixture(scope="module")
def client():
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0") as made:
        yield made


def test_it_finds_the_lowest_and_repeats_it(client, tmp_path):
    standings = []
    result = sweep(
        parabola, SPACE, folder=tmp_path, client=client, trials=16, repeats=2, on_standing=standings.append, seed=1
    )
    assert len(result.trials) == 16
    assert [one.number for one in result.trials] == list(range(16))
    assert result.best.score == min(one.score for one in result.trials) < 0.5
    assert [one.score for one in result.repeats] == [result.best.score] * 2
    assert set(result.importance) == {"x", "kind"}
    assert sum(result.importance.values()) == pytest.approx(1.0)
    assert result.importance["x"] > result.importance["kind"]
    assert result.lost == 0
    assert standings[-1].count("finished") == 16
    assert len(list((tmp_path / "trials").glob("*/done"))) == 16

    write_csv(result, tmp_path / "results.csv")
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert lines[0] == "trial,state,score,begun,ended,attempts,reason,folder,x,kind"
    assert len(lines) == 17
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'minirnn[plot]'")
    plot_sweep(result, tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_local_worker_that_dask_gave_up_is_started_again(tmp_path):
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as alone:
        given_up, found = alone.cluster.workers.pop(0), []
        alone.sync(given_up.close)
        run = lambda: found.append(sweep(parabola, SPACE, folder=tmp_path, client=alone, trials=2, sampler="random"))
        running = threading.Thread(target=run, daemon=True)
        running.start()
        running.join(600)  # then it is taken for hung
    assert [one.state for one in found[0].trials] == ["finished", "finished"]


def test_what_is_to_be_high_is_high(client, tmp_path):
    result = sweep(parabola, SPACE, folder=tmp_path, client=client, trials=6, maximize=True, sampler="random")
    assert result.best.score == max(one.score for one in result.trials)


def test_a_trial_that_raises_or_diverges_is_recorded_and_the_others_go_on(client, tmp_path):
    result = sweep(troubled, {"x": [0, 1, 2]}, folder=tmp_path, client=client, trials=12, sampler="random")
    states = {one.options["x"]: (one.state, one.reason) for one in result.trials}
    assert states == {
        0: ("finished", ""),
        1: ("failed", "RuntimeError: there is no solution"),
        2: ("failed", "its score is nan"),
    }
    assert result.best.options == {"x": 0}


def test_what_does_not_promise_much_is_pruned(client, tmp_path):
    pruning = Pruning(first=2, keep=2)
    space = {"x": {"low": -5.0, "high": 5.0}}
    options = {"pruning": pruning, "sampler": "random", "on_standing": told(tmp_path)}
    result = sweep(heard_parabola, space, folder=tmp_path, client=client, trials=10, **options)
    pruned = [one for one in result.trials if one.state == "pruned"]
    assert pruned
    assert all("pruned after step" in one.reason for one in pruned)
    assert all(len((one.folder / "steps").read_text().split()) < 9 for one in pruned)
    assert result.best.score <= min(one.score for one in pruned)


def test_a_sweep_goes_on_to_more_trials_and_tries_none_twice(client, tmp_path):
    first = sweep(parabola, SPACE, folder=tmp_path, client=client, trials=3)
    with pytest.raises(FileExistsError, match="already holds a sweep"):
        sweep(parabola, SPACE, folder=tmp_path, client=client, trials=5)
    then = sweep(parabola, SPACE, folder=tmp_path, client=client, trials=5, resume=True)
    assert then.trials[:3] == first.trials
    assert len({str(one.options) for one in then.trials}) == 5


OTHER = {
    "direction was minimize, is maximize": {"maximize": True},
    r"space\.kind was Choices.*'b'.*is Choices.*'c'": {"space": {**SPACE, "kind": ["a", "c"]}},
    r"space\.kind was .*, is None": {"space": {"x": SPACE["x"]}},
    r"space\.x was Range\(-5\.0, 5\.0, .*is Range\(-5\.0, 6\.0": {"space": {**SPACE, "x": {"low": -5.0, "high": 6.0}}},
    r"space\.y was None, is Range": {"space": {**SPACE, "y": {"low": 1, "high": 2}}},
    "seed was 0, is 1": {"seed": 1},
    "sampler was tpe, is random": {"sampler": "random"},
    r"pruning\.first was None, is 1": {"pruning": Pruning()},
    "objective was parabola, is troubled": {"objective": troubled},
}


@pytest.fixture(scope="module")
def begun(client, tmp_path_factory):
    """What began a sweep of one trial."""
    same = {"objective": parabola, "space": SPACE, "folder": tmp_path_factory.mktemp("begun"), "client": client}
    sweep(**same, trials=1)
    return {**same, "resume": True}


@pytest.mark.parametrize(("says", "now"), OTHER.items(), ids=range(len(OTHER)))
def test_a_sweep_that_is_another_one_is_not_gone_on_with(begun, says, now):
    """The difference is named, and what is there stays as it is: it can still be gone on with as it was begun."""
    with pytest.raises(ValueError, match=says):
        sweep(**{**begun, **now}, trials=2)
    assert len(sweep(**begun, trials=1).trials) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"trials": 0}, "trials=0"),
        ({"trials": 2.0}, r"trials=2\.0"),
        ({"minutes": float("nan")}, "minutes=nan"),
        ({"minutes": 0}, "minutes=0"),
        ({"trials": 1, "repeats": -1}, "repeats=-1"),
        ({"trials": 1, "threads": 0}, "threads=0"),
        ({"trials": 1, "seed": -1}, "seed=-1"),
        ({"trials": 1, "sampler": "grid"}, "sampler='grid' came, one of tpe, random"),
        ({"trials": 1, "pruning": 3}, "pruning=3"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_there(tmp_path, options, says):
    with pytest.raises(ValueError, match=says):
        sweep(parabola, SPACE, folder=tmp_path / "sweep", **options)
    assert not (tmp_path / "sweep").exists()


def test_trials_that_were_left_running_are_gone_on_with(client, tmp_path):
    """A driver that ends in the middle: its trials are there, and none of them is begun from its beginning."""

    class Enough(Exception):
        pass

    def until_two_have_ended(standing):
        running = [one for one in standing.trials if one.state == "running"]
        reports = [len(read_lines(one.folder / REPORTS)) for one in running]
        if standing.count("finished") == 2 and reports == [4, 4]:
            raise Enough

    space = {"x": {"low": -5.0, "high": 5.0}}
    with pytest.raises(Enough):
        sweep(left_parabola, space, folder=tmp_path, client=client, trials=5, on_standing=until_two_have_ended)
    (tmp_path / "left").touch()
    result = sweep(left_parabola, space, folder=tmp_path, client=client, trials=5, resume=True)
    assert [one.state for one in result.trials] == ["finished"] * 5
    for one in result.trials:
        assert (one.folder / "steps").read_text().split() == [str(step) for step in range(1, 10)]
    assert result.lost == 2


def test_no_trial_is_begun_after_the_minutes(client, tmp_path, monkeypatch):
    """A trial takes 25 seconds, and two run at a time."""
    monkeypatch.setattr(driver, "time", Clock)
    monkeypatch.setattr(Clock, "now", 0.0)
    result = sweep(takes_time, {"x": [0.0, 1.0]}, folder=tmp_path, client=client, minutes=1)
    assert 3 <= len(result.trials) <= 4
    assert all(one.state == "finished" for one in result.trials)


def test_one_driver_a_folder(client, tmp_path):
    def another(standing):
        with pytest.raises(FolderInUseError):
            sweep(troubled, {"x": [0]}, folder=tmp_path, client=client, trials=1, resume=True)

    sweep(troubled, {"x": [0]}, folder=tmp_path, client=client, trials=1, on_standing=another)


def test_an_objective_is_given_the_choice_that_was_made(client, tmp_path):
    kinds = (bool, int, float)
    objective = lambda options, trial: kinds.index(type(options["c"]))
    result = sweep(objective, {"c": [True, 1, 1.0]}, folder=tmp_path, client=client, trials=9, sampler="random")
    assert {one.score for one in result.trials} == {0, 1, 2}
    assert all(one.score == kinds.index(type(one.options["c"])) for one in result.trials)


def test_a_sweep_needs_an_end(tmp_path):
    with pytest.raises(ValueError, match="neither trials nor minutes"):
        sweep(troubled, {"x": [0]}, folder=tmp_path)
