"""Energies of the elements that labels tell, of which elements, and what stays as it was."""

import json

import pytest
import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.data.element_energies import atom_energies, element_energies
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.perturbations import Perturbation
from ase_crysdiff.potentials.base import Configurations


def labels(species, energy, kind, **metadata):
    """Labels of cells of two atoms, with energies per cell."""
    number = len(energy)
    sets = Configurations(
        torch.zeros(2 * number, 3),
        4 * torch.eye(3).expand(number, 3, 3),
        torch.ones(number, 3, dtype=torch.bool),
        torch.tensor(species),
        torch.full((number,), 2),
    )
    zeros = torch.zeros(2 * number, 3), torch.zeros(number, 3, 3)
    told = torch.tensor(energy, dtype=torch.float64)
    plain = {name: json.dumps(value) for name, value in metadata.items()}
    return Labels(sets, told, *zeros, torch.tensor(kind), plain)


#: Two crystals of known energies; a rattled copy and one with another element are far off.
SALTS = labels(
    [11, 11, 11, 17, 11, 17, 19, 17],
    [-2.0, -5.0, 50.0, 70.0],
    [
        Perturbation.UNPERTURBED,
        Perturbation.UNPERTURBED,
        Perturbation.RATTLED,
        Perturbation.SUBSTITUTED,
    ],
    free_atoms={"11": 1.1, "19": 0.9},
)


def test_atoms_of_a_potential_are_fitted_to_unperturbed_crystals():
    found = atom_energies(SALTS, {})
    assert found[11] == pytest.approx(-1.0, abs=1e-3)
    assert found[17] == pytest.approx(-4.0, abs=2e-3)
    assert found[19] == pytest.approx(-1.75)  # the mean of the unperturbed ones, per atom
    assert found[26] == 0


def test_elements_are_those_of_the_labels():
    found = element_energies(SALTS, {"11": -1.2}, {})
    assert found["elements"] == [11, 17, 19]
    assert found["references"] == atom_energies(SALTS, {})
    assert found["depths"][11] == pytest.approx(-1.2 + 1.1 + 1.0, abs=1e-3)
    assert found["depths"][17] == found["depths"][19] == 0  # no energy of both crystal and atom
    assert found["formation_references"] == {"11": -1.2}


def test_elements_that_weights_know_keep_their_energies():
    """The network was taught what is above them; others are fitted to what they leave."""
    energies = [float(-z) for z in range(NUM_SPECIES)]
    before = {
        "elements": [11, 26],
        "references": energies,
        "depths": [x / 2 for x in energies],
        "formation_references": {"11": -7.0, "26": -8.0},
    }
    found = element_energies(SALTS, {"17": -1.2}, before)
    assert found["elements"] == [11, 17, 19, 26]
    assert [found["references"][z] for z in (11, 26)] == [-11, -26]
    assert found["references"][17] == pytest.approx(-5.0 + 11.0, abs=2e-2)  # of -5 eV in all
    assert [found["depths"][z] for z in (11, 26)] == [-5.5, -13]
    assert found["formation_references"] == {"11": -7.0, "26": -8.0, "17": -1.2}
    assert element_energies(SALTS, {}, {})["references"][26] == 0


def test_energies_of_known_elements_alone_leave_nothing_to_fit():
    sodium = labels([11, 11], [-2.4], [Perturbation.UNPERTURBED])
    assert atom_energies(sodium, {11: -1.0, 17: -3.0})[11] == -1.0
