"""Host-guided generation from end to end, with a sampler that knows rock salt and an analytic
potential.
"""

import json

import numpy as np
import pytest
import torch
from pymatgen.core import Element, Lattice, Structure

from ase_crysdiff import registry
from ase_crysdiff.campaigns.host_guided.steps import (
    FillFramework,
    Refine,
    RemoveGuests,
    SymmetriseFilling,
    SymmetriseFramework,
    lattice_candidates,
)
from ase_crysdiff.campaigns.pipeline import Candidate, Pipeline
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.tasks.inpaint import Inpaint
from ase_crysdiff.symmetry.refinement import space_group
from ase_crysdiff.testing.crystals import prototypes
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import HostGuidedGeneration
from pymatgen_ext.host_guided import SamplerPlacer
from pymatgen_ext.samplers import StructureSampler

HULL = Hull({"Na": 0.0, "Cl": 0.0, "NaCl": -0.5}, scale="total")


class RockSalt(Sampler):
    """Puts the first atom of an empty cell at the origin and the second one in the middle; a guest
    into the middle of a host.
    """

    capabilities = Capabilities(tasks=frozenset({Inpaint}))
    drawn = 0

    def sample(self, request, streams):
        host = request.task.host
        found = []
        for _ in streams.indices:
            RockSalt.drawn += 1
            species = [*host.species, *(g.species for g in host.guests for _ in range(g.most))]
            places = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]])[: len(species)]
            if host.species:
                places = np.vstack([host.frac_coords, np.array(host.frac_coords[:1]) + 0.5])
            found.append(
                CrystalBatch(
                    torch.tensor(host.lattice)[None],
                    torch.tensor(places % 1).float(),
                    torch.tensor(species),
                    torch.tensor([len(species)]),
                )
            )
        return Sampled(CrystalBatch.cat(found))


@pytest.fixture(autouse=True)
def rocksalt():
    registry.register(registry.SAMPLERS, "rocksalt", lambda weights, device: RockSalt())
    RockSalt.drawn = 0
    yield
    registry.unregister(registry.SAMPLERS, "rocksalt")


def search(**more):
    settings = {
        "candidates": 4,
        "sampler": "rocksalt",
        "potential": PairPotential(),
        "guests": "Na",
        "fillings": 2,
        "hull": HULL,
    }
    return HostGuidedGeneration("NaCl", **{**settings, "device": "cpu", **more})


def test_all_steps_from_lattices_to_a_ranking(tmp_path):
    result = search().run(tmp_path, seed=3, progress=False)
    assert len(result) == 8
    assert [name for name, _ in result.run.outcomes] == [
        "01-sample",
        "02-relax",
        "03-remove-guests",
        "04-symmetrise",
        "05-fill",
        "06-symmetrise-filling",
        "07-relax",
        "08-refine",
        "09-decompose",
        "10-rank",
    ]
    energies = [c.record["decomposition_energy"] for c in result.candidates]
    assert energies == sorted(energies)
    record = result.candidates[0].record
    assert record["guests"] == {"Na": 1}
    assert record["framework_symprec"] == 0.1
    assert record["space_group_number"] > 2
    assert record["competing_phases"] == ["Cl2", "Na"]
    # An element mixture at 0 eV/atom competes, so the decomposition energy is the energy itself.
    assert record["decomposition_energy"] == pytest.approx(record["energy_per_atom"])
    shares = result.symmetric_shares()
    assert shares["host_guided"].value == shares["unconditional"].value == 1
    assert list(result.to_dataframe()["crysdiff_rank"]) == list(range(8))
    result.write(tmp_path / "found")
    assert len(list((tmp_path / "found").glob("*.cif"))) == 8
    first = json.loads((tmp_path / "01-sample" / "0001.json").read_text())["candidates"][0][
        "record"
    ]
    assert first["bravais"] == "cI"

    drawn = RockSalt.drawn
    (tmp_path / "05-fill" / "0002.json").unlink()
    again = search().run(tmp_path, seed=3, progress=False)
    assert RockSalt.drawn == drawn + 2
    assert [c.record for c in again.candidates] == [c.record for c in result.candidates]


def test_cells_have_the_volume_that_was_asked_for():
    cells = lattice_candidates(15, 120.0, 0)
    assert [c.structure.volume for c in cells] == pytest.approx([120.0] * 15)
    assert cells[14].record["bravais"] == cells[0].record["bravais"] == "cP"
    assert cells[1].key == "0001"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"composition": "Na"}, "one element"),
        ({"candidates": 0}, "candidates"),
        ({"fillings": 0}, "fillings"),
        ({"volume_per_atom": -1.0}, "volume_per_atom"),
        ({"guests": "Li"}, "must be some, not all"),
        ({"guests": "Na-Cl"}, "must be some, not all"),
        ({"symprec": 0.0}, "symprec"),
    ],
)
def test_nonsense_is_refused(more, message):
    with pytest.raises(InputError, match=message):
        HostGuidedGeneration(
            **{"composition": "NaCl", "sampler": "rocksalt", "potential": PairPotential(), **more}
        )


