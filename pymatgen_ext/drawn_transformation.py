"""Transformations of pymatgen whose structures a sampler draws: one gives several."""

from abc import abstractmethod
from typing import Any

from pymatgen.core import Structure
from pymatgen.transformations.transformation_abc import AbstractTransformation

from ase_crysdiff.errors import SamplingError
from ase_crysdiff.sampling.sample_set import SampleSet


class DrawnTransformation(AbstractTransformation):  # type: ignore[misc]
    """What `StandardTransmuter` and `TransformedStructure` ask for, on top of one set of draws.

    Attributes:
        num_samples: Structures to draw.
        potential: Name of a potential that ranks them; None ranks nothing.
    """

    num_samples: int
    potential: str | None

    @abstractmethod
    def draw(self, structure: Structure, count: int) -> SampleSet:
        """So many structures that come of one, the best first if there is a potential."""

    def apply_transformation(
        self, structure: Structure, return_ranked_list: bool | int = False
    ) -> Structure | list[dict[str, Any]]:
        """Structures that come of one.

        Args:
            structure: What is transformed.
            return_ranked_list: False gives the first structure; True gives a list of `{"structure",
                "index"}`, with a potential also "energy_per_atom" (eV/atom), in the order of
                drawing or of energy; a number gives at most so many.

        Raises:
            InputError: If the structure or an argument makes no sense.
            SamplingError: If no structure could be drawn.
        """
        ranked = return_ranked_list is not False
        # With a potential the best of all is wanted, else the first ones are as good as any.
        wanted = (
            1
            if not ranked
            else self.num_samples
            if return_ranked_list is True
            else int(return_ranked_list)
        )
        count = self.num_samples if self.potential is not None else min(self.num_samples, wanted)
        samples = self.draw(structure, count)
        if not len(samples):
            raise SamplingError(
                f"No structure could be drawn: {samples.report}. Ask for several, or for something "
                "easier."
            )
        return [_entry(s) for s in samples[:wanted]] if ranked else samples[0]

    @property
    def inverse(self) -> None:
        """There is none."""

    @property
    def is_one_to_many(self) -> bool:
        """Whether several structures may come of one."""
        return True


def _entry(structure: Structure) -> dict[str, Any]:
    """What pymatgen's transmuters take."""
    entry = {"structure": structure, "index": structure.properties["crysdiff_index"]}
    energy = structure.properties.get("crysdiff_energy_per_atom")
    return entry if energy is None else {**entry, "energy_per_atom": energy}
