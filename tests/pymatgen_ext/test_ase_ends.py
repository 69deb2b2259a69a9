"""What ASE's database, viewer and genetic algorithm see of sets of crystals."""

import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.cli.main import main
from ase.db import connect
from ase.gui.images import Images
from pymatgen.core import Lattice, Structure

from ase_crysdiff.data.population import write_population
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.crystals import prototypes
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import StructureSampler, relax

PAGE = Path(__file__).parents[2] / "docs/how-to/use-in-ase.md"
POTENTIAL = PairPotential()


@pytest.fixture(scope="module")
def relaxed():
    salt = prototypes()["NaCl"]
    salt.add_site_property("magmom", [1.5, -0.5])
    return relax([salt, prototypes()["MoS2"]], POTENTIAL, steps=20)


@pytest.fixture(scope="module")
def ranked():
    found = StructureSampler("prototypes").sample(
        3, composition="NaCl", formula_units=1, potential=POTENTIAL, seed=0
    )
    assert len(found) == 3
    return found


def numbers_of(crystals):
    """Energies that the files must show."""
    return [atoms.get_potential_energy() for atoms in crystals.to_atoms()]


@pytest.mark.parametrize("ending", ["db", "extxyz"])
@pytest.mark.parametrize("which", ["relaxed", "ranked"])
def test_files_show_energies_where_ase_looks(which, ending, request, tmp_path):
    crystals = request.getfixturevalue(which)
    path = crystals.write(tmp_path / f"crystals.{ending}")
    frames = ase.io.read(path, ":")
    assert [f.get_potential_energy() for f in frames] == pytest.approx(numbers_of(crystals))
    shown = Images(frames)  # what `ase gui` reads
    assert [shown.get_energy(f) for f in shown] == pytest.approx(numbers_of(crystals))
    if which == "relaxed":
        np.testing.assert_allclose(frames[0].get_forces(), crystals[0].forces, atol=1e-7)
        assert frames[0].get_initial_magnetic_moments().tolist() == [1.5, -0.5]
        assert "magmoms" not in frames[0].calc.results  # they were given, not computed
    if which == "ranked" and ending == "db":
        rows = list(connect(path).select("crysdiff_rank<2", sort="energy"))
        assert len(rows) == 2
        assert rows[0].energy == pytest.approx(2 * rows[0].crysdiff_energy_per_atom)


def test_the_database_lists_them(relaxed, tmp_path, capsys):
    relaxed.write(tmp_path / "crystals.db")
    columns = "formula,energy,fmax,crysdiff_steps"
    main(args=["db", str(tmp_path / "crystals.db"), "-c", columns])
    first = capsys.readouterr().out.splitlines()[1]
    assert first.split("|")[0].strip() == "NaCl"
    assert float(first.split("|")[1]) == pytest.approx(relaxed[0].energy, abs=1e-3)


def test_a_population_knows_what_is_relaxed(tmp_path):
    cells = [bulk("NaCl", "rocksalt", a=a) for a in (4.9, 5.6)]
    cells += [bulk("NaCl", "cesiumchloride", a=3.3)[::-1]]
    found = relax(cells, POTENTIAL, fmax=0.01)
    assert found[0].converged
    unfinished = relax(bulk("NaCl", "rocksalt", a=5.2), POTENTIAL, steps=1, fmax=1e-9)
    assert unfinished[0].accepted
    assert not unfinished[0].converged
    chosen = found + unfinished
    path = write_population(chosen, tmp_path / "population.db")
    with connect(path) as database:
        setup = database.get(simulation_cell=True)
        rows = list(database.select("generation=0", sort="gaid"))
    accepted = [r for r in chosen if r.accepted]
    assert setup.data["stoichiometry"] == [11, 17]
    assert len(rows) == setup.data["population_size"] == len(accepted)
    for row, result in zip(rows, accepted, strict=True):
        assert row.gaid == row.id
        assert row.extinct == 0
        assert row.toatoms().numbers.tolist() == [11, 17]
        assert row.relaxed == int(result.converged)
        assert row.energy == pytest.approx(result.energy)
        assert row.get("raw_score") == (-result.energy if result.converged else None)
        assert row.data["crysdiff_energy"] == result.energy
    drawn = StructureSampler("prototypes").sample(2, composition="NaCl", formula_units=1, seed=0)
    with connect(write_population(drawn, path)) as database:  # in place of the other
        rows = list(database.select("relaxed=0"))
        assert len(rows) == len(database) - 1 == 2
        assert rows[0].origin == "StartingCandidateUnrelaxed"
        assert "crysdiff_template" in rows[0].data


def test_what_is_no_population(tmp_path):
    with pytest.raises(InputError, match=r"1 of Na1Cl1, 1 of Mo2S4|1 of Mo2S4, 1 of Na1Cl1"):
        write_population([prototypes()[n] for n in ("NaCl", "MoS2")], tmp_path / "p.db")
    with pytest.raises(InputError, match="None of 0"):
        write_population([], tmp_path / "p.db")
    lost = Structure(Lattice.cubic(4), ["Na"], [[0, 0, 0]], properties={"crysdiff_accepted": False})
    with pytest.raises(InputError, match="None of 1"):
        write_population([lost], tmp_path / "p.db")
    with pytest.raises(InputError, match=r"ends in \.db"):
        write_population([prototypes()["NaCl"]], tmp_path / "p.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_generation_of_the_page(tmp_path, monkeypatch, capsys):
    """The lines that need ase-ga, after those that do not."""
    pytest.importorskip("ase_ga")
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text().split("## Start a genetic algorithm")[1].split("\n## ")[0]
    names = {}
    for block in re.findall(r"```py(?:thon)?\n(.*?)```", text, re.DOTALL):
        exec(compile(block, PAGE.name, "exec"), names)
    with connect("population.db") as database:
        born = list(database.select("relaxed=1,generation=1"))
        first = list(database.select("relaxed=1,generation=0"))
    assert len(born) >= 2
    assert len(first) >= 4
    assert all(row.raw_score == pytest.approx(-row.energy) for row in born)
    assert all(row.data["parents"] for row in born)
