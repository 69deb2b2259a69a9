"""The benchmark of potentials on a small table."""

import csv
import json

import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.benchmark.potential import PotentialOptions, potential
from ase_crysdiff.errors import InputError

COLUMN = "formation_energy_per_atom"


def table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["material_id", "cif", COLUMN])
        writer.writeheader()
        for name, structure, energy in rows:
            writer.writerow({"material_id": name, "cif": structure.to(fmt="cif"), COLUMN: energy})
    return path


@pytest.fixture
def salts(tmp_path):
    rows = []
    for name, a, energy in (("LiF", 4.08, -3.1), ("NaCl", 5.69, -2.1), ("MgO", 4.25, "")):
        symbols = Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(a), [name[:2], name[2:]], [[0, 0, 0], [0.5] * 3]
        )
        rows.append((name, symbols.get_primitive_structure(), energy))
    return table(tmp_path / "salts.csv", rows)


def test_a_potential_agrees_with_itself_and_crystals_come_back(salts, tmp_path):
    options = PotentialOptions(
        potential="dao-p",
        structures=salts,
        reference="dao-p",
        rattled=2,
        relaxed=2,
        output=tmp_path / "out.json",
    )
    result = potential(options)
    assert json.loads((tmp_path / "out.json").read_text()) == result.content
    results = result.content["results"]
    assert results["rattled: force MAE, eV/Å"] == 0
    assert results["rattled: structures"] == 2
    assert results["formation energy structures"] == 2  # MgO has no number
    assert results["formation energy MAE, eV/atom"] < 0.3
    assert results["relaxation: converged again, %"] == 100
    assert results["relaxation: back to the same crystal, %"] == 100
    assert result.content["settings"]["amplitude"] == 0.1
    assert "formation energy MAE" in result.text


def test_a_table_without_energies_is_refused(tmp_path):
    cesium = Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5] * 3])
    path = table(tmp_path / "plain.csv", [("CsCl", cesium, "")])
    with pytest.raises(InputError, match=COLUMN):
        potential(PotentialOptions(potential="dao-p", structures=path, output=tmp_path / "x.json"))
