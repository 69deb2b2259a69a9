"""Hiding the elements of some atoms of every crystal."""

import torch

from ase_crysdiff.shapes import Bool, Int, Tensor


def draw_masks(
    num_atoms: Int[Tensor, " crystals"], share: float, generator: torch.Generator
) -> Bool[Tensor, " atoms"]:
    """Marks ceil(share × N) atoms of a crystal of N, at least one, each set of so many with the
    same probability.

    Args:
        num_atoms: Atoms of each crystal.
        share: Between 0 and 1.
        generator: Source of the choice.
    """
    device = num_atoms.device
    crystal = torch.arange(len(num_atoms), device=device).repeat_interleave(num_atoms)
    random_keys = torch.rand(
        len(crystal), generator=generator, device=generator.device, dtype=torch.float64
    ).to(device)
    order = torch.argsort(random_keys + crystal)  # crystal by crystal, in random order within
    rank = torch.arange(len(crystal), device=device) - (num_atoms.cumsum(0) - num_atoms)[crystal]
    # Rounded first, so that 0.3 × 10 is 3 and not 3.0000000000000004.
    wanted = torch.ceil((share * num_atoms.double()).round(decimals=9)).long().clamp_min(1)
    return torch.zeros_like(crystal, dtype=torch.bool).index_put((order,), rank < wanted[crystal])
