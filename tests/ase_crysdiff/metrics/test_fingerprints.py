"""Shipped fingerprints and hull: they recognise, they do not depend on the cell, and they say what
they are.
"""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.fingerprints import (
    Fingerprints,
    distance_counts,
    open_fingerprints,
    open_hull,
)
from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Known
from ase_crysdiff.testing.crystals import prototypes


@pytest.mark.parametrize("name", ["NaCl", "SrTiO3", "MoS2", "chain"])
def test_counts_do_not_depend_on_cell_orientation_or_order(name):
    first = prototypes()[name]
    other = first.copy()
    other.make_supercell([[2, 1, 0], [0, 1, 0], [0, 0, 1]])
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    moved = Structure(
        Lattice(other.lattice.matrix @ turn),
        other.species[::-1],
        (other.frac_coords[::-1] + 0.3) % 1,
    )
    assert distance_counts(moved) == pytest.approx(distance_counts(first), abs=1e-6)


def test_counts_do_not_see_volume_and_do_see_elements():
    salt = prototypes()["NaCl"]
    large = Structure(salt.lattice.scale(2 * salt.volume), salt.species, salt.frac_coords)
    assert distance_counts(large) == pytest.approx(distance_counts(salt), abs=1e-6)
    perovskite = prototypes()["SrTiO3"]
    swapped = perovskite.copy()
    swapped[0], swapped[1] = "Ti", "Sr"
    assert np.abs(distance_counts(swapped) - distance_counts(perovskite)).max() > 0.1


def test_shipped_table_knows_textbook_crystals_and_no_inventions():
    known = open_fingerprints()
    assert isinstance(known, Known)
    crystals = prototypes()
    noisy = crystals["NaCl"].copy()
    noisy.make_supercell([2, 1, 1])
    noisy.perturb(0.05)
    invented = Structure(Lattice.cubic(4.0), ["K", "W"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    caesium = Structure(Lattice.cubic(3.3), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    result = novelty(
        [crystals["NaCl"], noisy, crystals["Cu"], crystals["chain"], invented, None, caesium], known
    )
    assert result.per_structure == (False, False, False, True, True, False, False)
    assert "open" in result.settings["reference"]
    assert result.settings["crystals"] == len(known) > 115_000
    assert set(result.failures) == {5}


def test_tables_are_small():
    from importlib.resources import files

    folder = files("ase_crysdiff").joinpath("resources")
    assert len(folder.joinpath("open-hull.csv.gz").read_bytes()) <= 700_000
    assert len(folder.joinpath("open-fingerprints.safetensors").read_bytes()) <= 1_300_000


def test_open_hull_holds_elements_at_zero():
    hull = open_hull()
    assert hull.energy("Fe") == 0
    assert -2.3 < hull.energy("NaCl") < -1.9
    assert len(hull) > 94_000


def test_round_trip_and_damage(tmp_path):
    known = open_fingerprints()
    known.save(tmp_path / "copy.safetensors")
    again = Fingerprints.load(tmp_path / "copy.safetensors")
    assert again.digest == known.digest
    assert again.tolerance == known.tolerance
    assert again.metadata == known.metadata
    (tmp_path / "copy.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read as fingerprints"):
        Fingerprints.load(tmp_path / "copy.safetensors")


@pytest.mark.data
@pytest.mark.slow
def test_fingerprints_agree_with_the_matcher_on_validation_crystals(data):
    """The validation pool was freed of everything that matches the training pool, so that the
    matcher calls all of it novel.
    """
    from ase_crysdiff.data.readers import read_records

    records = list(read_records(data / "mp" / "val.csv.gz"))[:120]
    result = novelty([r.load() for r in records], open_fingerprints())
    assert result.value > 0.95
