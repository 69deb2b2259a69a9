"""New crystals on the sites of known ones, some of which may stay empty."""

from collections import Counter

import numpy as np
import pytest
import torch
from pymatgen.core import Composition, Lattice, Structure
from textbook import textbook_library
from toys import tiny_config, write_weights

from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.host import Guests, Host
from ase_crysdiff.sampling.known_sites import KnownSites
from ase_crysdiff.sampling.loading import load_sampler, prototypes
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.scaffolds import named, with_labels
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.crystal import operations_of_scaffold
from ase_crysdiff.symmetry.scaffold import Scaffold
from pymatgen_ext import StructureSampler

SPARE = (0.5, 0.5)
CELL = ((4.0, 0.0, 0.0), (0.0, 4.0, 0.0), (0.0, 0.0, 4.0))


@pytest.fixture(scope="module")
def library_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "prototypes"
    folder.mkdir()
    textbook_library(folder)
    return folder


@pytest.fixture(scope="module")
def known(library_folder):
    return KnownSites(prototypes(library_folder).library, 20, SPARE, 23)


@pytest.fixture
def sampler(library_folder, crystals, tmp_path, monkeypatch):
    """An untrained model whose card names the library."""
    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(library_folder.parent))
    sampling = {"steps": 6, "solver": "euler", "start": 1.0, "known_sites": "prototypes"}
    folder = write_weights("miad", tiny_config("miad", crystals), tmp_path / "miad", sampling)
    return StructureSampler("miad", weights=str(folder))


def kinds(known, task, count, group=None, seed=0):
    found = (known.scaffold(task, group, Streams(seed, (i,))) for i in range(count))
    return [None if s is None else (s.group, "".join(sorted(x for _, x in s.sites))) for s in found]


def test_sites_come_as_often_as_in_the_library(known):
    library, count = known.library, 600
    able = np.flatnonzero((library.num_atoms <= 20) & ~(library.energy > 0.03))
    groups = Counter(library.group[able].tolist())
    found = Counter(kind[0] for kind in kinds(known, DeNovo(), count))
    assert set(found) <= set(groups)
    common, times = groups.most_common(1)[0]
    assert found[common] / count == pytest.approx(times / len(able), abs=0.07)


def test_some_sites_are_spare_unless_the_number_of_atoms_is_given(known):
    own = {
        (s.group, "".join(sorted(x for _, x in s.sites)))
        for s in map(known.library.scaffold, range(len(known.library)))
    }
    some = kinds(known, DeNovo(), 300)
    assert 0.2 < sum(kind not in own for kind in some) / 300 < 0.7
    exact = kinds(known, DeNovo(num_atoms=6), 50)
    assert all(kind in own for kind in exact)
    assert known.scaffold(DeNovo(num_atoms=6), None, Streams(0, (3,))).num_atoms == 6


def test_wishes_are_heeded(known):
    assert {group for group, _ in kinds(known, DeNovo(), 40, group=225)} == {225}
    system = DeNovo(chemical_system=frozenset({8, 22, 38}))
    assert all(len(letters) >= 3 for _, letters in kinds(known, system, 40))
    assert kinds(known, DeNovo(num_atoms=19), 1, group=227) == [None]


def test_vacant_sites_are_left_out_of_crystals():
    scaffolds = [with_labels(225, ["a", "b", "c"])] * 2
    found = {1: 11, 2: VACANCY, 3: 17}
    species = torch.zeros(2, 4, dtype=torch.long)
    species[0] = torch.tensor([found[z] for z in scaffolds[0].species.tolist()])
    batch = CrystalBatch(
        torch.eye(3).repeat(2, 1, 1),
        torch.arange(24.0).reshape(8, 3),
        species.flatten(),
        torch.tensor([4, 4]),
    )
    crystals, said = named(scaffolds, batch)
    assert crystals.num_atoms.tolist() == [3, 0]
    assert sorted(crystals.species.tolist()) == [11, 17, 17]
    assert said["scaffold"] == ["Fm-3m: Na a, Cl c", ""]
    assert said["space_group"] == ["Fm-3m", ""]


def test_draws_have_the_symmetry_that_they_name(sampler):
    found = sampler.sample(6, seed=0, redraws=60, progress=False)
    for crystal in found:
        scaffold = Scaffold.parse(crystal.properties["crysdiff_scaffold"])
        counts = {str(e): n for e, n in crystal.composition.items()}
        assert Composition(counts).num_atoms == scaffold.num_atoms
        order = np.argsort(
            [Composition(str(x)).elements[0].mendeleev_no for x in _symbols(scaffold)],
            kind="stable",
        )
        operations = operations_of_scaffold(scaffold).in_order(order.tolist())
        assert operations.deviation(crystal.frac_coords, crystal.lattice.matrix) < 1e-3
    again = sampler.sample(6, seed=0, redraws=60, batch_size=1, progress=False)
    assert [s.properties["crysdiff_scaffold"] for s in again] == [
        s.properties["crysdiff_scaffold"] for s in found
    ]


def _symbols(scaffold):
    from ase_crysdiff.crystal.elements import SYMBOLS

    return [SYMBOLS[z] for z in scaffold.species.tolist()]


def test_it_can_be_forbidden(sampler):
    plain = sampler.sample(2, seed=0, redraws=60, prototype=False, progress=False)
    assert all("crysdiff_scaffold" not in s.properties for s in plain)
    boxed = sampler.sample(1, seed=0, redraws=200, lattice=Lattice.cubic(6.0), progress=False)
    assert "crysdiff_scaffold" not in boxed[0].properties


def test_a_model_without_spare_rows_is_refused(library_folder, crystals, tmp_path, monkeypatch):
    from ase_crysdiff.errors import InputError

    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(library_folder.parent))
    config = dict(tiny_config("miad", crystals))
    config["state_space"] = {"name": "mirage", "slots": 25, "max_atoms": 20}
    folder = write_weights("miad", config, tmp_path / "miad", {"known_sites": "prototypes"})
    sampler = load_sampler("miad", folder)
    with pytest.raises(InputError, match="spare rows"):
        sampler.sample(SampleRequest(), Streams(0, (0,)))


def test_variations_may_gain_atoms(sampler):
    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ).get_primitive_structure()
    found = sampler.vary(salt, strength=1.0, num_samples=12, seed=0, redraws=60, progress=False)
    assert max(len(s) for s in found) > 2
    same = sampler.vary(salt, strength=0.5, num_samples=2, num_atoms=3, redraws=60, progress=False)
    assert {len(s) for s in same} == {3}


def test_an_open_number_of_guests_has_few_rows_too_many():
    """Most guests beyond the least lose their rows first, and the host keeps its own."""
    guests = (Guests(3, 1, 4), Guests(8, 0, 3))
    host = Host(CELL, ((0.0, 0.0, 0.0),), (22,), guests)
    assert (host.least_atoms, host.most_atoms) == (2, 8)
    assert host.limited(8) == host
    found = [tuple(g.most for g in host.limited(rows).guests) for rows in (6, 4, 2)]
    assert found == [(3, 2), (2, 1), (1, 0)]
    assert host.limited(3).species == host.species


def test_ranges_are_filled_within_their_bounds(sampler):
    host = Structure(Lattice.cubic(4.2), ["Na"], [[0, 0, 0]])
    found = sampler.inpaint(
        host, {"Cl": (1, 6)}, num_samples=12, seed=0, redraws=80, progress=False
    )
    counts = {int(s.composition["Cl"]) for s in found}
    assert counts <= set(range(1, 7))
    assert len(counts) > 1
