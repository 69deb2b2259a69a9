"""How many structures are in no set of known crystals?"""

from collections.abc import Sequence

from pymatgen.core import Structure

from ase_crysdiff.isolation import TIMEOUT, Failure, Workers, map_isolated
from ase_crysdiff.metrics.base import MetricResult, rate
from ase_crysdiff.metrics.examined import Examined, examined
from ase_crysdiff.metrics.matching import Relation, match, settings
from ase_crysdiff.metrics.reference import Known, Reference, report_entry


def novelty(
    structures: Sequence[Structure | None],
    reference: Known,
    relation: Relation = "fit",
    *,
    workers: Workers = 0,
    timeout: float = TIMEOUT,
) -> MetricResult:
    """Share of the requested structures that are sound and match no known crystal of the same
    composition.

    Judged on the structures as they are given: noise alone can hide a known crystal in a larger
    cell from the matcher.

    Args:
        structures: One entry per requested structure; None for one that failed.
        reference: Known crystals, or anything else that can tell whether it holds a structure.
        relation: What the matcher accepts on; only `Reference` knows more than one.
        workers: Processes, which may hang or die at the cost of the structure in work; 0 works in
            this one, without a time limit.
        timeout: Seconds for one structure.
    """
    given = examined(structures)
    failures, sound = dict(given.failures), given.sound
    if isinstance(reference, Reference):
        known = _compared(given, reference, relation, workers, timeout)
        choices = settings(relation)
    else:
        known = {i: reference.contains(s) for i, s in sound.items()}
        choices = {}
    for i, verdict in known.items():
        if isinstance(verdict, Failure):
            failures[i] = f"matcher: {verdict.reason}"
    verdicts = [i in sound and known.get(i, False) is False for i in range(len(structures))]
    return rate(verdicts, dict(sorted(failures.items())), {**choices, **report_entry(reference)})


def _compared(
    given: Examined,
    reference: Reference,
    relation: Relation,
    workers: Workers,
    timeout: float,
) -> dict[int, bool | Failure]:
    """Whether each structure whose composition is known at all matches a known crystal."""
    candidates = {i: known for i, key in given.keys.items() if (known := reference.candidates(key))}
    found: dict[int, bool | Failure] = {}
    tasks = {}
    for i, cell in given.cells(candidates, workers=workers, timeout=timeout).items():
        if isinstance(cell, Failure):
            found[i] = cell
        else:
            tasks[i] = (cell, candidates[i], relation)
    verdicts = map_isolated(is_among, list(tasks.values()), workers=workers, timeout=timeout)
    return found | dict(zip(tasks, verdicts, strict=True))


def is_among(task: tuple[Structure, list[Structure], Relation]) -> bool:
    """Whether a reduced cell matches one of several; to be called in another process.

    Args:
        task: The cell, the others, and what the matcher accepts on.
    """
    cell, candidates, relation = task
    return any(match(cell, known, relation) for known in candidates)
