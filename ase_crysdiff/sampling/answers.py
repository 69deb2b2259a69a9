"""What samplers with a library of known crystals share: whose turn it is, and what was found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from ase_crysdiff.constants import DRAWN
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.soundness import unsound
from ase_crysdiff.prototypes.library import Library
from ase_crysdiff.prototypes.retrieval import Candidate
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.symmetry_wishes import possible_units
from ase_crysdiff.sampling.tasks.csp import CSP, Amounts
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.decisions import ENERGY_ABOVE_HULL, hull_class
from ase_crysdiff.symmetry.mirrors import mirror_image
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import enantiomorph


@dataclass(frozen=True)
class Drawn:
    """A crystal, or where its atoms may lie, and where that comes from.

    Args:
        scaffold: Space group and sites.
        crystal: In its primitive standard cell; None where the free numbers are still to be drawn.
        template: Text such as "mp-1234: Ca for Sr"; None where there is none.
        log_votes: Logarithm of the votes for its arrangement, against the most that one has; 0 for
            a known structure.
    """

    scaffold: Scaffold
    crystal: SymmetricCrystal | None = None
    template: str | None = None
    log_votes: float = 0.0

    @staticmethod
    def of(
        candidate: Candidate, library: Library, log_votes: float = 0.0, group: int | None = None
    ) -> "Drawn | None":
        """A candidate of a library; None if its atoms are too close or its cell is absurd.

        Args:
            candidate: Which crystal, with which elements.
            library: The crystals.
            log_votes: For its arrangement.
            group: Number of the space group that is wished, of which the library may hold the
                mirror image.
        """
        crystal, template = candidate.crystal(library), candidate.template(library)
        if unsound(crystal.lattice, crystal.frac_coords, crystal.species, DRAWN) is not None:
            return None
        if group is not None and crystal.scaffold.group == enantiomorph(group) != group:
            crystal, template = mirror_image(crystal), f"{template}, mirror image"
        return Drawn(crystal.scaffold, crystal, template, log_votes)


Found = TypeVar("Found")


class Answers(Generic[Found]):
    """Crystals in the order of their rank, each made when it is asked for; unsound ones are left
    out.

    Args:
        made: Makes them, None for an unsound one.
        candidates: How many there are at most.
    """

    def __init__(self, made: Iterable[Found | None], candidates: int) -> None:
        self.candidates, self.sound = candidates, list[Found]()
        self._rest = (one for one in made if one is not None)

    def at(self, rank: int) -> Found | None:
        """The one of a rank; None if there are not so many."""
        self.sound.extend(islice(self._rest, max(0, rank + 1 - len(self.sound))))
        return self.sound[rank] if rank < len(self.sound) else None

    def missing(self) -> str:
        """Why there is none of a rank that `at` did not find."""
        count = len(self.sound)
        return f"the library has only {count} candidate{'s' if count != 1 else ''}"


@dataclass(frozen=True)
class Asked:
    """What the candidates for a composition hang on.

    Args:
        cells: Contents of primitive cells, one or several that differ by their formula units.
        group: Number of the space group; None for any.
        wished: The prototype; None for any.
        known: Whether known structures of the formula may be answers.
        hull: Class of the energy above the hull that is wished; 0 leaves it open.
        guidance_weight: How much that class counts.
    """

    cells: tuple[Amounts, ...]
    group: int | None = None
    wished: Prototype | Scaffold | None = None
    known: bool = True
    hull: int = 0
    guidance_weight: float = 1.0

    @property
    def held(self) -> int | None:
        """Number of the space group that answers have; None leaves it open."""
        if self.group is not None or self.wished is None:
            return self.group
        return self.wished.group

    @staticmethod
    def of(request: SampleRequest, number: int, largest: int) -> "Asked":
        """What a request for compositions asks in a turn.

        Args:
            request: With a task of structure prediction.
            number: Of the turn.
            largest: Atoms of the largest cell.
        """
        task, wished = request.task, wished_in(request, number)
        assert isinstance(task, CSP)
        cells = _cells(request, task, largest)
        if task.cells is not None:
            cells = (task.cells[number % len(task.cells)],)
        elif wished is not None:
            cells = tuple(c for c in cells if sum(n for _, n in c) == wished.num_atoms)
        return Asked(
            cells, request.space_group, wished, request.known is not False, *hull_wish(request)
        )


def hull_wish(request: SampleRequest, draw: float = 0.5) -> tuple[int, float]:
    """Class of the wished energy above the hull, 0 for none, and how much it counts.

    Args:
        request: What is asked for.
        draw: In [0, 1): which energy of a window, which are all equally likely. Ranked candidates
            are those for the middle.
    """
    wish = request.properties.get(ENERGY_ABOVE_HULL)
    if wish is None or isinstance(wish, str | frozenset):
        return 0, 1.0
    low, high = wish if isinstance(wish, tuple) else (wish, wish)
    return hull_class(low + draw * (high - low)), request.guidance_weight


def turns(request: SampleRequest) -> int:
    """How many different contents or prototypes take turns."""
    task = request.task
    cells = len(task.cells) if isinstance(task, CSP) and task.cells is not None else 1
    return max(cells, len(request.prototypes), 1)


def wished_in(request: SampleRequest, number: int) -> Prototype | Scaffold | None:
    """The wished prototype of a turn."""
    prototypes = request.prototypes
    return prototypes[number % len(prototypes)] if prototypes else None


def _cells(request: SampleRequest, task: CSP, largest: int) -> tuple[Amounts, ...]:
    """Contents of the cells that hold possible numbers of formula units of a composition."""
    unit = task.composition or ()
    atoms = sum(count for _, count in unit)
    units: Iterable[int] = range(1, largest // max(atoms, 1) + 1)
    if request.symmetric and unit:
        units = possible_units(request, task, largest)
    elif task.num_atoms is not None:
        units = (task.num_atoms // atoms,)
    elif task.formula_units is not None:
        units = task.formula_units
    return tuple(tuple((z, count * n) for z, count in unit) for n in units)


def said_of(
    drawn: Sequence[Drawn | str], ranks: Sequence[int] | None = None
) -> dict[str, list[Any]]:
    """What is told of crystals, by name of the property; None where there is no crystal.

    Args:
        drawn: What was found for each, or why nothing was.
        ranks: Place of each among the candidates; None where nothing is ranked.
    """
    found = [one if isinstance(one, Drawn) else None for one in drawn]
    said: dict[str, list[Any]] = {
        "template": [one and one.template for one in found],
        "scaffold": [one and str(one.scaffold) for one in found],
        "space_group": [one and one.scaffold.space_group.symbol for one in found],
    }
    if ranks is not None:
        said["rank"] = list(ranks)
        said["log_votes"] = [one and round(one.log_votes, 4) for one in found]
    return said


def batch_of(drawn: Sequence[Drawn | str]) -> CrystalBatch:
    """The crystals; an empty one stands where there is none."""
    crystals = [one.crystal if isinstance(one, Drawn) else None for one in drawn]
    lattices = [np.eye(3) if c is None else c.lattice for c in crystals]
    places = [np.zeros((0, 3)) if c is None else c.frac_coords for c in crystals]
    species = [np.zeros(0, np.int64) if c is None else c.species for c in crystals]
    return CrystalBatch(
        torch.tensor(np.array(lattices), dtype=torch.float32),
        torch.tensor(np.concatenate(places), dtype=torch.float32),
        torch.tensor(np.concatenate(species)),
        torch.tensor([len(s) for s in species]),
    )
