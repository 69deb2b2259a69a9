"""Crystal structure prediction: crystals of given composition."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ase_crysdiff import arguments
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.tasks.base import (
    Contents,
    ModelWithCard,
    Task,
    check_atomic_numbers,
    check_elements,
    check_num_atoms,
)
from ase_crysdiff.shapes import Int, Tensor

if TYPE_CHECKING:
    from ase_crysdiff.sampling.capabilities import Capabilities

#: Atomic number and count of each element.
Amounts = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class CSP(Task):
    """Structures of a composition, or of the given contents of whole cells.

    Args:
        composition: Amounts of one formula unit, exactly as written.
        formula_units: Formula units per cell to choose from; None draws from the training
            statistics.
        num_atoms: Atoms per cell, a multiple of those of the formula unit.
        cells: In place of these three, the contents of whole cells: crystal i of the run (its
            number in the streams, not in the batch) has the contents i modulo their number. A
            sampler that ranks gives it the rank i // their number.

    Raises:
        InputError: If nothing or too much is given, a number makes no sense or contradicts another.
    """

    composition: Amounts | None = None
    formula_units: tuple[int, ...] | None = None
    num_atoms: int | None = None
    cells: tuple[Amounts, ...] | None = None
    verb: ClassVar[str] = "predict the structure of this composition"

    def __post_init__(self) -> None:
        if (self.composition is None) == (self.cells is None):
            raise InputError(
                "Structure prediction takes either a composition or contents of cells."
            )
        if self.composition is None and (self.formula_units or self.num_atoms is not None):
            raise InputError("Contents of whole cells leave no formula units or atoms to choose.")
        for amounts in self.compositions:
            check_atomic_numbers("A composition", (z for z, _ in amounts))
            for _, count in amounts:
                arguments.positive("An amount of a composition", count)
        if self.formula_units is not None and not self.formula_units:
            raise InputError("formula_units is empty. Give a number, several numbers or None.")
        for count in self.formula_units or ():
            arguments.positive("formula_units", count)
        if self.num_atoms is not None:
            self._check_num_atoms(arguments.positive("num_atoms", self.num_atoms))

    def _check_num_atoms(self, num_atoms: int) -> None:
        unit = sum(count for _, count in self.composition or ())
        if any(z * unit != num_atoms for z in self.formula_units or ()):
            raise InputError(
                f"num_atoms={num_atoms} contradicts formula_units={self.formula_units} of {unit} "
                "atoms. Give one."
            )
        if num_atoms % unit:
            raise InputError(
                f"num_atoms={num_atoms} is no multiple of the {unit} atoms of the formula unit."
            )

    @property
    def constraints(self) -> frozenset[str]:
        wished = {"composition"}
        wished |= {n for n in ("formula_units", "num_atoms") if getattr(self, n) is not None}
        return frozenset(wished)

    @property
    def compositions(self) -> tuple[Amounts, ...]:
        """All compositions that occur: of one formula unit, or of cells."""
        return self.cells or (() if self.composition is None else (self.composition,))

    def check(self, name: str, capabilities: "Capabilities") -> None:
        if "composition" not in capabilities.constraints:
            raise IncompatibleError(
                f"{name!r} finds the composition itself and takes no composition. Use "
                "chemical_system= or elements=, or a sampler for given compositions (dao-g-flow)."
            )
        super().check(name, capabilities)
        check_num_atoms(name, capabilities, self.num_atoms)
        check_elements(
            name, capabilities, frozenset(z for amounts in self.compositions for z, _ in amounts)
        )
        limit = capabilities.max_atoms
        if limit is None:
            return
        if self.cells is not None:
            sizes = [sum(count for _, count in amounts) for amounts in self.cells]
            largest = max(sizes, default=0)
            if largest > limit:
                raise InputError(
                    f"A composition has {largest} atoms; {name!r} holds at most {limit}."
                )
            return
        unit = sum(count for _, count in self.composition or ())
        units = max(self.formula_units or (1,))
        if units * unit > limit:
            asked = f"{units} formula units are" if self.formula_units else "The composition has"
            raise InputError(f"{asked} {units * unit} atoms; {name!r} holds at most {limit}.")

    def contents(self, model: ModelWithCard, streams: Streams) -> Contents:
        if self.cells is not None:
            cells = [atoms_of(self.cells[i % len(self.cells)]) for i in streams.indices]
            return Contents([len(s) for s in cells], cells)
        unit = atoms_of(self.composition or ())
        choices, weights = self._formula_units(model, len(unit))
        species = [unit.repeat(n) for n in streams.pick("formula units", choices, weights)]
        return Contents([len(s) for s in species], species)

    def _formula_units(
        self, model: ModelWithCard, unit: int
    ) -> tuple[Sequence[int], Sequence[float]]:
        """Possible formula units per cell and how often each is to be drawn."""
        sizes = model.size_histogram
        if self.num_atoms is not None:
            return [self.num_atoms // unit], [1.0]
        if self.formula_units is not None:
            return self.formula_units, [
                float(sizes.get(z * unit, 0) + 1) for z in self.formula_units
            ]
        choices = [z for z in range(1, model.max_atoms // unit + 1) if sizes.get(z * unit)] or [1]
        return choices, [float(sizes.get(z * unit, 1)) for z in choices]


def atoms_of(composition: Amounts) -> Int[Tensor, " atoms"]:
    """The atomic number of each atom of a composition."""
    return torch.tensor([z for z, count in composition for _ in range(count)], dtype=torch.long)
