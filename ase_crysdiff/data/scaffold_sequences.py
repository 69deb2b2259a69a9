"""Many scaffolds as sequences of decisions: what their probability is learned from."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np
import torch

from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.randomness import epoch_generator
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.symmetry.decisions import MAX_ELEMENTS, Decisions, decisions_of, hull_class


class ScaffoldSequences:
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
        self.batch_size, self.left_out = batch_size, 0
        rows: dict[int, list[dict[str, np.ndarray]]] = {}
        for index in range(len(data)):
            scaffold = data.scaffold(index).canonical()
            if len(scaffold.sites) > max_sites or len(scaffold.counts) > MAX_ELEMENTS:
                self.left_out += 1
                continue
            energy = float("nan") if hull is None else float(hull[index])
            rows.setdefault(len(scaffold.sites), []).append(
                decisions_of(scaffold, hull_class(energy))
            )
        self.buckets = [_stack(rows[sites], device) for sites in sorted(rows)]

    def __len__(self) -> int:
        return sum(map(len, self.buckets))

    def epoch(
        self, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[Decisions]:
        """The batches of one epoch, a function of seed, epoch, rank and processes only."""
        generator = epoch_generator(seed, epoch)
        plan: list[tuple[int, Tensor]] = []
        for number, bucket in enumerate(self.buckets):
            order = torch.randperm(len(bucket), generator=generator)
            plan += [(number, rows) for rows in order.split(self.batch_size * world_size)]
        for place in torch.randperm(len(plan), generator=generator).tolist():
            number, rows = plan[place]
            yield self.buckets[number].select(rows[rank::world_size])

    def everything(self) -> Iterator[Decisions]:
        """Every scaffold once, in order, for validation."""
        for bucket in self.buckets:
            for rows in torch.arange(len(bucket)).split(self.batch_size):
                yield bucket.select(rows)


def _stack(rows: Sequence[dict[str, np.ndarray]], device: torch.device) -> Decisions:
    return Decisions(
        *(
            torch.from_numpy(np.stack([r[f.name] for r in rows])).to(device)
            for f in fields(Decisions)
        )
    )
