"""The fit of expected errors, on errors that are known, and on held-out labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk
from scipy.stats import spearmanr

from ase_crysdiff.campaigns.uncertainty import (
    disturbed,
    fit_uncertainty,
    label_errors,
    separation,
)
from ase_crysdiff.data.label_packing import pack_labels
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.readers import read_all
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.weights import find, read_card
from ase_crysdiff.potentials.convert import from_atoms
from ase_crysdiff.potentials.doubts import uncertainties
from ase_crysdiff.potentials.element_references import least_squares_references
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.relaxation.structures import configurations

KINDS = [("NaCl", "rocksalt", 5.64), ("MgO", "rocksalt", 4.21), ("Si", "diamond", 5.43)]


@pytest.fixture(scope="module")
def potential():
    return load_potential("dao-p")


def labels_of(potential, rows, seed, deviations=None):
    """Crystals whose energies are the potential's own and an error that grows with disorder."""
    generator = np.random.default_rng(seed)
    atoms, widths = [], []
    for i in range(rows):
        name, structure, a = KINDS[i % 3]
        one = bulk(name, structure, a=a).repeat((2, 1, 1))
        deviation = 0.0 if deviations is None else deviations[i % len(deviations)]
        one.positions += generator.normal(0, deviation, one.positions.shape)
        atoms.append(one)
        widths.append(0.01 + 0.3 * deviation)
    c = from_atoms(atoms)
    energy = potential.evaluate_energies(c).energy
    errors = torch.tensor(generator.normal(0, widths))
    stress = torch.full((rows, 3, 3), torch.nan)
    kind = torch.zeros(rows, dtype=torch.long)
    return Labels(
        c, energy - errors * c.num_atoms, torch.full_like(c.positions, torch.nan), stress, kind
    ), errors


def test_errors_of_labels_are_those_that_were_put_in(potential):
    labels, errors = labels_of(potential, 30, 0, (0.0, 0.1))
    torch.testing.assert_close(label_errors(potential, labels, {}), errors, rtol=0, atol=1e-4)


def test_zeros_of_other_levels_do_not_count(potential):
    labels, errors = labels_of(potential, 30, 0)
    own = {str(z): e + z / 10 for z, e in potential.formation_references.items()}
    shift = torch.zeros(120, dtype=torch.float64)
    for z in range(1, 20):
        shift[z] = z / 10
    c = labels.configurations
    moved = Labels(
        c,
        labels.energy.index_add(0, c.index, shift[c.species]),
        labels.forces,
        labels.stress,
        labels.kind,
    )
    found = label_errors(potential, moved, {"": own})
    torch.testing.assert_close(found, errors, rtol=0, atol=1e-4)


def test_the_fit_finds_errors_that_grow_with_disorder(potential):
    training, _ = labels_of(potential, 120, 1, (0.0, 0.02, 0.05))
    validation, _ = labels_of(potential, 600, 2, (0.0, 0.05, 0.1, 0.2, 0.4))
    crystals, _ = labels_of(potential, 120, 3, (0.01,))
    found = fit_uncertainty(potential, training, validation, crystals.configurations)
    assert found.familiarity.exponent > 0
    assert 0.6 < found.measured["within 1 σ"] < 0.85
    assert 0.9 < found.measured["within 2 σ"] <= 1.0
    assert found.measured["rank correlation with the error"] > 0.2
    assert found.measured["places at random: AUROC"] > 0.95
    assert found.measured["of these outside"] == pytest.approx(0.025, abs=0.01)
    again = fit_uncertainty(potential, training, validation, crystals.configurations)
    assert again.measured == found.measured


def test_too_little_is_refused(potential):
    few, _ = labels_of(potential, 20, 0)
    with pytest.raises(InputError, match="at least 100"):
        fit_uncertainty(potential, few, few)


def test_separation_is_the_area_under_the_curve():
    assert separation(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert separation(np.array([1.0, 3.0]), np.array([2.0, 4.0])) == 0.75
    assert separation(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5


def test_disturbed_crystals_are_what_their_names_say(potential):
    crystals = from_atoms([bulk("NaCl", "rocksalt", a=5.64), bulk("Cu")])
    found = disturbed(crystals, potential.elements)
    volumes = torch.linalg.det(crystals.cells)
    small, large = (torch.linalg.det(found[f"volume x {v}"].cells) for v in (0.7, 2.5))
    torch.testing.assert_close(small, 0.7 * volumes)
    torch.testing.assert_close(large, 2.5 * volumes)
    exchanged = found["elements at random"].species
    assert set(exchanged.tolist()) <= potential.elements
    assert exchanged[0] != exchanged[1]


def test_shipped_weights_are_calibrated(data, potential):
    level = read_card(find("dao-p")).config.get("level", "chgnet").split("-")[0]
    file = data / "labels" / f"{level}_val.npz"
    plain = [file.name] if level == "sevennet" else []  # CHGNet's have the corrections
    labels, _ = pack_labels([file], uncorrected=plain)
    labels = labels.select(torch.arange(0, len(labels), max(1, len(labels) // 600)))
    errors = label_errors(potential, labels, {})
    c = labels.configurations
    # The zeros of the elements are those of the labels, as far as compositions tell.
    amounts = torch.zeros(len(c), 120, dtype=torch.float64)
    amounts.index_put_((c.index, c.species), torch.ones(len(c.species)).double(), accumulate=True)
    fractions = amounts / c.num_atoms[:, None]
    typical = errors.abs() < 0.3
    zeros = least_squares_references(fractions[typical].numpy(), errors[typical].numpy(), 1.0)
    errors = errors - fractions @ torch.from_numpy(np.nan_to_num(zeros))
    told = uncertainties(potential, c).systems
    known = told.isfinite()
    assert 0.99 < float(known.double().mean()) < 1  # xenon and krypton are not known
    errors, told = errors[known], told[known]
    share = (errors.abs() / told)[errors.abs() < 2.0]
    assert 0.6 < float((share < 1).double().mean()) < 0.9
    assert 0.9 < float((share < 2).double().mean()) < 0.995
    assert spearmanr(errors.abs(), told).statistic > 0.3


def test_crystals_of_nature_are_inside(data, potential):
    records = read_all([data / "mp" / "val.csv.gz"])[::10]
    crystals = replace(configurations([record.load() for record in records]), labels=())
    assert float(uncertainties(potential, crystals).is_outside.double().mean()) < 0.1
    found = {
        name: float(uncertainties(potential, some).is_outside.double().mean())
        for name, some in disturbed(crystals, potential.elements).items()
    }
    assert found["places at random"] > 0.9
    assert found["volume x 2.5"] > 0.8
    assert found["elements at random"] > 0.4
