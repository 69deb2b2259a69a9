"""Many scaffolds as sequences of decisions: what their probability is learned from."""

import numpy as np
import torch

from ase_crysdiff.data.epochs import Buckets
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.symmetry.decisions import MAX_ELEMENTS, Decisions, decisions_of, hull_class


class ScaffoldSequences(Buckets[Decisions]):
    """A set of scaffolds by number of sites. A step draws from one bucket.

    Args:
        data: Crystals.
        hull: Energies above the hull, eV/atom, NaN where unknown; None for all unknown.
        max_sites: Crystals with more sites, or with more than `MAX_ELEMENTS` elements, are left
            out.
        batch_size: Crystals per batch.
        device: Where the tensors live.
    """

    def __init__(
        self,
        data: PackedScaffolds,
        hull: Tensor | None,
        max_sites: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        left_out = 0
        rows: dict[int, list[dict[str, np.ndarray]]] = {}
        for index in range(len(data)):
            scaffold = data.scaffold(index).canonical()
            if len(scaffold.sites) > max_sites or len(scaffold.counts) > MAX_ELEMENTS:
                left_out += 1
                continue
            energy = float("nan") if hull is None else float(hull[index])
            rows.setdefault(len(scaffold.sites), []).append(
                decisions_of(scaffold, hull_class(energy))
            )
        buckets = [Decisions.of(rows[sites], device) for sites in sorted(rows)]
        super().__init__(buckets, batch_size, left_out)
