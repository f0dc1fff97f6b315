"""The tasks by name."""

from dataclasses import fields
from typing import Any

from minirnn.data.tasks.adding import AddingProblem
from minirnn.data.tasks.copy_memory import CopyMemory
from minirnn.data.tasks.digits import SequentialDigits
from minirnn.data.tasks.dyck import Dyck
from minirnn.data.tasks.reber import EmbeddedReber, Reber
from minirnn.data.tasks.task import Task
from minirnn.data.tasks.temporal_order import TemporalOrder

__all__ = ["TASKS", "make_task"]

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (AddingProblem, CopyMemory, TemporalOrder, Reber, EmbeddedReber, Dyck, SequentialDigits)
}
"""Name -> class; called without options, each makes the task with its defaults."""


def make_task(name: str, **options: Any) -> Task:
    """The task of this name with these options, the others at their defaults.

    ValueError: an unknown name or option, with the known ones, or a value out of range. ImportError: what the task
    needs beside NumPy is not installed.
    """
    if name not in TASKS:
        raise ValueError(f"task {name!r} came, one of {', '.join(TASKS)} was expected")
    known = [field.name for field in fields(TASKS[name])]  # type: ignore[arg-type]  # every task is a dataclass
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(f"task {name}: option {unknown[0]} came, {' or '.join(known) or 'none'} was expected")
    return TASKS[name](**options)
