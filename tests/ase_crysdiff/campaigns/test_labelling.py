"""Labelling from Python."""

import numpy as np
import pytest

from ase_crysdiff.campaigns.labelling import digest, label, read_crystals
from ase_crysdiff.campaigns.labels import Oracle
from ase_crysdiff.data.label_packing import pack_labels
from ase_crysdiff.data.perturbations import Crystal, Perturbation
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.storage import Store

LENNARD_JONES = Oracle(calculator="ase.calculators.lj:LennardJones")
KINDS = (Perturbation.UNPERTURBED, Perturbation.SUPERCELL)


@pytest.fixture
def folder(crystal_files):
    return crystal_files(20)


def make(folder, output, **changes):
    words = {"oracle": LENNARD_JONES, "perturbations": KINDS, "max_force": 1e9, "progress": False}
    return label([folder], output, **words | changes)


def test_a_call_labels_and_the_next_one_finds_the_pieces(folder, tmp_path):
    output = tmp_path / "labels.npz"
    first = make(folder, output)
    assert (first.labels, first.pieces, first.found, first.refused) == (40, 2, 0, ())
    labels, _ = pack_labels([output])
    assert labels.kind.tolist() == [0, 16] * 20
    content = output.read_bytes()
    again = make(folder, output, perturbations=["as-is", "doubled"])
    assert (again.labels, again.found) == (40, 2)
    assert output.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"max_force": 1.0}, "max_force"),
        ({"perturbations": ["rattled"]}, "perturbations"),
        ({"max_atoms": 4}, "inputs"),
        ({"oracle": Oracle(calculator="ase.calculators.emt:EMT")}, "oracle"),
    ],
)
def test_another_call_is_refused_and_told_why(change, named, folder, tmp_path):
    make(folder, tmp_path / "labels.npz")
    with pytest.raises(InputError, match=rf"other settings \({named} differ\)"):
        make(folder, tmp_path / "labels.npz", **change)


def test_pieces_of_an_older_version_are_not_mixed_in(folder, tmp_path):
    make(folder, tmp_path / "labels.npz")
    (tmp_path / "labels.npz.parts" / Store.RECORD).unlink()
    with pytest.raises(CheckpointError, match="pieces of an older version"):
        make(folder, tmp_path / "labels.npz")


def test_reasons_are_counted(folder, tmp_path):
    report = make(folder, tmp_path / "labels.npz", max_atoms=4, perturbations=["rattled"])
    assert report.labels + len(report.refused) == 20
    assert report.reasons == [("more than 4 atoms", len(report.refused))]


def test_nothing_to_label_writes_nothing(folder, tmp_path):
    report = make(folder, tmp_path / "labels.npz", max_atoms=0)
    assert report.labels == 0
    assert not (tmp_path / "labels.npz").exists()


@pytest.mark.parametrize("change", [{"perturbations": ["upside-down"]}, {"workers": -1}])
def test_nonsense_is_refused_before_any_work(change, folder, tmp_path):
    with pytest.raises(InputError):
        make(folder, tmp_path / "labels.npz", **change)
    assert not (tmp_path / "labels.npz.parts").exists()


def test_reading_names_what_it_cannot_use(folder):
    crystals, skipped = read_crystals([folder], 4)
    assert len(crystals) + len(skipped) == 20
    assert {reason for _, reason in skipped} == {"more than 4 atoms"}


def test_the_digest_sees_names_cells_places_and_elements():
    base = Crystal("a", 4 * np.eye(3), np.zeros((1, 3)), np.array([11]))
    others = [
        Crystal("b", base.lattice, base.frac_coords, base.species),
        Crystal("a", 5 * np.eye(3), base.frac_coords, base.species),
        Crystal("a", base.lattice, base.frac_coords + 0.1, base.species),
        Crystal("a", base.lattice, base.frac_coords, np.array([12])),
    ]
    assert len({digest([c]) for c in (base, *others)}) == 5
    assert digest([base, base]) != digest([base])
