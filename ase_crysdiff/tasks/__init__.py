"""Tables of properties by name: to learn from, to measure on, to compare."""

from ase_crysdiff.tasks.base import Table, Task
from ase_crysdiff.tasks.catalogue import TASKS
from ase_crysdiff.tasks.finding import task, tasks

__all__ = ["TASKS", "Table", "Task", "task", "tasks"]
