"""Frameworks from building blocks, as users ask for them."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from framework_toys import (
    PYRAZINE,
    cell_of,
    packed_frameworks,
    pyrazine_cube,
    write_library,
    write_mofflow,
)
from pymatgen.core import DummySpecies, Molecule, Structure

from ase_crysdiff.cli.main import main
from ase_crysdiff.conditions.closest_approach import ClosestApproach
from ase_crysdiff.errors import CheckpointError, IncompatibleError, InputError
from ase_crysdiff.frameworks.cutting import cut
from ase_crysdiff.metrics.frameworks import Assembled, framework_distances
from ase_crysdiff.sampling.loading import framework_prototypes, mofflow, random_assembly
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.tasks.assemble import Assemble
from ase_crysdiff.testing.samplers import CHECKS
from pymatgen_ext import StructureSampler, building_blocks

ZINC = Molecule(["Zn"], [[0, 0, 0]])
CONTENTS = [ZINC, PYRAZINE, PYRAZINE, PYRAZINE]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_mofflow(tmp_path_factory.mktemp("mofflow"))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("framework-prototypes"))


@pytest.fixture(scope="module")
def sampler(weights):
    return StructureSampler("mofflow", weights=str(weights), device="cpu")


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("make", [mofflow, random_assembly])
def test_contract(make, check, weights):
    small, large = (cut(cell_of(s)).blocks for s in (pyrazine_cube(), pyrazine_cube() * (2, 1, 1)))
    check(make(weights, "cpu"), SampleRequest(Assemble((large, small))))


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_contract_of_the_library(check, library):
    cells = tuple(cut(cell_of(pyrazine_cube(metal))).blocks for metal in ("Zn", "Cd"))
    check(framework_prototypes(library), SampleRequest(Assemble(cells)))


def test_known_frameworks_are_answers_in_their_rank(library):
    known = StructureSampler("framework-prototypes", weights=str(library))
    found = known.sample(5, building_blocks=CONTENTS, seed=0)
    again = known.sample(5, building_blocks=CONTENTS, seed=7, batch_size=2)
    assert [s.properties["crysdiff_rank"] for s in found] == list(range(5))
    distances = [s.properties["crysdiff_block_distance"] for s in found]
    assert distances[0] == 0.0
    assert all(s.properties["crysdiff_template"].startswith("MOF-") for s in found)
    for one, other in zip(found, again, strict=True):
        assert one.composition == pyrazine_cube().composition
        assert np.allclose(one.lattice.matrix, other.lattice.matrix)
    assert framework_distances((found[0], pyrazine_cube()))[0] < 0.1
    new = known.sample(1, building_blocks=CONTENTS, known=False)[0]
    assert new.properties["crysdiff_block_distance"] > 0


def test_what_the_library_cannot_do(library):
    known = StructureSampler("framework-prototypes", weights=str(library))
    few = known.sample(40, building_blocks=CONTENTS)
    assert 0 < len(few) < 40
    assert "candidates" in str(few.report)
    with pytest.raises(IncompatibleError, match="no framework of 5 building blocks"):
        known.sample(1, building_blocks=[ZINC, *CONTENTS])
    with pytest.raises(IncompatibleError, match="cannot keep a given lattice"):
        known.sample(1, building_blocks=CONTENTS, lattice=8 * np.eye(3))
    with pytest.raises(IncompatibleError, match="takes no conditions"):
        known.sample(1, building_blocks=CONTENTS, conditions=ClosestApproach(0.7))
    with pytest.raises(CheckpointError, match="expected a library of frameworks"):
        framework_prototypes(write_mofflow(library / "other"))


def test_a_framework_gives_its_blocks():
    blocks = building_blocks(pyrazine_cube() * (1, 1, 2))  # the primitive cell is cut
    assert sorted(len(block) for block in blocks) == [1, 10, 10, 10]
    formulas = {block.composition.reduced_formula for block in blocks}
    assert formulas == {"Zn", PYRAZINE.composition.reduced_formula}
    linker = next(block for block in blocks if len(block) == 10)
    assert np.allclose(
        np.sort(linker.distance_matrix.ravel()), np.sort(PYRAZINE.distance_matrix.ravel())
    )


def test_blocks_keep_their_shape_in_every_draw(sampler):
    wide = {"building_blocks": CONTENTS, "lattice": 16 * np.eye(3), "seed": 1, "redraws": 30}
    found = sampler.sample(3, **wide)
    again = sampler.sample(3, **wide, batch_size=1)
    assert len(found) == 3
    for structure, other in zip(found, again, strict=True):
        assert structure.composition == pyrazine_cube().composition
        assert structure.properties["crysdiff_blocks"] == "1 × Zn, 3 × C4H4N2"
        away = structure.frac_coords - other.frac_coords
        assert np.abs(away - np.rint(away)).max() < 1e-4
        gaps, symbols = structure.distance_matrix, np.array([s.specie.symbol for s in structure])
        bond = PYRAZINE.get_distance(0, 2)
        bonds = np.abs(gaps[symbols == "N"][:, symbols == "C"] - bond) < 1e-3
        assert (bonds.sum(1) >= 2).all()  # each nitrogen has its two carbons


def test_blocks_come_from_a_framework_or_from_atoms(sampler):
    by_framework = sampler.sample(1, building_blocks=pyrazine_cube(), seed=2, redraws=30)
    assert by_framework[0].composition == pyrazine_cube().composition
    ring = Atoms([s.specie.symbol for s in PYRAZINE], PYRAZINE.cart_coords)
    by_atoms = sampler.sample(1, building_blocks=[ring, ring, Atoms("Zn")], seed=2, redraws=30)
    assert len(by_atoms[0]) == 21


def test_a_given_cell_is_kept(sampler):
    lattice = pyrazine_cube(edge=9.0).lattice
    found = sampler.sample(2, building_blocks=CONTENTS, lattice=lattice, seed=0, redraws=30)
    for structure in found:
        assert np.allclose(structure.lattice.abc, 9.0, atol=1e-3)
        assert np.allclose(structure.lattice.angles, 90.0, atol=1e-2)


@pytest.mark.parametrize("sign", [1, -1])
def test_blocks_keep_their_hand_in_cells_of_either(sampler, sign):
    places = np.vstack([np.zeros(3), [[1.1, 0, 0], [-0.4, 1.3, 0], [-0.5, -0.8, 1.5]]])
    hand = Molecule(["C", "N", "H", "Ni"], places)
    wish = {"building_blocks": [ZINC, hand], "seed": 0, "redraws": 30}
    found = sampler.sample(1, lattice=sign * 8 * np.eye(3) + 0.5 * np.eye(3, k=1), **wish)[0]
    at = {site.specie.symbol: site for site in found}
    legs = [
        (shift - np.rint(shift)) @ found.lattice.matrix
        for shift in (at[x].frac_coords - at["C"].frac_coords for x in ("N", "H", "Ni"))
    ]
    assert np.linalg.det(legs) == pytest.approx(np.linalg.det(places[1:]), rel=1e-3)


BAD = {
    "one block": ([PYRAZINE], "two building blocks at least"),
    "a block without atoms": ([ZINC, Atoms()], "Building block 1: A building block has no atoms"),
    "overlapping atoms": ([ZINC, Molecule(["C", "O"], [[0, 0, 0], [0, 0, 0.2]])], "overlap"),
    "a periodic block": ([ZINC, pyrazine_cube()], "Building block 1 is periodic"),
    "periodic atoms": ([Atoms("Zn", cell=[3] * 3, pbc=True), PYRAZINE], "block 0 is periodic"),
    "an unknown element": ([ZINC, Molecule([DummySpecies("X")], [[0, 0, 0]])], "no element"),
    "a molecule alone": (PYRAZINE, "in a list"),
    "a text": ("mof-5", "'mof-5'"),
    "numbers": ([ZINC, 3], "Building block 1 is int"),
    "a molecular crystal": (
        Structure(pyrazine_cube().lattice, ["O", "H"], [[0, 0, 0], [0.14, 0, 0]]),
        "no metal",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_blocks(sampler, name):
    given, words = BAD[name]
    with pytest.raises(InputError, match=words):
        sampler.sample(1, building_blocks=given, seed=0)


def test_what_does_not_go_with_blocks(sampler):
    with pytest.raises(InputError, match="leaves nothing for composition and elements"):
        sampler.sample(1, building_blocks=CONTENTS, composition="ZnC", elements="Zn-C")
    with pytest.raises(IncompatibleError, match="takes no conditions"):
        sampler.sample(1, building_blocks=CONTENTS, conditions=ClosestApproach(0.7))
    with pytest.raises(IncompatibleError, match="cannot make crystals from nothing"):
        sampler.sampler.check(SampleRequest())
    with pytest.raises(InputError, match="not seen these elements in training: B, F"):
        sampler.sample(1, building_blocks=[ZINC, molecule("BF3")])


def test_other_weights_are_refused(toy_csp):
    with pytest.raises(CheckpointError, match="expected a model that assembles frameworks"):
        mofflow(toy_csp)


def test_on_the_command_line(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pyrazine_cube().to(filename="cube.cif")
    PYRAZINE.to(filename="ring.xyz")
    ZINC.to(filename="zinc.xyz")
    base = ["sample", "mofflow", "--weights", str(weights), "-n", "2", "--seed", "1"]
    base += ["--redraws", "30", "--device", "cpu", "--building-blocks"]
    assert main([*base, "cube.cif", "-o", "one"]) == 0
    assert main([*base, "zinc.xyz", "3*ring.xyz", "-o", "other"]) == 0
    for folder in ("one", "other"):
        found = Structure.from_file(next((tmp_path / folder).glob("*.cif")))
        assert found.composition == pyrazine_cube().composition
    assert main([*base, "zinc.xyz", "x*ring.xyz", "-o", "third"]) == 1
    assert "N*FILE" in capsys.readouterr().err


def test_distances_of_assembled_frameworks(generator):
    target = pyrazine_cube()
    assert framework_distances((target, target)) == pytest.approx([0, 0], abs=1e-6)
    moved = target.copy()
    moved.translate_sites(range(11, 21), [0.0, 0.1, 0.0])
    near = framework_distances((moved, target))
    assert 0 < near[0] < 0.5
    longer = Structure(target.lattice.scale(2 * target.volume), target.species, target.frac_coords)
    assert framework_distances((longer, target)) == pytest.approx([0, 0], abs=1e-6)
    with pytest.raises(InputError, match="another composition"):
        framework_distances((pyrazine_cube("Cu"), target))
    rows = [[[None, 0.8], [0.2, 0.2]], [[None, None], [None, 0.6]]]
    assert Assembled.of(rows, 1, 0).match_rate == 0
    assert Assembled.of(rows, 2, 0) == Assembled(0.5, Assembled.of(rows, 2, 0).interval, 0.2)
    assert Assembled.of(rows, 2, 1).match_rate == 1
    assert Assembled.of(rows, 2, 1).rmse == pytest.approx(0.4)


def test_the_benchmark(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    batch = packed_frameworks(4).batch
    np.savez(
        "targets.npz",
        name=np.array([f"MOF-{i}".encode() for i in range(4)] + [b"salt"]),
        num_atoms=np.array([*batch.num_atoms.tolist(), 2], dtype=np.int16),
        lattice=np.concatenate([batch.lattice.numpy(), [5.6 * np.eye(3)]]),
        frac_coords=np.concatenate([batch.frac_coords.numpy(), [[0, 0, 0], [0.5, 0.5, 0.5]]]),
        atomic_numbers=np.concatenate([batch.species.numpy(), [17, 9]]),
    )
    arguments = ["--weights", str(weights), "--targets", "targets.npz", "-k", "2"]
    assert main(["benchmark", "frameworks", "mofflow", *arguments, "--workers", "0"]) == 0
    content = json.loads((tmp_path / "frameworks.json").read_text())
    assert content["targets"]["count"] == 5
    assert sum(content["uncut"].values()) == 1
    assert any("not drawn" in reason for reason in content["failures"])
    assert set(content["results"]) == {"stol 0.5", "stol 1"}
    assert set(content["results"]["stol 1"]) == {"1 sample", "2 samples"}
    assert "MOF-3" in content["distances"]
    assert "match rate" in capsys.readouterr().out
