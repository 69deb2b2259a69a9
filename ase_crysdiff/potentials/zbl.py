"""Repulsion of atoms that overlap: screened Coulomb forces of the nuclei, switched off below the
shortest bond.

Networks trained on crystals know little of very short distances and often attract there, so that a
search falls into the hole. This term costs next to nothing and adds nothing at bond lengths: it
ends at 0.6 of the sum of the covalent radii.

Source: Ziegler, Biersack and Littmark 1985, "The Stopping and Range of Ions in Solids", universal
potential.
"""

import torch

from ase_crysdiff.constants import PHYSICAL_FRACTION
from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.networks.energy import EnergyTerms, forces_and_virials, no_terms
from ase_crysdiff.networks.graph import Graph
from ase_crysdiff.networks.radial import envelope
from ase_crysdiff.shapes import Float, Int, Tensor

#: e² / 4πε₀, eV Å.
COULOMB = 14.399645
_BOHR = 0.529177
_SCREENING = ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))


def reach(first: Int[Tensor, " pairs"], second: Int[Tensor, " pairs"]) -> Float[Tensor, " pairs"]:
    """Where the repulsion of two elements ends, Å."""
    radii = covalent_radii().to(first.device)
    return PHYSICAL_FRACTION * (radii[first] + radii[second])


def pair_energy(
    first: Int[Tensor, " pairs"], second: Int[Tensor, " pairs"], distance: Float[Tensor, " pairs"]
) -> Float[Tensor, " pairs"]:
    """Energy of pairs of nuclei, eV.

    Args:
        first: Atomic numbers.
        second: Atomic numbers.
        distance: Å.
    """
    z1, z2 = first.to(distance.dtype), second.to(distance.dtype)
    length = 0.8854 * _BOHR / (z1**0.23 + z2**0.23)
    x = distance / length
    screening = sum(a * torch.exp(-b * x) for a, b in _SCREENING)
    return (
        COULOMB
        * z1
        * z2
        / distance
        * screening
        * envelope(distance / reach(first, second).to(distance.dtype))
    )


def repulsion(graph: Graph) -> EnergyTerms:
    """Repulsion of all atoms of a graph. Each atom has half of the energy of its pairs; no gradient
    for training.
    """
    species = graph.species
    distance = torch.linalg.vector_norm(graph.vectors.detach(), dim=-1)
    near = torch.nonzero(
        distance < reach(species[graph.receivers], species[graph.senders])
    ).flatten()
    if not len(near):
        return no_terms(graph)
    vectors = graph.vectors.detach()[near].requires_grad_(True)
    first, second = graph.receivers[near], graph.senders[near]
    with torch.enable_grad():
        length = vectors.square().sum(-1).clamp_min(1e-12).sqrt()
        half = pair_energy(species[first], species[second], length) / 2
        (part,) = torch.autograd.grad(half.sum(), vectors)
    gradient = torch.zeros_like(graph.vectors)
    gradient[near] = part
    energies = graph.vectors.new_zeros(len(species)).index_add(0, first, half.detach())
    return EnergyTerms(energies, *forces_and_virials(graph, gradient))
