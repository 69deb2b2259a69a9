"""Filling a host as a pymatgen transformation, for `StandardTransmuter`, `TransformedStructure` and
workflows.
"""

from typing import TYPE_CHECKING

from pymatgen.core import Structure

from ase_crysdiff.sampling.sample_set import SampleSet
from pymatgen_ext.drawn_transformation import DrawnTransformation
from pymatgen_ext.samplers import StructureSampler

if TYPE_CHECKING:
    from pymatgen_ext.inpainting import GuestCounts
    from pymatgen_ext.masks import Mask


class InpaintTransformation(DrawnTransformation):
    """Places guests in a host; one host gives several structures.

    Args:
        guests: Number of atoms of each element to be placed, {"Li": 3}, or the smallest and the
            largest number, {"Li": (0, 6)}.
        sampler: Name of a sampler that fills hosts.
        num_samples: Structures to draw.
        mask: Which sites of the structure are taken out first; None takes none out.
        relax_cell: Whether the cell may change; by default it is kept.
        charge_balance: Whether to offer only numbers of guests that balance the charge with
            oxidation states that pymatgen knows.
        potential: Name of a potential that ranks the structures; their energy per atom stands
            beside them.
        distinct: Whether to keep only the best of each set of equal structures.
        symprec: Tolerance in Å within which structures are symmetrised; None leaves them as they
            are.
        steps: Of the reverse process; None takes the sampler's own.
        seed: Of all random numbers; give one to make the transformation repeatable.
        weights: Folder with other weights; None takes those of the name.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
    """

    def __init__(
        self,
        guests: "GuestCounts",
        sampler: str = "chggen",
        num_samples: int = 8,
        mask: "Mask | None" = None,
        relax_cell: bool = False,
        charge_balance: bool = False,
        potential: str | None = None,
        distinct: bool = False,
        symprec: float | None = None,
        steps: int | None = None,
        seed: int | None = None,
        weights: str | None = None,
        device: str = "auto",
    ) -> None:
        self.guests = guests
        self.sampler = sampler
        self.num_samples = num_samples
        self.mask = mask
        self.relax_cell = relax_cell
        self.charge_balance = charge_balance
        self.potential = potential
        self.distinct = distinct
        self.symprec = symprec
        self.steps = steps
        self.seed = seed
        self.weights = weights
        self.device = device

    def draw(self, structure: Structure, count: int) -> SampleSet:
        """Filled copies of a host."""
        return StructureSampler(self.sampler, self.weights, self.device).inpaint(
            structure,
            self.guests,
            num_samples=count,
            mask=self.mask,
            relax_cell=self.relax_cell,
            charge_balance=self.charge_balance,
            potential=self.potential,
            distinct=self.distinct,
            symprec=self.symprec,
            steps=self.steps,
            seed=self.seed,
            progress=False,
        )

    def __repr__(self) -> str:
        return (
            f"InpaintTransformation({dict(self.guests)!r}, sampler={self.sampler!r}, "
            f"num_samples={self.num_samples})"
        )