def test_what_the_sampler_cannot_hold_is_refused_before_anything_is_written(toy_miad, tmp_path):
    large = search(sampler="miad", weights=str(toy_miad))
    with pytest.raises(IncompatibleError, match="at most"):
        HostGuidedGeneration(**{**vars(large), "composition": "Na40Cl40"}).run(
            tmp_path / "run", seed=0
        )
    assert not (tmp_path / "run").exists()


def test_a_real_sampler_places_all_atoms_in_a_given_cell(toy_miad):
    from ase_crysdiff.campaigns.host_guided.steps import SampleCoordinates

    sampler = StructureSampler("miad", weights=str(toy_miad), device="cpu")
    cells = lattice_candidates(2, 90.0, 0)
    result = Pipeline((SampleCoordinates(SamplerPlacer(sampler), {"Na": 2, "Cl": 2}, 0),)).run(
        cells, progress=False
    )
    assert len(result.candidates) == 2, result.failures
    for candidate, cell in zip(result.candidates, cells, strict=True):
        assert candidate.structure.composition.formula == "Na2 Cl2"
        np.testing.assert_allclose(
            candidate.structure.lattice.matrix, cell.structure.lattice.matrix
        )


# Steps alone


def one(step, structure, **record):
    return Pipeline((step,)).run([Candidate("0000", structure, record)], progress=False)


def test_guests_are_taken_out_by_name_or_by_entropy():
    named = one(RemoveGuests(("Sr",)), prototypes()["SrTiO3"])
    assert named.candidates[0].record["guests"] == {"Sr": 1}
    assert named.candidates[0].structure.composition.formula == "Ti1 O3"
    li = [
        Structure(Lattice.cubic(a), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]) for a in (3.5, 3.6)
    ]
    mixed = Pipeline((RemoveGuests(),)).run(
        [Candidate("0000", li[0]), Candidate("0001", prototypes()["NaCl"])], progress=False
    )
    assert mixed.candidates[0].record["coordination_entropies"] == {"Cl": 0.6931, "Na": 0.6931}
    assert len(one(RemoveGuests(("Li",)), prototypes()["NaCl"]).failures) == 1


@pytest.mark.parametrize(("deviation", "tolerance"), [(0.01, 0.1), (0.12, 0.5)])
def test_frameworks_are_symmetrised_at_the_first_tolerance_that_works(deviation, tolerance):
    framework = prototypes()["SrTiO3"]
    framework.remove_species(["Sr"])
    moved = framework.copy()
    moves = deviation * np.array(
        [[1.0, 0.3, -0.8], [-0.4, 1, 0.6], [0.2, -0.9, 0.5], [0.7, 0.1, -1]]
    )
    moved = Structure(
        Lattice(
            framework.lattice.matrix
            @ (np.eye(3) + deviation / 20 * np.array([[0, 1, 0.5], [0.3, 0, -1], [1, 0.2, 0]]))
        ),
        framework.species,
        framework.frac_coords + moves / 3.905,
    )
    (found,) = one(SymmetriseFramework(), moved).candidates
    assert found.record["framework_symprec"] <= tolerance
    assert found.record["framework_space_group"] not in ("P1", "P-1")
    assert len(found.structure) == 4


def test_frameworks_without_symmetry_are_lost_with_the_reason_of_every_tolerance():
    crooked = Structure(
        Lattice.from_parameters(6, 7, 8, 77, 84, 99),
        ["P", "S", "Cl"],
        [[0, 0, 0], [0.3, 0.2, 0.55], [0.6, 0.71, 0.3]],
    )
    result = one(SymmetriseFramework(((0.01, 5.0), (0.02, 5.0))), crooked)
    assert "no symmetry beyond P-1 (0.01 Å: P1; 0.02 Å: P1)" in result.failures["0000"]


def test_fillings_are_symmetrised_where_they_nearly_are_and_kept_where_they_are_not():
    drawn = prototypes()["SrTiO3"]
    drawn.translate_sites([0], [0.05, -0.03, 0.04])  # strontium, the guest, 0.28 Å beside its place
    assert space_group(drawn, 0.01)[0] == "P1"
    (found,) = one(SymmetriseFilling(), drawn).candidates
    assert found.record["filling_symprec"] in (0.2, 0.5)
    assert space_group(found.structure, 0.01)[0] == found.record["filling_space_group"]
    assert space_group(found.structure, 0.01)[1] > 2
    assert found.structure.matches(prototypes()["SrTiO3"])
    (kept,) = one(SymmetriseFilling(()), drawn).candidates
    assert kept.record["filling_space_group"] is None
    assert kept.structure == drawn


def test_filling_and_refining_alone():
    host = Structure(Lattice.cubic(3.5), ["Cl"], [[0, 0, 0]])
    filled = one(
        FillFramework(SamplerPlacer(StructureSampler("rocksalt", device="cpu")), count=2),
        host,
        guests={"Na": 1},
    )
    assert [c.key for c in filled.candidates] == ["0000.0", "0000.1"]
    assert {Element("Na"), Element("Cl")} == set(filled.candidates[0].structure.composition)
    (refined,) = one(Refine(), filled.candidates[0].structure).candidates
    assert refined.record["space_group"] == "Pm-3m"
