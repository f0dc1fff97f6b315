"""Synthetic tasks that tell recurrent cells apart, each with the loss that no memory gets: TASKS, by name."""

from minirnn.data.tasks.adding import AddingProblem
from minirnn.data.tasks.copy_memory import CopyMemory
from minirnn.data.tasks.digits import SequentialDigits
from minirnn.data.tasks.dyck import Dyck
from minirnn.data.tasks.names import TASKS, make_task
from minirnn.data.tasks.reber import EmbeddedReber, Reber
from minirnn.data.tasks.task import Task, TaskBatches
from minirnn.data.tasks.temporal_order import TemporalOrder

__all__ = [
    "TASKS",
    "AddingProblem",
    "CopyMemory",
    "Dyck",
    "EmbeddedReber",
    "Reber",
    "SequentialDigits",
    "Task",
    "TaskBatches",
    "TemporalOrder",
    "make_task",
]
