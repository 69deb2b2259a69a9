"""Work on many items in processes that may die, each result kept at once, so that a killed command
goes on.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ase_crysdiff.isolation import Failure, Workers, run_isolated
from ase_crysdiff.progress import tqdm
from ase_crysdiff.storage import Journal, Store

#: One item, by a key that names it in every run.
WorkItem: TypeAlias = tuple[str, Any]


def results_journal(folder: Store, name: str) -> Journal:
    """The journal that `work` keeps under a name."""
    return folder.journal(name, "key", "result", "failure")


def work(
    folder: Store,
    name: str,
    function: Callable[[Any], Any],
    tasks: Sequence[Sequence[WorkItem]],
    *,
    workers: Workers,
    timeout: float,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The function's value for every item, from the journal of that name or computed now.

    Args:
        folder: Of the run.
        name: Of the journal.
        function: Of one item; importable by name, with a value that JSON can hold.
        tasks: Keys and items; those of one sequence stay in one process.
        workers: Isolated processes or an executor; 0 works in this one, without the limit of time.
        timeout: Seconds of processor time for one item.

    Returns:
        Values, and reasons for those items that raised, took too long or ended two processes.
    """
    journal = results_journal(folder, name)
    wanted = {key for chunk in tasks for key, _ in chunk}
    done = {e["key"]: e for e in journal.read() if e["key"] in wanted}
    missing = [left for chunk in tasks if (left := [task for task in chunk if task[0] not in done])]
    bar = tqdm(total=sum(map(len, missing)), desc=name, disable=None)
    with bar, journal.grouped() as note:
        for chunk, item, result in run_isolated(
            function,
            [[value for _, value in tasks] for tasks in missing],
            workers=workers,
            timeout=timeout,
        ):
            failed = isinstance(result, Failure)
            key = missing[chunk][item][0]
            done[key] = {
                "key": key,
                "result": None if failed else result,
                "failure": result.reason if failed else None,
            }
            note(done[key])
            bar.update()
    return sort_out(done)


def sort_out(entries: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, str]]:
    """Values and failures of journal entries."""
    values = {key: e["result"] for key, e in entries.items() if e["failure"] is None}
    return values, {
        key: str(e["failure"]) for key, e in entries.items() if e["failure"] is not None
    }
