"""What an atom gains in energy as its neighbours leave it: from the reference of its element to the
energy of the free atom.

Networks trained on crystals have never seen one come apart. Their reference energies describe atoms
in crystals, several eV below the free ones, and would be what is left of an atom without
neighbours. This term is zero, exactly or to far below a millielectronvolt, as long as an atom has
neighbours at bond lengths, stretched by a fifth or less; it takes over where the last of them is
about 1.4 bond lengths away. The network, whose own terms end with the last neighbour within its
cutoff, learns the rest of the way from stretched crystals.
"""

import torch

from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.networks.energy import EnergyTerms, forces_and_virials, no_terms
from ase_crysdiff.networks.graph import Graph
from ase_crysdiff.networks.radial import envelope
from ase_crysdiff.shapes import Float, Tensor

#: Bond lengths at which a bond has ended; networks have to see as far.
REACH = 1.6
#: Of the strength of a bond, in bond lengths: a single one is half gone at 1.36.
_CENTRE, _WIDTH = 1.5, 0.07
#: Bonds beyond which an atom counts as wholly bound: exp(-30) eV are nothing.
_BOUND = 30.0


def separation(graph: Graph, depths: Float[Tensor, " atoms"]) -> EnergyTerms:
    """Energies, forces and virials of all atoms of a graph; no gradient for training.

    An atom gains its depth times exp(-Σ_j w_ij), with the strength w = exp((1.5 - x) / 0.07) of a
    bond, x its length over the sum of the covalent radii, and an envelope that ends it at 1.6.

    Args:
        graph: Whose edges reach at least to 1.6 bond lengths.
        depths: Energy of each atom, when free, above the reference of its element, eV.
    """
    species, vectors = graph.species, graph.vectors.detach()
    depth = depths.to(vectors.dtype)
    radii = covalent_radii(vectors.dtype).to(vectors.device)
    first, second = species[graph.receivers], species[graph.senders]
    bonds = radii[first] + radii[second]
    distances = vectors.square().sum(-1).clamp_min(1e-12).sqrt()
    with torch.no_grad():
        strengths = _strength(distances / bonds)
        bound = torch.zeros_like(depth).index_add(0, graph.receivers, strengths)
        loose = bound < _BOUND
        if not bool(loose.any()):
            return no_terms(graph)
        freed = torch.where(loose, depth * torch.exp(-bound), 0.0)
        gradient = torch.zeros_like(vectors)
        near = torch.nonzero(freed[graph.receivers]).flatten()
    if len(near):
        length = distances[near].requires_grad_(True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(_strength(length / bonds[near]).sum(), length)
        pull = -freed[graph.receivers[near]] * slope / distances[near]
        gradient[near] = pull.unsqueeze(-1) * vectors[near]
    return EnergyTerms(freed, *forces_and_virials(graph, gradient))


def _strength(x: Float[Tensor, " edges"]) -> Float[Tensor, " edges"]:
    return torch.exp((_CENTRE - x).clamp_max(1.0) / _WIDTH) * envelope(x / REACH)
