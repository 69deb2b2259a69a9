"""What a sampler is told of each target: its composition alone, its space group, or its sites."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.campaigns.work import work
from ase_crysdiff.errors import InputError
from ase_crysdiff.storage import Store
from ase_crysdiff.symmetry.finding import find_scaffold
from ase_crysdiff.symmetry.scaffold import Scaffold

#: From the honest question to the two ablations.
GIVEN = ("composition", "group", "scaffold")
#: The journal of the scaffolds.
SCAFFOLDS = "scaffolds"
#: Targets that go to a process together.
_TOGETHER = 16


@dataclass(frozen=True)
class Told:
    """What a sampler is told of one target.

    Args:
        cell: Contents of the cell: atomic numbers and counts.
        group: Number of the space group; None if it is not told.
        scaffold: Space group and sites; None if they are not told.
    """

    cell: tuple[tuple[int, int], ...]
    group: int | None = None
    scaffold: Scaffold | None = None

    @property
    def wishes(self) -> dict[str, Any]:
        """The fields of the request that say it."""
        told = {"space_group": self.group, "prototype": self.scaffold}
        return {name: wish for name, wish in told.items() if wish is not None}


def check_given(given: str) -> None:
    """Refuses what nobody can be given.

    Raises:
        InputError: If it is none of `GIVEN`.
    """
    if given not in GIVEN:
        raise InputError(f"given must be one of {', '.join(GIVEN)}, got {given!r}.")


def scaffolds_of(
    folder: Store, targets: Targets, *, workers: int, timeout: float
) -> list[Scaffold | None]:
    """The scaffold of each target at 0.1 Å, from the folder or found now; None where there is none.

    Args:
        folder: Of the run.
        targets: True structures.
        workers: Isolated processes; 0 works in this one.
        timeout: Processor seconds for one target.
    """
    items = [(str(i), s) for i, s in enumerate(targets.structures)]
    tasks = [items[k : k + _TOGETHER] for k in range(0, len(items), _TOGETHER)]
    texts, _ = work(folder, SCAFFOLDS, scaffold_text, tasks, workers=workers, timeout=timeout)
    return [Scaffold.parse(texts[key]) if key in texts else None for key, _ in items]


def scaffold_text(structure: Structure) -> str:
    """The scaffold of a structure at 0.1 Å, as the journal holds it.

    Raises:
        InputError: If none is found.
    """
    return str(find_scaffold(structure))


def told_of(
    given: str, targets: Targets, scaffolds: Sequence[Scaffold | None] = ()
) -> list[Told | None]:
    """What a sampler is told of each target; None for one whose symmetry is unknown.

    The composition is that of the cell as it stands in the file. With a group or a scaffold it is
    that of the primitive cell, which is what these say something of.

    Args:
        given: One of `GIVEN`.
        targets: True structures.
        scaffolds: Of the targets; need not be known for the composition alone.
    """
    if given == "composition":
        return [Told(cell) for cell in targets.compositions]
    told: list[Told | None] = []
    for scaffold in scaffolds:
        if scaffold is None:
            told.append(None)
            continue
        cell = tuple(sorted(scaffold.counts.items()))
        whole = given == "scaffold"
        told.append(Told(cell, None if whole else scaffold.group, scaffold if whole else None))
    return told
