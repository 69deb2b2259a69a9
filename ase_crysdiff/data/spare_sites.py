"""Packed scaffolds with sites that are empty."""

import numpy as np
import torch

from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.state_space import MirageSpace
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.spare_sites import spare_sites
from ase_crysdiff.symmetry.tables import space_group


def with_spare_sites(data: PackedScaffolds, space: MirageSpace) -> PackedScaffolds:
    """Scaffolds with the empty sites that a state space adds, after their own sites.

    What is drawn depends on the order of the crystals alone: a run that goes on sees them as it saw
    them before. Free numbers of empty sites are 0 here; they mean nothing.

    Args:
        data: Crystals; those of more atoms than the space holds are left out.
        space: With odds of spare rows, here of spare sites.

    Raises:
        InputError: If it has none.
    """
    if space.spare is None:
        raise InputError(
            "Symmetric training with vacancies needs a state space with odds of spare sites, such "
            f'as "spare": [0.5, 0.5]; this one has {space.slots} rows for every crystal.'
        )
    data = data.select(torch.nonzero(data.num_atoms <= space.max_atoms).flatten())
    rng = np.random.default_rng(0)
    ends = data.num_sites.cumsum(0).tolist()
    letters = np.split(data.letter.numpy(), ends[:-1])
    added = [
        spare_sites(group, own.tolist(), space.spare, space.max_rows, rng.random)
        for group, own in zip(data.group.tolist(), letters, strict=True)
    ]
    counts = torch.tensor([len(more) for more in added])
    free = torch.tensor(
        [
            sum(space_group(group).positions[i].free for i in more)
            for group, more in zip(data.group.tolist(), added, strict=True)
        ]
    )
    flat = torch.tensor([letter for more in added for letter in more], dtype=torch.long)
    return PackedScaffolds(
        data.group,
        data.num_sites + counts,
        _appended(data.species, data.num_sites, torch.full_like(flat, VACANCY), counts),
        _appended(data.letter, data.num_sites, flat, counts),
        data.num_free + free,
        _appended(data.free_numbers, data.num_free, torch.zeros(int(free.sum())), free),
        data.lattice,
    )


def _appended(
    own: torch.Tensor, counts: torch.Tensor, more: torch.Tensor, added: torch.Tensor
) -> torch.Tensor:
    """Each crystal's rows followed by further ones."""
    parts = zip(own.split(counts.tolist()), more.split(added.tolist()), strict=True)
    return torch.cat([part for pair in parts for part in pair])
