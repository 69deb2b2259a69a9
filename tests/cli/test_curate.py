"""`crysdiff curate`: the rules, the files, the report, interruption."""

import csv
import json

import pytest
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from ase_crysdiff.campaigns.curation.candidates import copies, read_candidates
from ase_crysdiff.cli.main import main
from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.perturbations import Perturbation
from ase_crysdiff.metrics.formation import formation_energies
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.testing.crystals import prototypes


def rocksalt(cation, anion, a):
    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    return salt.get_primitive_structure()


def disordered():
    return Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}, "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def write_table(path, rows):
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["material_id", "e_above_hull", "cif"])
        table.writerows(
            [name, height, str(CifWriter(structure))] for name, height, structure in rows
        )
    return path


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """One crystal for every rule."""
    salt, p = rocksalt("Na", "Cl", 5.64), prototypes()
    pressed = rocksalt("Mg", "O", 4.21 * 0.97)
    rows = [
        ("salt", 0.0, salt),
        ("salt-again", 0.02, salt * (2, 1, 1)),
        ("pressed", 0.2, pressed),
        ("benchmark", 0.01, rocksalt("K", "Cl", 6.3)),
        ("high", 1.5, p["MoS2"]),
        ("small", 0.0, p["Cu"]),
        ("mixed", 0.0, disordered()),
        ("band-above", 0.7, rocksalt("Ca", "O", 4.8)),
    ]
    return write_table(tmp_path_factory.mktemp("pool") / "pool.csv", rows)


@pytest.fixture
def benchmark(tmp_path):
    return write_table(tmp_path / "test.csv", [("known", "", rocksalt("K", "Cl", 6.2) * (1, 1, 2))])


def words(pool, output, *more):
    return [str(w) for w in ["curate", pool, "-o", output, "--min-atoms", 2, *more]]


def load(output, stage):
    packed = PackedCrystals.load(output / f"{stage}.safetensors")
    return {s.composition.reduced_formula: s for s in to_structures(packed.batch)}, packed.values


def test_every_rule_takes_its_crystal(pool, benchmark, tmp_path, capsys):
    output = tmp_path / "curated"
    assert main(words(pool, output, "--against", benchmark)) == 0
    report = json.loads((output / "report.json").read_text())
    assert report["read"] == 8
    assert report["unusable"] == {"unperturbed": {"fewer than 2 atoms": 1, "disordered": 1}}
    assert report["stage1"]["losses"] == {
        "unperturbed": {"in test.csv": 1, "… eV/atom or more above the hull": 1, "a duplicate": 1}
    }
    first, values = load(output, "stage1")
    assert set(first) == {"NaCl", "MgO", "CaO"}
    assert values["e_above_hull"].tolist() == pytest.approx([0.0, 0.2, 0.7])
    second, values = load(output, "stage2")
    assert set(second) == {"NaCl", "MgO"}
    assert report["stage2"]["relaxed"] == 1
    assert values["e_above_hull"][0] == 0
    assert torch.isnan(values["e_above_hull"][1])  # a predicted energy is no label
    assert second["MgO"].volume > 1.03 * first["MgO"].volume
    assert StructureMatcher().fit(second["MgO"], first["MgO"])
    assert report["stage1"]["by_height"] == {
        "up to 0.08": 1,
        "up to 0.2": 1,
        "up to 0.5": 0,
        "above 0.5": 1,
    }
    text = capsys.readouterr().out
    assert "8 crystals read" in text
    assert "1 unperturbed: in test.csv" in text


def test_a_given_set_may_be_made_again_from_what_is_known(pool, benchmark, tmp_path):
    output = tmp_path / "curated"
    command = words(pool, output, "--against", benchmark)
    assert main(command) == 0
    report = (output / "report.json").read_text()
    journal = output / "parts" / "relaxed.jsonl"
    content = journal.read_bytes()
    (output / "report.json").unlink()
    (output / "stage2.safetensors").unlink()
    assert main(command) == 0
    assert journal.read_bytes() == content  # nothing was relaxed again
    assert (output / "report.json").read_text() == report
    journal.write_bytes(content[:-20])  # torn by a kill
    assert main(command) == 0
    assert (output / "report.json").read_text() == report


