"""Variation and relaxation as pymatgen transformations, and the filter of what came of them."""

import math

from pymatgen.alchemy.filters import AbstractStructureFilter
from pymatgen.core import Structure
from pymatgen.transformations.transformation_abc import AbstractTransformation

from ase_crysdiff.crystal.convert import copy_of
from ase_crysdiff.relaxation.settings import FMAX, STEPS
from ase_crysdiff.relaxation.structures import relax
from ase_crysdiff.sampling.sample_set import SampleSet
from pymatgen_ext.drawn_transformation import DrawnTransformation
from pymatgen_ext.samplers import StructureSampler
from pymatgen_ext.transformation import InpaintTransformation

__all__ = ["AcceptedFilter", "InpaintTransformation", "RelaxTransformation", "VaryTransformation"]


class VaryTransformation(DrawnTransformation):
    """Draws neighbours of a structure; one gives several.

    Args:
        strength: Time to which the structure is noised: near 0 gives it back, 1 forgets it.
        sampler: Name of a sampler that varies.
        num_samples: Structures to draw.
        keep_symmetry: Whether the space group is kept.
        potential: Name of a potential that ranks the structures; their energy per atom stands
            beside them.
        distinct: Whether to keep only the best of each set of equal structures.
        symprec: Tolerance in Å within which structures are symmetrised; None leaves them as they
            are.
        steps: From `strength` to the end; None takes that share of the sampler's own.
        seed: Of all random numbers; give one to make the transformation repeatable.
        weights: Folder with other weights; None takes those of the name.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
    """

    def __init__(
        self,
        strength: float = 0.3,
        sampler: str = "dao-g",
        num_samples: int = 8,
        keep_symmetry: bool = False,
        potential: str | None = None,
        distinct: bool = False,
        symprec: float | None = None,
        steps: int | None = None,
        seed: int | None = None,
        weights: str | None = None,
        device: str = "auto",
    ) -> None:
        self.strength = strength
        self.sampler = sampler
        self.num_samples = num_samples
        self.keep_symmetry = keep_symmetry
        self.potential = potential
        self.distinct = distinct
        self.symprec = symprec
        self.steps = steps
        self.seed = seed
        self.weights = weights
        self.device = device

    def draw(self, structure: Structure, count: int) -> SampleSet:
        """Neighbours of a structure."""
        return StructureSampler(self.sampler, self.weights, self.device).vary(
            structure,
            strength=self.strength,
            num_samples=count,
            keep_symmetry=self.keep_symmetry,
            potential=self.potential,
            distinct=self.distinct,
            symprec=self.symprec,
            steps=self.steps,
            seed=self.seed,
            progress=False,
        )

    def __repr__(self) -> str:
        return (
            f"VaryTransformation({self.strength}, sampler={self.sampler!r}, "
            f"num_samples={self.num_samples})"
        )


class RelaxTransformation(AbstractTransformation):  # type: ignore[misc]
    """Relaxes a structure.

    Its energy, forces and verdict are among its properties (`crysdiff_energy`, `crysdiff_accepted`,
    `crysdiff_remark`, ...), as in `RelaxSet.structures`; what has no energy stays as it is, with
    the reason. So no structure of a transmuter takes the others with it; `AcceptedFilter` drops
    those that are not accepted.

    A transmuter transforms one structure after another. Many relax faster together, by
    `pymatgen_ext.relax`.

    Args:
        potential: Name of a potential.
        fmax: Converged when no atom and no row of the cell feels a larger force, eV/Å.
        steps: At most so many.
        relax_cell: Whether the cell moves, too.
        symmetric: Whether the space group is kept.
        release: With `symmetric`: how far atoms are moved before the symmetry is let go, Å; None
            keeps it.
    """

    def __init__(
        self,
        potential: str = "dao-p",
        fmax: float = FMAX,
        steps: int = STEPS,
        relax_cell: bool = True,
        symmetric: bool = False,
        release: float | None = None,
    ) -> None:
        self.potential = potential
        self.fmax = fmax
        self.steps = steps
        self.relax_cell = relax_cell
        self.symmetric = symmetric
        self.release = release

    def apply_transformation(self, structure: Structure) -> Structure:
        """The structure at rest.

        Args:
            structure: Ordered and periodic; not changed.

        Raises:
            InputError: If an option makes no sense.
            UnknownNameError: If there is no potential of that name.
        """
        (result,) = relax(
            structure,
            self.potential,
            fmax=self.fmax,
            steps=self.steps,
            relax_cell=self.relax_cell,
            symmetric=self.symmetric,
            release=self.release,
            progress=False,
        )
        if result.structure is None or math.isnan(result.energy):
            said = {"crysdiff_accepted": False, "crysdiff_remark": str(result.reason)}
            return copy_of(structure, {**structure.properties, **said})
        return result.labelled(int(structure.properties.get("crysdiff_index", 0)))

    @property
    def inverse(self) -> None:
        """There is none."""

    @property
    def is_one_to_many(self) -> bool:
        """Whether several structures may come of one."""
        return False

    def __repr__(self) -> str:
        return f"RelaxTransformation({self.potential!r}, fmax={self.fmax:g})"


class AcceptedFilter(AbstractStructureFilter):  # type: ignore[misc]
    """Keeps structures whose relaxation is trusted.

    Args:
        converged: Whether it must have converged, too.
    """

    def __init__(self, converged: bool = False) -> None:
        self.converged = converged

    def test(self, structure: Structure) -> bool:
        """Whether a structure is kept; one that was not relaxed is not."""
        known = structure.properties
        accepted = bool(known.get("crysdiff_accepted", False))
        return accepted and (not self.converged or bool(known.get("crysdiff_converged", False)))
