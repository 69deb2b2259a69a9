"""The parts of several crystals as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from ase_crysdiff.crystal.batch import rows_of
from ase_crysdiff.networks.site_elements.parts import SHELLS, Parts
from ase_crysdiff.shapes import Bool, Float, Int, Tensor


@dataclass(frozen=True)
class PartBatch:
    """Crystals that have equally many parts, so that nothing is padded.

    Args:
        group: Number of each space group.
        counts: Atoms of each part.
        shells: Neighbours by part and shell, see `parts.Parts`; 0 where unknown.
        is_known: 1 where the geometry of a crystal is known, 0 where not.
        num_sites: Sites of each crystal.
        rows: Place of the position of each site, crystal after crystal.
        part: Part of each site, counted over all crystals.
        sites: Description of each site.
        weights: Share of each site in the atoms of its part.
    """

    group: Int[Tensor, " crystals"]
    counts: Float[Tensor, "crystals parts"]
    shells: Float[Tensor, "crystals parts parts shells"]
    is_known: Float[Tensor, " crystals"]
    num_sites: Int[Tensor, " crystals"]
    rows: Int[Tensor, " sites"]
    part: Int[Tensor, " sites"]
    sites: Float[Tensor, "sites features"]
    weights: Float[Tensor, " sites"]

    def __len__(self) -> int:
        return len(self.group)

    @staticmethod
    def of(crystals: Sequence[Parts]) -> "PartBatch":
        """The tensors of crystals with equally many parts."""
        size = len(crystals[0].elements)
        nothing = np.zeros((size, size, len(SHELLS)))
        shells = [nothing if c.shells is None else c.shells for c in crystals]
        part = [i * size + c.part for i, c in enumerate(crystals)]
        weights = [c.multiplicities / c.counts[c.part] for c in crystals]
        return PartBatch(
            torch.tensor([c.group for c in crystals]),
            _floats([c.counts for c in crystals]),
            _floats(shells),
            torch.tensor([float(c.shells is not None) for c in crystals]),
            torch.tensor([len(c.rows) for c in crystals]),
            torch.from_numpy(np.concatenate([c.rows for c in crystals])),
            torch.from_numpy(np.concatenate(part)),
            torch.from_numpy(np.concatenate([c.sites for c in crystals])).float(),
            torch.from_numpy(np.concatenate(weights)).float(),
        )

    def to(self, device: torch.device) -> "PartBatch":
        """The same on a device."""
        return PartBatch(*(getattr(self, f.name).to(device) for f in fields(self)))

    def select(self, chosen: Int[Tensor, " chosen"]) -> "PartBatch":
        """The crystals at these places, in this order."""
        _, sites = rows_of(self.num_sites, chosen)
        size = self.counts.shape[1]
        crystal = torch.arange(len(chosen), device=chosen.device)
        crystal = crystal.repeat_interleave(self.num_sites[chosen])
        return PartBatch(
            self.group[chosen],
            self.counts[chosen],
            self.shells[chosen],
            self.is_known[chosen],
            self.num_sites[chosen],
            self.rows[sites],
            self.part[sites] % size + crystal * size,
            self.sites[sites],
            self.weights[sites],
        )

    def without_geometry(self, hidden: Bool[Tensor, " crystals"]) -> "PartBatch":
        """The same where the geometry of the crystals for which `hidden` is true is not known."""
        kept = self.is_known.masked_fill(hidden, 0)
        return replace(self, shells=self.shells * kept[:, None, None, None], is_known=kept)


def _floats(arrays: Sequence["np.ndarray[tuple[int, ...], np.dtype[np.generic]]"]) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).float()
