"""Filling a host as a pymatgen transformation, for `StandardTransmuter`, `TransformedStructure` and workflows."""

from typing import TYPE_CHECKING, Any

from pymatgen.core import Structure
from pymatgen.transformations.transformation_abc import AbstractTransformation

from ase_crysdiff.errors import SamplingError
from pymatgen_ext.samplers import StructureSampler

if TYPE_CHECKING:
    from pymatgen_ext.inpainting import GuestCounts
    from pymatgen_ext.masks import Mask


class InpaintTransformation(AbstractTransformation):  # type: ignore[misc]
    """Places guests in a host; one host gives several structures.

    Args:
        guests: As in `StructureSampler.inpaint`.
        sampler: Name of a sampler that fills hosts.
        num_samples: Structures to draw.
        mask: As in `StructureSampler.inpaint`.
        relax_cell: As in `StructureSampler.inpaint`.
        charge_balance: As in `StructureSampler.inpaint`.
        steps: As in `StructureSampler.sample`.
        seed: As in `StructureSampler.sample`; give one to make the transformation repeatable.
        weights: As in `StructureSampler`.
        device: As in `StructureSampler`.
    """

    def __init__(
        self,
        guests: "GuestCounts",
        sampler: str = "chggen",
        num_samples: int = 8,
        mask: "Mask | None" = None,
        relax_cell: bool = False,
        charge_balance: bool = False,
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
        self.steps = steps
        self.seed = seed
        self.weights = weights
        self.device = device

    def apply_transformation(
        self, structure: Structure, return_ranked_list: bool | int = False
    ) -> Structure | list[dict[str, Any]]:
        """Filled copies of a structure.

        Args:
            structure: The host.
            return_ranked_list: False gives the first structure; True gives a list of `{"structure", "index"}`, in the order of
                drawing; a number gives at most so many.

        Raises:
            InputError: If the host or the wishes make no sense.
            SamplingError: If no structure could be drawn.
        """
        ranked = return_ranked_list is not False
        count = self.num_samples if ranked else 1
        if ranked and return_ranked_list is not True:
            count = min(count, int(return_ranked_list))
        samples = StructureSampler(self.sampler, self.weights, self.device).inpaint(
            structure, self.guests, num_samples=count, mask=self.mask, relax_cell=self.relax_cell,
            charge_balance=self.charge_balance, steps=self.steps, seed=self.seed, progress=False,
        )  # fmt: skip
        if ranked:
            return [{"structure": s, "index": s.properties["crysdiff_index"]} for s in samples]
        if not len(samples):
            raise SamplingError(f"No structure could be drawn: {samples.report}. Ask for several, or for fewer guests.")
        return samples[0]

    @property
    def inverse(self) -> None:
        """There is none."""

    @property
    def is_one_to_many(self) -> bool:
        """Whether several structures may come of one."""
        return True

    def __repr__(self) -> str:
        return f"InpaintTransformation({dict(self.guests)!r}, sampler={self.sampler!r}, num_samples={self.num_samples})"
