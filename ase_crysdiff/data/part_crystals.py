"""Many crystals by their parts: what the masked model of elements learns from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ase_crysdiff.data.epochs import Buckets
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.networks.site_elements.batch import PartBatch
from ase_crysdiff.networks.site_elements.parts import Parts, parts_of
from ase_crysdiff.shapes import Int, Tensor
from ase_crysdiff.symmetry.decisions import hull_class


@dataclass(frozen=True)
class KnownElements:
    """Crystals with equally many parts, and the elements of these.

    Args:
        parts: What they look like.
        elements: Atomic number of each part.
        hull: Class of the energy above the hull.
    """

    parts: PartBatch
    elements: Int[Tensor, "crystals parts"]
    hull: Int[Tensor, " crystals"]

    def __len__(self) -> int:
        return len(self.hull)

    @staticmethod
    def of(crystals: Sequence[tuple[Parts, int]], device: torch.device) -> "KnownElements":
        """Parts and classes of the energy above the hull, on a device."""
        return KnownElements(
            PartBatch.of([parts for parts, _ in crystals]).to(device),
            torch.tensor([parts.elements for parts, _ in crystals], device=device),
            torch.tensor([hull for _, hull in crystals], device=device),
        )

    def select(self, chosen: Int[Tensor, " chosen"]) -> "KnownElements":
        """The crystals at these places, in this order."""
        return KnownElements(self.parts.select(chosen), self.elements[chosen], self.hull[chosen])


class PartCrystals(Buckets[KnownElements]):
    """A set of crystals by number of elements. A step draws from one bucket.

    Args:
        data: Crystals with scaffolds; the column `e_above_hull`, in eV/atom, is read where it is
            there. Crystals of one element are left out.
        max_sites: Crystals with more sites are left out.
        max_parts: Crystals with more elements are left out.
        batch_size: Crystals per batch.
        device: Where the batches live.
    """

    def __init__(
        self,
        data: PackedCrystals,
        max_sites: int,
        max_parts: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        assert data.scaffolds is not None
        left_out = 0
        hull = data.values.get("e_above_hull")
        rows: dict[int, list[tuple[Parts, int]]] = {}
        for index in range(len(data)):
            known = data.scaffolds.scaffold(index)
            if len(known.sites) > max_sites or not 2 <= len(known.counts) <= max_parts:
                left_out += 1
                continue
            energy = float("nan") if hull is None else float(hull[index])
            crystal = parts_of(data.scaffolds.crystal(index))
            rows.setdefault(len(known.counts), []).append((crystal, hull_class(energy)))
        buckets = [KnownElements.of(rows[size], device) for size in sorted(rows)]
        super().__init__(buckets, batch_size, left_out)
