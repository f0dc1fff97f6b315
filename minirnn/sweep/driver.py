"""sweep: Optuna chooses options, Dask runs the objective with them, and a file remembers what came out.

Only the driver talks to Optuna's storage, an SQLite file in the sweep's folder. A trial is there from the moment that
its options are chosen; a driver that comes after one that was killed finds it unfinished, and goes on with it. Workers
leave what they reach in the trial's own folder, from which any other goes on.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from minirnn.sweep.cluster import capacity, connect, replenish
from minirnn.sweep.space import Space, make_space
from minirnn.sweep.spec import SAMPLERS, Pruning
from minirnn.sweep.study import check_same, identity, import_optuna, importance, open_study, quiet
from minirnn.sweep.trial import (
    MOST_LOSSES,
    REPORTS,
    Job,
    Outcome,
    Trial,
    attempts,
    read_lines,
    run_job,
    tell_to_stop,
    worker_lost,
)
from minirnn.train.lock import FolderLock

__all__ = ["Result", "Standing", "Tried", "sweep"]

Objective = Callable[[dict[str, Any], Trial], float]

PATIENCE = 0.1  # seconds between two looks


class Tried(NamedTuple):
    """A trial: its state (finished, pruned, failed, running), what it scored and why not, and where it is kept.

    begun, ended: seconds since the sweep's first trial was begun. attempts: 1, and one more for each worker lost."""

    number: int
    options: dict[str, Any]
    state: str
    score: float | None
    reason: str
    begun: float
    ended: float | None
    attempts: int
    folder: Path


@dataclass(frozen=True)
class Standing:
    """How far a sweep is."""

    trials: list[Tried]
    wanted: int | None
    seconds: float
    best: Tried | None

    def count(self, state: str) -> int:
        return sum(one.state == state for one in self.trials)


@dataclass(frozen=True)
class Result:
    """What a sweep found. importance: each option's share, adding up to 1; empty where too few trials finished.

    repeats: how the best one's options came out again; of trainings, the first has the same seed as the best.
    """

    trials: list[Tried]
    best: Tried | None
    importance: dict[str, float]
    repeats: list[Outcome]
    lost: int = 0  # workers that died, or were taken for dead, with a trial in their hands
    folder: Path = field(default_factory=Path)


def sweep(
    objective: Objective,
    space: Mapping[str, Any],
    *,
    folder: str | Path,
    client: Any = None,
    trials: int | None = None,
    minutes: float | None = None,
    maximize: bool = False,
    pruning: Pruning | None = None,
    sampler: str = "tpe",
    seed: int = 0,
    repeats: int = 0,
    repeated: Callable[[dict[str, Any], int], dict[str, Any]] = lambda options, k: options,
    threads: int = 1,
    resume: bool = False,
    on_standing: Callable[[Standing], Any] = lambda standing: None,
) -> Result:
    """Call objective(options, trial) -> score on Dask's workers, with options of the space that Optuna chooses.

    folder: the sweep's; a trial's own is below it, and what an attempt leaves there is there for the next one, after
    its worker was lost. The objective can `trial.report(step, score)`, which lets it be pruned. A score that is not
    finite, an exception or a call of sys.exit is recorded with its reason, and the others go on; so is a trial that
    loses its worker ten times.

    client: a Dask client; left out, a local cluster. trials, minutes: after these no trial is begun. repeats: calls of
    the best options again, at the end; repeated(options, k) may change the k-th (its seed, say). threads: that a trial
    may use. resume: go on with what is in the folder, unfinished trials first. on_standing: told of every change.

    ValueError: a space that is none, neither trials nor minutes, an option out of its range; resume, and what is there
    was begun with another space, direction, objective, pruning, sampler or seed, which are named. FileExistsError: the
    folder holds a sweep, and resume is False. FolderInUseError: another driver is at work there. ImportError: Optuna or
    Dask is not installed.
    """
    _check(trials=trials, minutes=minutes, repeats=repeats, threads=threads, seed=seed, sampler=sampler)
    if pruning is not None and not isinstance(pruning, Pruning):
        raise ValueError(f"sweep: pruning={pruning!r} came, a Pruning or None was expected")
    made, folder = make_space(space), Path(folder)
    optuna = import_optuna()
    if (folder / "study.db").exists() and not resume:
        raise FileExistsError(f"{folder} already holds a sweep; choose another folder, or go on with it (resume)")
    folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder), quiet(optuna), _client(client, threads) as on:
        study = open_study(optuna, folder, maximize, pruning, sampler, seed)
        check_same(folder, study, identity(objective, made, maximize, pruning, sampler, seed))
        driver = _Driver(on, study, objective, made, folder, threads, trials, minutes, on_standing)
        driver.run()
        best = driver.standing().best
        again: list[Outcome] = []
        if best is not None:
            again = driver.repeat(best.number, [repeated(dict(best.options), k) for k in range(repeats)])
        tried = driver.standing().trials
        lost = sum(max(0, one.attempts - 1) for one in tried)
        return Result(tried, best, importance(optuna, study, made), again, lost, folder)


