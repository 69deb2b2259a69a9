"""Tasks by name."""

from collections.abc import Sequence

from ase_crysdiff.errors import UnknownNameError, did_you_mean
from ase_crysdiff.tasks.base import Task
from ase_crysdiff.tasks.catalogue import TASKS


def tasks(splits: str | None = None) -> Sequence[Task]:
    """All tasks, or those with one kind of splits.

    Args:
        splits: "published", "official" or "grouped"; None for all.
    """
    return [one for one in TASKS if splits in (None, one.splits)]


def task(name: str) -> Task:
    """The task of a name; hyphens count as underscores.

    Raises:
        UnknownNameError: If there is none; the message lists close ones.
    """
    known = {one.name: one for one in TASKS}
    wanted = name.strip().lower().replace("-", "_")
    if wanted not in known:
        hint = did_you_mean(wanted, known) or f" There are {', '.join(known)}."
        raise UnknownNameError(f"There is no task {name!r}.{hint}")
    return known[wanted]
