"""Objectives of sweeps: functions that workers can find, and that a test can count, stop and kill."""

import os
import signal
import threading
import time
from pathlib import Path

from minirnn.sweep.trial import REPORTS, attempts, read_lines
from minirnn.whole_file import write_whole


def parabola(options, trial):
    """Lowest at x = 2; says how it goes on the way there."""
    score = (options["x"] - 2) ** 2 + (0.5 if options.get("kind") == "b" else 0.0)
    for step in range(1, 10):
        trial.report(10 * step, score + 1 / step)
    (trial.folder / "done").write_text("x")
    return score


def told(folder):
    """A driver's on_standing: how many reports of each trial it has heard, in its sweep's folder."""

    def on_standing(standing):
        for one in standing.trials:
            if one.folder.exists():
                heard = sum(one.score <= said["score"] for said in read_lines(one.folder / REPORTS)) if one.score else 0
                write_whole(folder / f"heard {one.number}", str(heard).encode())

    return on_standing


def heard_parabola(options, trial):
    """The same, step by step: each once the driver has heard of the one before, and had time to answer."""
    score = (options["x"] - 2) ** 2
    heard = trial.folder.parents[1] / f"heard {trial.number}"
    for step in range(1, 10):
        trial.report(step, score + 1 / step)
        with (trial.folder / "steps").open("a") as file:
            file.write(f"{step}\n")
        wait_until(lambda step=step: heard.exists() and int(heard.read_text()) >= step)
    return score


class Clock:
    """A clock that only `takes_time` moves: each call takes 25 seconds."""

    now, moving, sleep = 0.0, threading.Lock(), time.sleep

    @classmethod
    def monotonic(cls):
        return cls.now


def takes_time(options, trial):
    with Clock.moving:
        Clock.now += 25
    return options["x"]


def left_parabola(options, trial):
    """Goes on with the step at which it was left; trials 2 and 3 are left after their fourth step, and
    end once the file "left" says that their driver is no more."""
    place = trial.folder / "step"
    score = (options["x"] - 2) ** 2
    for step in range(int(place.read_text()) if place.exists() else 1, 10):
        with (trial.folder / "steps").open("a") as file:
            file.write(f"{step}\n")
        place.write_text(str(step + 1))
        trial.report(step, score + 1 / step)
        if step == 4 and trial.number in (2, 3) and len(attempts(trial.folder)) == 1:
            wait_until((trial.folder.parents[1] / "left").exists)
            raise RuntimeError("nobody waits for it")
    return score


def wait_until(so):
    until = time.monotonic() + 600  # then it is taken for hung
    while not so():
        assert time.monotonic() < until
        time.sleep(0.005)


def troubled(options, trial):
    if options["x"] == 1:
        raise RuntimeError("there is\nno solution")
    if options["x"] == 2:
        return float("nan")
    return float(options["x"])


def deadly(options, trial):
    """Kills the process that runs it, once for each folder that it is begun in."""
    mark = Path(trial.folder) / "died"
    if options["x"] in options.get("deadly", (1, 3)) and not mark.exists():
        mark.touch()
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    return float(options["x"])


def always_deadly(options, trial):
    """Kills the process that runs it, whenever x is 1."""
    if options["x"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(options["x"])
