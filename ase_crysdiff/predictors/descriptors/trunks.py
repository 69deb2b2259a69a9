"""What trained networks see of a crystal: features of its atoms, pooled, and what they answer.

All weights ship with the package; a card that rests on them names their digests.
"""

from collections.abc import Callable, Collection
from functools import lru_cache, partial

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.geometry.segments import segment_index
from ase_crysdiff.models.pretrained import load_backbone
from ase_crysdiff.networks.base import Backbone
from ase_crysdiff.networks.graph import build_graph
from ase_crysdiff.potentials.base import Configurations, Potential
from ase_crysdiff.potentials.doubts import uncertainties
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.potentials.neural import NeuralPotential
from ase_crysdiff.predictors.base import Predictor
from ase_crysdiff.predictors.descriptors.composition import shares
from ase_crysdiff.relaxation.evaluation import evaluate_each
from ase_crysdiff.shapes import Float, Int, Tensor

Array = NDArray[np.float64]

ENCODER, POTENTIAL, GAPS = "crysldnet", "dao-p", "band-gap"
#: eV/Å³ in GPa.
_GPA = 160.21766208


def pooled(
    atoms: Float[Tensor, "atoms hidden"], owner: Int[Tensor, " atoms"], crystals: int
) -> Float[Tensor, "crystals pooled"]:
    """Mean and standard deviation over the atoms of each crystal: the same for supercells."""
    atoms = atoms.double()
    count = torch.bincount(owner, minlength=crystals).double().unsqueeze(-1)
    empty = atoms.new_zeros(crystals, atoms.shape[1])
    mean = empty.index_add(0, owner, atoms) / count
    spread = (empty.index_add(0, owner, (atoms - mean[owner]) ** 2) / count).sqrt()
    return torch.cat([mean, spread], dim=1)


def encoder_features(crystals: CrystalBatch) -> Array:
    """Of the pretrained encoder; NaN for crystals with elements that it does not know."""
    return backbone_features(*encoder(), crystals)


def backbone_features(
    backbone: Backbone, elements: Collection[int], crystals: CrystalBatch
) -> Array:
    """What a backbone sees of crystals; NaN for those with elements that it does not know.

    Args:
        backbone: Without gradients.
        elements: Atomic numbers that it knows.
        crystals: In their reduced cells.
    """
    return _of_known(partial(_encoded, backbone), crystals, elements, 2 * backbone.hidden)


def potential_features(crystals: CrystalBatch) -> Array:
    """Of the potential's readout; NaN for crystals with elements that it does not know."""
    network = potential()
    assert isinstance(network, NeuralPotential)
    width = 2 * network.network.encoder.hidden
    return _of_known(partial(_potential_sees, network), crystals, network.elements, width)


def _of_known(
    function: Callable[[CrystalBatch], Array],
    crystals: CrystalBatch,
    elements: Collection[int],
    width: int,
) -> Array:
    """Rows of a function for the crystals whose elements are known, NaN for the others."""
    known = torch.isin(crystals.species, torch.tensor(sorted(elements)))
    owner = segment_index(crystals.num_atoms)
    strange = torch.bincount(owner, (~known).double(), len(crystals)) > 0
    rows = torch.nonzero(~strange).flatten()
    found = np.full((len(crystals), width), np.nan)
    if len(rows):
        found[rows.numpy()] = function(crystals.select(rows))
    return found


def _encoded(backbone: Backbone, crystals: CrystalBatch) -> Array:
    with torch.no_grad():
        graph = build_graph(crystals, backbone.neighborhood)
        return pooled(backbone(graph).nodes, graph.systems, len(crystals)).numpy()


def _potential_sees(network: NeuralPotential, crystals: CrystalBatch) -> Array:
    atoms, graph = network.features(_configurations(crystals))
    return pooled(atoms, graph.systems, len(crystals)).numpy()


def answers(crystals: CrystalBatch) -> Array:
    """Formation energy (eV/atom), pressure and deviatoric stress (GPa), mean force (eV/Å) of the
    crystals as they are, how far the potential trusts itself (eV/atom), and the band gap (eV); NaN
    where there is no answer.
    """
    predictor = gaps()
    gap = _of_known(
        lambda known: predictor.predict(known).values.numpy()[:, None],
        crystals,
        predictor.elements,
        1,
    )
    said = _of_known(_potential_says, crystals, potential().elements, 5)
    return np.concatenate([said, gap], axis=1)


def _potential_says(crystals: CrystalBatch) -> Array:
    network, systems = potential(), _configurations(crystals)
    found = evaluate_each(network, systems)
    doubts = uncertainties(network, systems).systems
    count = crystals.num_atoms.double().numpy()
    references = np.zeros(shares(crystals).shape[1])
    for number, energy in network.formation_references.items():
        references[number] = energy
    stress = found.stress.double().numpy() * _GPA
    pressure = -np.trace(stress, axis1=1, axis2=2) / 3
    deviation = np.linalg.norm(stress + pressure[:, None, None] * np.eye(3), axis=(1, 2))
    force = torch.linalg.vector_norm(found.forces.double(), dim=1).numpy()
    owner = segment_index(crystals.num_atoms).numpy()
    columns = [
        found.energy.double().numpy() / count - shares(crystals) @ references,
        pressure,
        deviation,
        np.bincount(owner, force, len(crystals)) / count,
        doubts.double().numpy(),
    ]
    return np.stack(columns, axis=1)


@lru_cache(maxsize=1)
def encoder() -> tuple[Backbone, frozenset[int]]:
    """The pretrained encoder, on the CPU, and the elements that it knows."""
    backbone, card = load_backbone(ENCODER)
    return backbone.eval().requires_grad_(False), frozenset(card.elements)


@lru_cache(maxsize=1)
def gaps() -> Predictor:
    """The predictor of band gaps, on the CPU."""
    from ase_crysdiff.predictors.loading import from_folder  # which knows averages, which read us

    return from_folder(GAPS)


@lru_cache(maxsize=1)
def potential() -> Potential:
    """The potential, on the CPU."""
    return load_potential(POTENTIAL)


def _configurations(crystals: CrystalBatch) -> Configurations:
    return Configurations.from_crystals(crystals.to(dtype=torch.float64))
