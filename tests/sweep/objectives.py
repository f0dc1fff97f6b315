"""Objectives of sweeps: functions that workers can find, and that a test can count, stop and kill."""

import os
import signal
import time
from pathlib import Path


def parabola(options, trial):
    """Lowest at x = 2; says how it goes on the way there."""
    score = (options["x"] - 2) ** 2 + (0.5 if options.get("kind") == "b" else 0.0)
    for step in range(1, 10):
        trial.report(10 * step, score + 1 / step)
    (trial.folder / "done").write_text("x")
    return score


def slow_parabola(options, trial):
    """The same with time for the driver to answer, going on with the step at which it was left."""
    place = trial.folder / "step"
    score = (options["x"] - 2) ** 2
    for step in range(int(place.read_text()) if place.exists() else 1, 10):
        trial.report(step, score + 1 / step)
        place.write_text(str(step))
        with (trial.folder / "steps").open("a") as file:
            file.write(f"{step}\n")
        time.sleep(0.12)
    return score


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