def _check(*, trials: Any, minutes: Any, repeats: Any, threads: Any, seed: Any, sampler: Any) -> None:
    if trials is None and minutes is None:
        raise ValueError("sweep: neither trials nor minutes came; a sweep needs an end")
    least = {"trials": (trials, 1), "repeats": (repeats, 0), "threads": (threads, 1), "seed": (seed, 0)}
    for name, (value, low) in least.items():
        if name == "trials" and value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ValueError(f"sweep: {name}={value!r} came, an integer from {low} was expected")
    if minutes is not None and (not isinstance(minutes, (int, float)) or not 0 < minutes < math.inf):
        raise ValueError(f"sweep: minutes={minutes!r} came, a positive number was expected")
    if sampler not in SAMPLERS:
        raise ValueError(f"sweep: sampler={sampler!r} came, one of {', '.join(SAMPLERS)} was expected")


class _Driver:
    """Trials in the making, and what is known of them."""

    def __init__(
        self,
        client: Any,
        study: Any,
        objective: Objective,
        space: Space,
        folder: Path,
        threads: int,
        wanted: int | None,
        minutes: float | None,
        on_standing: Callable[[Standing], Any],
    ):
        self.client, self.study, self.space, self.folder, self.threads = client, study, space, folder, threads
        self.wanted, self.minutes, self.on_standing = wanted, minutes, on_standing
        self.before = float(study.user_attrs.get("seconds", 0.0))
        self.start = time.monotonic()
        self.running: dict[int, tuple[Any, Any, int]] = {}  # number -> future, Optuna's trial, losses
        self.objective = objective
        self.heard: dict[int, int] = {}  # number -> reports passed on
        self.before_attempts: dict[int, int] = {}  # number -> attempts that other drivers made

    def seconds(self) -> float:
        return self.before + time.monotonic() - self.start

    def run(self) -> None:
        from optuna.trial import Trial as Asked
        from optuna.trial import TrialState

        left = [Asked(self.study, t._trial_id) for t in self.study.trials if t.state == TrialState.RUNNING]
        self.on_standing(self.standing())
        while True:
            changed = False
            replenish(self.client)
            while len(self.running) < capacity(self.client):
                asked = left.pop(0) if left else self._ask()
                if asked is None:
                    break
                self._begin(asked)
                changed = True
            for number in list(self.running):
                changed |= self._listen(number) | self._settle(number)
            if changed:
                self.study.set_user_attr("seconds", self.seconds())
                self.on_standing(self.standing())
            if not self.running and not left and self._over():
                return
            time.sleep(PATIENCE)

    def repeat(self, best: int, every: list[dict[str, Any]]) -> list[Outcome]:
        """How these options come out, in order."""
        folder = self.folder / "repeats"
        jobs = [Job(k, str(folder / f"{best:04d}-{k}"), each, self.threads) for k, each in enumerate(every)]
        futures = [self._submit(job) for job in jobs]
        outcomes = [self._finished(job, future) for job, future in zip(jobs, futures, strict=True)]
        return [one or worker_lost() for one in outcomes]

    def _finished(self, job: Job, future: Any) -> Outcome | None:
        for _ in range(MOST_LOSSES):
            while not future.done():
                replenish(self.client)
                time.sleep(PATIENCE)
            outcome = self._outcome(future)
            if outcome is not None and outcome.state != "superseded":
                return outcome
            future = self._submit(job)
        return None

    # ------------------------------------------------------------------ one trial
    def _over(self) -> bool:
        late = self.minutes is not None and self.seconds() >= 60 * self.minutes
        return late or (self.wanted is not None and len(self.study.trials) >= self.wanted)

    def _ask(self) -> Any:
        return None if self._over() else self.study.ask()

    def _begin(self, asked: Any) -> None:
        for name, values in self.space.items():
            values.suggest(asked, name)  # a value that was chosen before is kept
        if "begun" not in asked.user_attrs:
            asked.set_user_attr("begun", self.seconds())
        self.running[asked.number] = self._submit(self._job(asked)), asked, 0

    def _job(self, asked: Any) -> Job:
        folder = self._folder(asked.number)
        before = self.before_attempts.setdefault(asked.number, len(attempts(folder)))
        return Job(asked.number, str(folder), self._options(asked.params), self.threads, before)

    def _options(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What Optuna chose, as the objective is given it."""
        return {name: self.space[name].meant(value) if name in self.space else value for name, value in params.items()}

    def _folder(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04d}"

    def _submit(self, job: Job) -> Any:
        return self.client.submit(run_job, self.objective, job, pure=False)

    def _listen(self, number: int) -> bool:
        """Pass a trial's reports on, and tell it to stop where Optuna's pruner says so.

        To Optuna they are the first, second, ... report: trials are compared where they have made as many."""
        _, asked, _ = self.running[number]
        reports = read_lines(self._folder(number) / REPORTS)
        scores = {one["step"]: one["score"] for one in reversed(reports)}  # an attempt that goes on says some again
        in_order = sorted(scores)
        heard = self.heard.setdefault(number, len(asked.study.trials[number].intermediate_values))
        for k, step in enumerate(in_order[heard:], heard + 1):
            asked.report(scores[step], k)
            if asked.should_prune():
                tell_to_stop(self._folder(number), f"pruned after step {step}")
        self.heard[number] = len(in_order)
        return len(in_order) > heard

    def _settle(self, number: int) -> bool:
        """Take down how a trial ended, if it has; begin it again where its worker was lost."""
        future, asked, losses = self.running[number]
        if not future.done():
            return False
        outcome = self._outcome(future)
        if outcome is None or outcome.state == "superseded":
            # What was begun counts: a scheduler that is not ours begins again by itself, and may give a trial to a
            # worker that is dying already. Where none gets as far as to begin, it ends too.
            begun = len(attempts(self._folder(number))) - self.before_attempts[number]
            if begun < MOST_LOSSES and losses + 1 < 3 * MOST_LOSSES:
                self.running[number] = self._submit(self._job(asked)), asked, losses + 1
                return True
            outcome = worker_lost()
        self._listen(number)
        asked.set_user_attr("ended", self.seconds())
        asked.set_user_attr("reason", outcome.reason)
        self._tell(asked, outcome)
        del self.running[number]
        return True

    def _tell(self, asked: Any, outcome: Outcome) -> None:
        from optuna.trial import TrialState

        if outcome.state == "finished":
            self.study.tell(asked, outcome.score)
        else:
            self.study.tell(asked, state=TrialState.PRUNED if outcome.state == "pruned" else TrialState.FAIL)

    @staticmethod
    def _outcome(future: Any) -> Outcome | None:
        """The outcome of what is done; None where the workers that had it are gone."""
        from distributed import CancelledError, KilledWorker

        try:
            found: Outcome = future.result()
        except KilledWorker:
            return None
        except CancelledError:
            raise ConnectionError("Dask's scheduler is gone; go on with the sweep once there is one again") from None
        return found

    # ------------------------------------------------------------------ all of them
    def standing(self) -> Standing:
        trials = [self._tried(one) for one in self.study.trials]
        finished = [one for one in trials if one.state == "finished" and one.score is not None]
        sign = -1 if self.study.direction.name == "MAXIMIZE" else 1
        best = min(finished, key=lambda one: sign * (0.0 if one.score is None else one.score), default=None)
        return Standing(trials, self.wanted, self.seconds(), best)

    def _tried(self, one: Any) -> Tried:
        states = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}
        state, attrs, folder = states.get(one.state.name, "running"), one.user_attrs, self._folder(one.number)
        score = one.value if state == "finished" else next(reversed(one.intermediate_values.values()), None)
        return Tried(
            one.number,
            self._options(one.params),
            state,
            score,
            attrs.get("reason", ""),
            attrs.get("begun", 0.0),
            attrs.get("ended"),
            len(attempts(folder)),
            folder,
        )


@contextmanager
def _client(client: Any, threads: int) -> Iterator[Any]:
    if client is not None:
        yield client
        return
    with connect(threads=threads) as made:
        yield made
