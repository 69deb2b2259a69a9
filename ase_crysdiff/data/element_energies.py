"""What labels tell of the elements: energies of their atoms in crystals, how far above them the
free atoms lie, and of which elements they tell anything.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.perturbations import Perturbation
from ase_crysdiff.potentials.element_references import RIDGE, least_squares_references


def element_energies(
    labels: Labels, formation_references: Mapping[str, float], before: Mapping[str, Any]
) -> dict[str, Any]:
    """What stands for the elements at one level of theory, for a config: references fitted to the
    labels, how far above them the free atoms lie, and the elements that these labels have.

    Args:
        labels: Of this level.
        formation_references: Energies of the elements by atomic number that turn its energies into
            formation energies, eV. Of an element without one, or without a heat of formation of its
            free atom among the labels' metadata, the free atom is not known.
        before: The same of the weights that the training begins with, empty where there are none.
            Its elements keep their energies, since it is above those that the network was taught.
    """
    known = before.get("elements", ()) if "references" in before else ()
    references = atom_energies(labels, {z: before["references"][z] for z in known})
    depths = [0.0] * NUM_SPECIES
    for z, heat in json.loads(labels.metadata.get("free_atoms", "{}")).items():
        if z in formation_references:
            above = float(formation_references[z]) + float(heat) - references[int(z)]
            depths[int(z)] = round(above, 6)
    for z in known:
        depths[z] = before.get("depths", depths)[z]
    elements = {int(z) for z in torch.unique(labels.configurations.species)} | set(known)
    return {
        "elements": sorted(elements),
        "references": references,
        "depths": depths,
        "formation_references": {
            **before.get("formation_references", {}),
            **formation_references,
        },
    }


def atom_energies(labels: Labels, known: Mapping[int, float]) -> list[float]:
    """Energy of each element's atom, eV, by least squares of the energies per atom on the
    compositions; 0 where the element does not occur, the mean energy where it does in perturbed
    crystals alone.

    Only labels of unperturbed crystals count, if there are any: strain and disorder are the
    network's business.

    Args:
        labels: What the potential learns from.
        known: Energies of elements that are not to be found, by atomic number.

    Returns:
        By atomic number, shape (NUM_SPECIES,).
    """
    c = labels.configurations
    composition = torch.zeros(len(labels), NUM_SPECIES, dtype=torch.float64)
    composition.index_put_(
        (c.index, c.species), torch.ones(len(c.species), dtype=torch.float64), accumulate=True
    )
    undistorted = labels.kind == Perturbation.UNPERTURBED
    use = undistorted if bool(undistorted.any()) else torch.ones_like(undistorted)
    fixed = torch.zeros(NUM_SPECIES, dtype=torch.float64)
    fixed[list(known)] = torch.tensor(list(known.values()), dtype=torch.float64)
    counts, energies = c.num_atoms.double(), labels.energy.double() - composition @ fixed
    composition[:, list(known)] = 0
    fractions, energies = composition / counts[:, None], energies / counts
    found = torch.from_numpy(
        least_squares_references(fractions[use].numpy(), energies[use].numpy(), RIDGE)
    )
    occurs = composition.sum(0) > 0
    found[occurs & found.isnan()] = energies[use].mean()
    return [round(x, 6) for x in (found.nan_to_num() + fixed).tolist()]
