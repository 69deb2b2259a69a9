"""How many crystals are arranged as no known crystal is?"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.isolation import TIMEOUT, Failure, Workers, map_isolated
from ase_crysdiff.metrics.base import MetricResult, rate
from ase_crysdiff.metrics.examined import examined
from ase_crysdiff.metrics.space_groups import SYMPREC
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.symmetry.prototype import Prototype


@dataclass(frozen=True)
class PrototypeLibrary:
    """Prototypes that are known.

    Args:
        name: Shown in results.
        prototypes: Canonical, as texts.
    """

    name: str
    prototypes: frozenset[str]

    def __len__(self) -> int:
        return len(self.prototypes)

    def __contains__(self, prototype: Prototype) -> bool:
        """Whether a prototype, in any of its descriptions, is known."""
        return str(prototype.canonical()) in self.prototypes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the prototypes."""
        return hashlib.sha256("\n".join(sorted(self.prototypes)).encode()).hexdigest()

    def as_plain(self) -> dict[str, Any]:
        """What a result says of it."""
        return {"library": self.name, "prototypes": len(self), "sha256": self.digest[:12]}

    @staticmethod
    def of(name: str, prototypes: Iterable[Prototype]) -> "PrototypeLibrary":
        """A library of prototypes in any description."""
        return PrototypeLibrary(name, frozenset(str(p.canonical()) for p in prototypes))

    @staticmethod
    def of_crystals(
        name: str, crystals: PackedCrystals, *, workers: Workers = 0, timeout: float = TIMEOUT
    ) -> "PrototypeLibrary":
        """The prototypes of crystals; one whose symmetry cannot be found adds none.

        Args:
            name: Shown in results.
            crystals: Packed; scaffolds that were packed with them are not looked for again.
            workers: Processes, which may hang or die at the cost of the crystal in work; 0 works in
                this one.
            timeout: Seconds for one crystal.
        """
        scaffolds = crystals.scaffolds
        if scaffolds is not None:
            packed = (scaffolds.crystal(i).scaffold.prototype for i in range(len(scaffolds)))
            return PrototypeLibrary.of(name, set(packed))
        found = map_isolated(
            canonical_prototype, to_structures(crystals.batch), workers=workers, timeout=timeout
        )
        return PrototypeLibrary(name, frozenset(p for p in found if not isinstance(p, Failure)))


def canonical_prototype(structure: Structure) -> str:
    """The canonical prototype of a structure at 0.1 Å as text; equal for equal arrangements.

    Raises:
        InputError: If the structure is not sound, or no space group is found.
    """
    return str(find_symmetric(structure, SYMPREC).scaffold.prototype.canonical())


def prototype_novelty(
    structures: Sequence[Structure | None],
    library: PrototypeLibrary,
    *,
    workers: Workers = 0,
    timeout: float = TIMEOUT,
) -> MetricResult:
    """Share of the requested structures whose prototype is in no library.

    Noise makes new prototypes, too: whatever has lost its symmetry is arranged as nothing known. So
    `beyond_p_1` in the settings is the share that is new and has another group than P1 and P-1.

    Args:
        structures: One entry per requested structure; None for one that failed.
        library: Known prototypes.
        workers: Processes, which may hang or die at the cost of the structure in work; 0 works in
            this one.
        timeout: Seconds for one structure.
    """
    given = examined(structures)
    found = map_isolated(
        canonical_prototype, list(given.sound.values()), workers=workers, timeout=timeout
    )
    failures, new = dict(given.failures), dict.fromkeys(range(len(given)), False)
    named: set[str] = set()
    symmetric = 0
    for i, prototype in zip(given.sound, found, strict=True):
        if isinstance(prototype, Failure):
            failures[i] = f"symmetry: {prototype.reason}"
            continue
        named.add(prototype)
        new[i] = prototype not in library.prototypes
        symmetric += new[i] and Prototype.parse(prototype).group > 2
    settings = {
        **library.as_plain(),
        "symprec": SYMPREC,
        "distinct": len(named),
        "distinct_new": len(named - library.prototypes),
        "beyond_p_1": symmetric / len(given) if len(given) else None,
    }
    return rate(list(new.values()), dict(sorted(failures.items())), settings)
