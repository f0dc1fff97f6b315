"""Trial: what an objective is told of itself where it runs, and what it says to the driver: files in its folder.

attempts.jsonl   one line for each time that the trial was begun or gone on with: who does it now is in the last
reports.jsonl    step and score, one line a report
stop             written by the driver: why the trial is to end

Files, so that they outlive the worker that wrote them and the driver that reads them; worker and driver see one folder.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from minirnn.threads import limited
from minirnn.whole_file import write_whole

__all__ = [
    "MOST_LOSSES",
    "Job",
    "Outcome",
    "PrunedError",
    "SupersededError",
    "Trial",
    "attempts",
    "read_lines",
    "run_job",
    "tell_to_stop",
    "worker_lost",
]

MOST_LOSSES = 10  # times that a trial's worker may be lost; then it is the trial that kills it
ATTEMPTS, REPORTS, STOP = "attempts.jsonl", "reports.jsonl", "stop"


class PrunedError(Exception):
    """The driver wants this trial to end; the message says why."""


class SupersededError(Exception):
    """Somebody else goes on with this trial: its worker was taken for dead."""


class Trial:
    """One attempt at a trial. number: from 0. folder: for all that it keeps; what an earlier attempt left is there."""

    def __init__(self, number: int, folder: Path):
        self.number, self.folder = number, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.token = uuid.uuid4().hex
        _append(folder / ATTEMPTS, {"token": self.token, "pid": os.getpid(), "time": time.time()})

    def report(self, step: int, score: float) -> None:
        """Say how good it is so far, after so many steps; to be compared with the others, and perhaps pruned.

        PrunedError: it is to end. SupersededError: another worker goes on with it.
        """
        self.check()
        _append(self.folder / REPORTS, {"step": int(step), "score": float(score), "time": time.time()})

    def check(self) -> None:
        """Raise what `report` raises, if there is cause. It reads two small files."""
        last = read_lines(self.folder / ATTEMPTS)[-1]
        if last["token"] != self.token:
            raise SupersededError(f"trial {self.number} is gone on with by process {last['pid']}")
        stop = self.folder / STOP
        if stop.exists():
            raise PrunedError(stop.read_text())


class Job(NamedTuple):
    """What a worker is sent."""

    number: int
    folder: str
    options: Mapping[str, Any]
    threads: int
    before: int = 0  # attempts that are not this driver's


class Outcome(NamedTuple):
    """How an attempt ended: "finished" with a score, "pruned", "failed" or "superseded" with a reason."""

    state: str
    score: float | None
    reason: str
    seconds: float


def run_job(objective: Callable[[dict[str, Any], Trial], float], job: Job) -> Outcome:
    """Run, or go on with, a trial in this process. Whatever it raises becomes its outcome."""
    start = time.perf_counter()

    def done(state: str, score: float | None, reason: str) -> Outcome:
        return Outcome(state, score, reason, time.perf_counter() - start)

    try:
        with limited(job.threads):
            folder = Path(job.folder)
            if len(attempts(folder)) - job.before >= MOST_LOSSES:  # a scheduler that is not ours begins again by itself
                return worker_lost()
            trial = Trial(job.number, folder)
            trial.check()  # it may have been told to stop while nobody worked on it
            score = float(objective(dict(job.options), trial))
    except PrunedError as pruned:
        return done("pruned", None, str(pruned))
    except SupersededError as superseded:
        return done("superseded", None, str(superseded))
    except BaseException as error:  # sys.exit in an objective ends the objective
        return done("failed", None, _words(error))
    if score != score or score in (float("inf"), float("-inf")):
        return done("failed", None, f"its score is {score}")
    return done("finished", score, "")


def worker_lost() -> Outcome:
    """What becomes of a trial that kills its workers."""
    return Outcome("failed", None, f"its worker was lost {MOST_LOSSES} times", 0.0)


def _words(error: BaseException) -> str:
    try:
        said = " ".join(str(error).split())
    except Exception:
        said = "an error that cannot be shown"
    return f"{type(error).__name__}: {said}"


def attempts(folder: Path) -> list[dict[str, Any]]:
    """How often a trial was begun or gone on with, and by whom."""
    return read_lines(folder / ATTEMPTS)


def tell_to_stop(folder: Path, reason: str) -> None:
    write_whole(folder / STOP, reason.encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file of JSON objects; one that is cut short is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        with suppress(ValueError):  # a writer was killed in the middle of it, and the next began a new line
            found.append(json.loads(line))
    return found


def _append(path: Path, record: Mapping[str, Any]) -> None:
    cut = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("ab") as file:
        file.write(b"\n" * cut + json.dumps(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
