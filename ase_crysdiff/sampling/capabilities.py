"""What a sampler can be asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ase_crysdiff.crystal.properties import Property
from ase_crysdiff.sampling.tasks.base import Task


@dataclass(frozen=True)
class Capabilities:
    """What a sampler can serve. Whatever is not declared is refused.

    Args:
        tasks: Classes of tasks that it carries out.
        constraints: Names of the constraints that it obeys: "chemical_system", "elements",
            "num_atoms", "composition", "formula_units", "lattice", "space_group", "prototype",
            "known".
        properties: What it can be conditioned on, by name, with units and ranges.
        max_atoms: Atoms of the largest cell; None if there is no limit.
        known_elements: Atomic numbers that it knows; None for all.
        finds_species: Whether it finds the composition itself; else one must be given. One that
            does both has "composition" among its constraints.
        finds_counts: Whether it finds numbers of atoms while it samples.
        deterministic: Classes of tasks whose crystals hang on their number in the run alone, not on
            the seed: candidates in the order of their rank.
    """

    tasks: frozenset[type[Task]] = frozenset()
    constraints: frozenset[str] = frozenset()
    properties: Mapping[str, Property] = field(default_factory=dict)
    max_atoms: int | None = None
    known_elements: frozenset[int] | None = None
    finds_species: bool = True
    finds_counts: bool = False
    deterministic: frozenset[type[Task]] = frozenset()

    def serves(self, task: Task) -> bool:
        """Whether a task is of a class that the sampler carries out."""
        return isinstance(task, tuple(self.tasks))

    def unknown(self, elements: frozenset[int]) -> list[str]:
        """Symbols of the elements among these atomic numbers that the sampler does not know."""
        from ase.data import chemical_symbols

        known = elements if self.known_elements is None else self.known_elements
        return [chemical_symbols[z] for z in sorted(elements - known)]