def test_other_rules_do_not_continue_a_run(pool, tmp_path, capsys):
    assert main(words(pool, tmp_path / "curated")) == 0
    assert main(words(pool, tmp_path / "curated", "--max-height", "0.6")) == 1
    assert "rules differ" in capsys.readouterr().err


def test_copies_get_their_height_from_the_potential_and_may_not_be_in_a_benchmark(tmp_path):
    """The hull is laid so that rock salt is on it; copies of it lie where the potential puts
    them.
    """
    salt = rocksalt("Na", "Cl", 5.64)
    found = formation_energies([salt], load_potential("dao-p"))
    hull = tmp_path / "hull.csv"
    elements = "".join(
        f"{symbol},0\n"
        for symbol in ("Na", "Cl", "Li", "K", "Rb", "Cs", "H", "F", "Br", "I", "At", "Fr")
    )
    hull.write_text(
        f"reduced_formula,hull_energy_per_atom\nNaCl,{found.formation_energy[0]}\n{elements}"
    )
    table = write_table(tmp_path / "salt.csv", [("salt", "", salt)])
    output = tmp_path / "curated"
    how = ["--hull", hull, "--copies", "rattled,volume,substituted", "--seed", 3]
    assert main(words(table, output, *how)) == 0
    packed = PackedCrystals.load(output / "stage1.safetensors")
    ways = [Perturbation(int(w)).word for w in packed.values["way"]]
    heights = dict(zip(ways, packed.values["e_above_hull"].tolist(), strict=True))
    assert heights["unperturbed"] == pytest.approx(0, abs=1e-5)
    assert "rattled" in ways  # the same crystal out of place is no duplicate
    assert all(height > 0 for way, height in heights.items() if way in ("rattled", "volume"))
    again = main(words(table, tmp_path / "second", *how))
    assert again == 0
    assert PackedCrystals.load(tmp_path / "second" / "stage1.safetensors").digest == packed.digest

    # The copy with other elements is a crystal of a benchmark: then it must be gone.
    candidates, _ = read_candidates([table], 2, 30)
    made, _ = copies(candidates, ["rattled", "volume", "substituted"], 3, 2, 30)
    other = write_table(tmp_path / "test.csv", [("substituted", "", made[2].structure)])
    assert main(words(table, tmp_path / "third", *how, "--against", other)) == 0
    report = json.loads((tmp_path / "third" / "report.json").read_text())
    assert report["stage1"]["losses"]["substituted"] == {"in test.csv": 1}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--copies", "rattled"], "Give --hull"),
        (["--copies", "upside-down", "--hull", "x.csv"], "There are no copies"),
        (["--min-atoms", "9", "--max-atoms", "8"], "must not be above max-atoms"),
        (["--max-height", "0.01"], "max-height must be above"),
        (["--potential", "chgnett"], "Did you mean 'chgnet'"),
        (["--against", "absent.csv"], "absent.csv does not exist"),
        (["--hull", "absent.csv"], "cannot be read as a hull"),
        (["--fmax", "0"], "fmax must be"),
    ],
)
def test_nonsense_is_explained(more, message, pool, tmp_path, capsys):
    assert main(words(pool, tmp_path / "curated", *more)) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "curated" / "parts").exists()


def test_nothing_left_is_said(tmp_path, capsys):
    table = write_table(tmp_path / "t.csv", [("salt", "", rocksalt("Na", "Cl", 5.64))])
    assert main(words(table, tmp_path / "curated")) == 1
    assert "no energy above the hull in its source" in capsys.readouterr().out
    assert not (tmp_path / "curated" / "stage1.safetensors").exists()
