"""Neighbours of a crystal as a pymatgen transformation."""

from pymatgen.core import Structure

from ase_crysdiff.sampling.sample_set import SampleSet
from pymatgen_ext.drawn_transformation import DrawnTransformation
from pymatgen_ext.samplers import StructureSampler


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
