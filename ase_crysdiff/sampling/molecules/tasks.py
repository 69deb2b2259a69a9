"""What can be asked of a sampler of molecules."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.open_space import KnownPlaces
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.crystal.molecule_bonds import VALENCES
from ase_crysdiff.data.group_outlook import GroupWishes
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.molecules.base import POSITIONS
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.molecules.group_law import (
    Formula,
    GroupLaw,
    Groups,
    amounts_of,
    atoms_of,
)
from ase_crysdiff.sampling.tasks.base import Contents, ModelWithCard, Task

if TYPE_CHECKING:
    from ase_crysdiff.sampling.capabilities import Capabilities


class MoleculeTask(Task):
    """A task whose atoms come in groups, heavy atoms with their hydrogens."""

    @abstractmethod
    def groups(
        self, law: GroupLaw, streams: Streams, wishes: GroupWishes | None
    ) -> Sequence[Groups]:
        """The groups of one molecule for each stream."""

    def contents(self, model: ModelWithCard, streams: Streams) -> Contents:
        return self.of_law(GroupLaw(model.model.config["groups"]), streams)

    def of_law(
        self, law: GroupLaw, streams: Streams, wishes: GroupWishes | None = None
    ) -> Contents:
        """The atoms of one molecule for each stream.

        Args:
            law: Of the model's groups.
            streams: Random numbers.
            wishes: Of each molecule.
        """
        species = [atoms_of(groups) for groups in self.groups(law, streams, wishes)]
        return Contents([len(own) for own in species], species)


@dataclass(frozen=True)
class NewMolecule(MoleculeTask):
    """Molecules of formulas that occur in training, as often as they do.

    Args:
        num_atoms: Of each molecule, hydrogens among them.
        elements: Atomic numbers; only these may occur.
        chemical_system: Atomic numbers; exactly these elements, each present.
    """

    num_atoms: int | None = None
    elements: frozenset[int] | None = None
    chemical_system: frozenset[int] | None = None
    verb: ClassVar[str] = "make molecules from nothing"

    @property
    def constraints(self) -> frozenset[str]:
        names = ("num_atoms", "elements", "chemical_system")
        return frozenset(n for n in names if getattr(self, n) is not None)

    def check(self, name: str, capabilities: "Capabilities") -> None:
        super().check(name, capabilities)
        _check_size(name, self.num_atoms, capabilities)
        for wished in (self.elements, self.chemical_system):
            _check_elements(name, wished or frozenset(), capabilities)

    def groups(
        self, law: GroupLaw, streams: Streams, wishes: GroupWishes | None
    ) -> Sequence[Groups]:
        return law.free(streams, self.num_atoms, self.elements, self.chemical_system, wishes)


@dataclass(frozen=True)
class MoleculeOf(MoleculeTask):
    """Molecules of given formulas.

    Args:
        formulas: Molecule i of the run (its number in the streams) has formula i modulo their
            number.

    Raises:
        InputError: If there is none, or one of them is no molecule without charge or unpaired
            electron.
    """

    formulas: tuple[Formula, ...]
    verb: ClassVar[str] = "make molecules of a formula"

    def __post_init__(self) -> None:
        if not self.formulas:
            raise InputError("Give at least one formula.")
        for formula in self.formulas:
            check_formula(formula)

    @property
    def constraints(self) -> frozenset[str]:
        return frozenset({"composition"})

    def check(self, name: str, capabilities: "Capabilities") -> None:
        super().check(name, capabilities)
        for formula in self.formulas:
            _check_elements(name, frozenset(z for z, _ in formula), capabilities)
            _check_size(name, sum(count for _, count in formula), capabilities)

    def groups(
        self, law: GroupLaw, streams: Streams, wishes: GroupWishes | None
    ) -> Sequence[Groups]:
        found: dict[int, Groups] = {}
        for number, formula in enumerate(self.formulas):
            places = [k for k, i in enumerate(streams.indices) if i % len(self.formulas) == number]
            if places:
                wished = None if wishes is None else wishes.take(places)
                own = law.of_formula(formula, streams.take(places), wished)
                found |= dict(zip(places, own, strict=True))
        return [found[k] for k in range(len(streams))]


@dataclass(frozen=True)
class Completion(MoleculeTask):
    """Molecules that hold a fragment where it is.

    Args:
        species: Atomic numbers of the fragment, group by group.
        positions: Its places, Å.
        rest: Atoms beside it, by formula.

    Raises:
        InputError: If the whole is no molecule without charge or unpaired electron, or the rest has
            no heavy atom.
    """

    species: tuple[int, ...]
    positions: tuple[tuple[float, float, float], ...]
    rest: Formula
    verb: ClassVar[str] = "complete fragments"

    def __post_init__(self) -> None:
        if not any(z > 1 for z, _ in self.rest):
            raise InputError(
                "What is added to a fragment must hold a heavy atom; hydrogens belong to one. Add "
                "the hydrogens to the fragment, or take the heavy atom that lacks them out of it."
            )
        check_formula(amounts_of([*self.species, *(z for z, n in self.rest for _ in range(n))]))

    @property
    def constraints(self) -> frozenset[str]:
        return frozenset({"composition"})

    def check(self, name: str, capabilities: "Capabilities") -> None:
        super().check(name, capabilities)
        _check_elements(name, frozenset({*self.species, *(z for z, _ in self.rest)}), capabilities)
        _check_size(name, len(self.species) + sum(n for _, n in self.rest), capabilities)

    def groups(
        self, law: GroupLaw, streams: Streams, wishes: GroupWishes | None
    ) -> Sequence[Groups]:
        return law.by_elements(self.rest, streams)

    def of_law(
        self, law: GroupLaw, streams: Streams, wishes: GroupWishes | None = None
    ) -> Contents:
        fragment = torch.tensor(self.species)
        added = super().of_law(law, streams, wishes).species or ()
        species = [torch.cat([fragment, own]) for own in added]
        return Contents([len(own) for own in species], species)

    def holds(self, model: ModelWithCard, layout: Layout) -> list[Condition]:
        scale = model.model.joint.components[POSITIONS].representation.scale  # type: ignore[attr-defined]
        places = torch.tensor(self.positions, dtype=layout.dtype, device=layout.device) / scale
        clean = torch.zeros(layout.total_atoms, 3, dtype=layout.dtype, device=layout.device)
        known = torch.zeros(layout.total_atoms, dtype=torch.bool, device=layout.device)
        start = 0
        for size in layout.sizes:
            clean[start : start + len(places)] = places
            known[start : start + len(places)] = True
            start += size
        return [KnownPlaces(POSITIONS, clean, known)]


def check_formula(formula: Formula) -> None:
    """Refuses what is no molecule with all electrons paired.

    Elements without a number of bonds of their own are left to the sampler to refuse.

    Raises:
        InputError: If it has no heavy atom, an odd number of electrons in bonds, or more hydrogen
            and halogen than its other atoms can carry.
    """
    text = "".join(f"{SYMBOLS[z]}{n if n > 1 else ''}" for z, n in formula)
    if not any(z > 1 for z, _ in formula):
        raise InputError(f"{text or 'An empty formula'} has no heavy atom. Give one at least.")
    if not {z for z, _ in formula} <= set(VALENCES):
        return
    rings = 2 + sum(n * (VALENCES[z] - 2) for z, n in formula)  # twice rings and double bonds
    if rings % 2:
        raise InputError(
            f"{text} has an odd number of electrons: a radical or an ion, which no model here "
            "knows. Add or take away a hydrogen."
        )
    if rings < 0:
        raise InputError(
            f"{text} has {-rings // 2 * 2} atoms of hydrogen or fluorine more than the others can "
            "bind in one molecule. Take them away."
        )


def _check_elements(name: str, elements: frozenset[int], capabilities: "Capabilities") -> None:
    unknown = capabilities.unknown(elements)
    if unknown:
        known = ", ".join(SYMBOLS[z] for z in sorted(capabilities.known_elements or ()))
        raise InputError(f"{name!r} does not know {', '.join(unknown)}; it knows {known}.")


def _check_size(name: str, num_atoms: int | None, capabilities: "Capabilities") -> None:
    limit = capabilities.max_atoms
    if num_atoms is not None and limit is not None and num_atoms > limit:
        raise InputError(f"{num_atoms} atoms are asked for; {name!r} holds at most {limit}.")
