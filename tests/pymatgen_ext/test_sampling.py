import json

import ase.db
import ase.io
import numpy as np
import pytest
import torch
from monty.json import MontyDecoder, MontyEncoder
from mortal_condition import Mortal
from pymatgen.core import Composition, Lattice, Structure

from ase_crysdiff import registry
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.errors import IncompatibleError, InputError, SamplingError
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.sampling.sample_set import SampleSet
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.testing.crystals import random_batch
from pymatgen_ext import StructureSampler, available_samplers


@pytest.fixture(scope="module")
def csp(toy_csp):
    registry.register(
        registry.SAMPLERS, "toy-csp", lambda weights, device: load_sampler("dao-g", toy_csp, device)
    )
    yield StructureSampler("toy-csp", device="cpu")
    registry.unregister(registry.SAMPLERS, "toy-csp")


def draw(sampler, count=6, **constraints):
    return sampler.sample(count, **{"seed": 0, "redraws": 30, "progress": False} | constraints)


def test_samples_know_their_origin(miad):
    samples = draw(miad)
    assert isinstance(samples, SampleSet)
    assert len(samples) == samples.report.made == 6
    assert all(isinstance(s, Structure) for s in samples)
    assert [s.properties["crysdiff_index"] for s in samples] == list(range(6))
    origin = samples[0].properties
    assert origin["crysdiff_sampler"] == "miad"
    assert origin["crysdiff_seed"] == 0
    assert len(origin["crysdiff_weights"]) == 12
    assert samples.report.evaluations == 20
    part = samples[:2].report
    assert (part.made, part.seed, part.weights) == (2, 0, samples.report.weights)
    assert "a part of the 6 made" in part.notes
    assert "6 of 6 crystals by miad" in repr(samples)
    assert "<table" in samples._repr_html_()


@pytest.mark.parametrize("constraints", [{"batch_size": 1}, {"batch_size": 5}, {"batch_size": 16}])
def test_batch_size_changes_nothing(miad, csp, constraints):
    assert list(draw(miad, 7)) == list(draw(miad, 7, **constraints))
    wanted = {"composition": "NaCl", "formula_units": (1, 2, 3)}
    assert list(draw(csp, 7, **wanted)) == list(draw(csp, 7, **wanted, **constraints))


@pytest.mark.slow
def test_workers_change_nothing(toy_miad):
    miad = StructureSampler("miad", weights=str(toy_miad), device="cpu")
    one, two = draw(miad, 6, batch_size=2), draw(miad, 6, batch_size=2, workers=2)
    assert list(one) == list(two)
    assert one.report.rejections == two.report.rejections


@pytest.mark.slow
def test_workers_that_end(toy_miad, tmp_path):
    """A process that is killed once loses nothing; a batch that ends two is an error that says so;
    others come as they are.
    """
    miad = StructureSampler("miad", weights=str(toy_miad), device="cpu")
    mortal, constraints = Mortal(tmp_path), {"batch_size": 2, "workers": 2}
    (tmp_path / "0").touch()
    assert list(draw(miad, 4, conditions=[mortal], **constraints)) == list(draw(miad, 4))
    assert not list(tmp_path.iterdir())
    for number in range(4):
        (tmp_path / str(number)).touch()
    with pytest.raises(
        SamplingError, match=r"2 crystals could not be drawn.*the process ended.*smaller batch_size"
    ):
        draw(miad, 4, conditions=[mortal], **constraints)
    (tmp_path / "refuse").touch()
    with pytest.raises(InputError, match="not in this world"):
        draw(miad, 4, conditions=[mortal], **constraints)


def test_seeds_matter_and_are_recorded(miad):
    assert list(draw(miad, 3)) != list(draw(miad, 3, seed=1))
    free = miad.sample(2, redraws=30, progress=False)
    again = draw(miad, 2, seed=free.report.seed)
    assert list(free) == list(again)
    assert list(draw(miad, 3)) == list(draw(miad, 5))[:3]


def test_chemical_system_is_exact(miad):
    for s in draw(miad, 5, chemical_system="Na-Cl"):
        assert s.chemical_system == "Cl-Na"


def test_elements_are_an_upper_limit(miad):
    allowed = {"Sr", "Ti", "O"}
    assert all(
        {e.symbol for e in s.composition} <= allowed
        for s in draw(miad, 6, elements=sorted(allowed))
    )


@pytest.mark.parametrize("count", [1, 4, 9])
def test_num_atoms_is_exact(miad, count):
    if count > 6:
        with pytest.raises(InputError, match="trained on cells of 1 to"):
            draw(miad, 2, num_atoms=21)
    assert {len(s) for s in draw(miad, 4, num_atoms=count, redraws=20)} == {count}


def test_a_given_cell_is_filled_as_known_crystals_are(miad):
    """An untrained model finds any number of atoms; rows are drawn for the room there is."""
    for edge, most in ((2.5, 3), (5.0, 20)):
        drawn = miad.sample(8, lattice=Lattice.cubic(edge), steps=3, seed=0, redraws=30)
        assert len(drawn) == 8
        assert max(len(s) for s in drawn) <= most


@pytest.mark.parametrize(
    "cell",
    [
        Lattice.cubic(5.0),
        [[4.0, 0, 0], [0, 4.5, 0], [4.1, 4.4, 5]],
        Lattice.from_parameters(4, 5, 6, 70, 100, 120).matrix.tolist(),
    ],
)
def test_lattice_is_kept_exactly(miad, csp, cell):
    matrix = cell.matrix if isinstance(cell, Lattice) else np.array(cell)
    for samples in (
        draw(miad, 3, lattice=cell, num_atoms=2),
        draw(csp, 3, lattice=cell, composition="NaCl", formula_units=1),
    ):
        assert len(samples) == 3
        for s in samples:
            np.testing.assert_allclose(s.lattice.matrix, matrix, atol=1e-10)


def test_a_given_lattice_gets_the_formula_units_that_it_has_room_for(csp):
    rocksalt = Lattice.tetragonal(3.99, 5.64)  # two formula units
    assert all(len(s) == 4 for s in draw(csp, 6, lattice=rocksalt, composition="NaCl"))
    (asked,) = draw(csp, 1, lattice=rocksalt, composition="NaCl", formula_units=1)
    assert len(asked) == 2


def test_lattice_map_keeps_distances(miad):
    """A structure in the user's cell is the one that was drawn in its Niggli cell."""
    skewed = np.array([[4.0, 0, 0], [0, 4.5, 0], [8.1, 4.4, 5]])
    niggli = Lattice(skewed).get_niggli_reduced_lattice()
    a, b = (
        draw(miad, 1, lattice=skewed, num_atoms=3)[0],
        draw(miad, 1, lattice=niggli, num_atoms=3)[0],
    )
    np.testing.assert_allclose(
        np.sort(a.distance_matrix.ravel()), np.sort(b.distance_matrix.ravel()), atol=1e-5
    )


def test_composition_is_exactly_as_written(csp):
    for s in draw(csp, 4, composition="Na2Cl2", formula_units=1):
        assert s.composition == Composition("Na2Cl2")
    assert {len(s) for s in draw(csp, 12, composition="NaCl", formula_units=(1, 3))} <= {2, 6}
    assert {len(s) for s in draw(csp, 12, composition={"Na": 1, "Cl": 1})} <= {2, 4, 6}


def test_impossible_indices_are_reported_and_the_rest_is_kept(csp):
    """A cell of 4 Å³ per atom is dense, so some draws put atoms on each other."""
    samples = csp.sample(
        30,
        composition="NaCl",
        formula_units=3,
        lattice=Lattice.cubic(2.9),
        seed=0,
        redraws=0,
        progress=False,
    )
    report = samples.report
    assert report.made + len(report.failed) == 30
    assert report.failed
    assert set(report.failed.values()) <= {
        "two atoms closer than 0.5 Å",
        "volume outside 3-200 Å³ per atom",
    }
    assert sum(report.rejections.values()) == len(report.failed)


@pytest.mark.parametrize(
    ("constraints", "error", "message"),
    [
        ({"num_samples": 0}, InputError, "num_samples must be a whole number"),
        ({"num_samples": -2}, InputError, "got -2"),
        ({"num_samples": 1.5}, InputError, "got 1.5"),
        ({"num_samples": True}, InputError, "got True"),
        ({"seed": -1}, InputError, "seed"),
        ({"seed": 2**63}, InputError, "seed"),
        ({"steps": 0}, InputError, "steps must be"),
        ({"batch_size": 0}, InputError, "batch_size"),
        ({"workers": -1}, InputError, "workers"),
        ({"redraws": -1}, InputError, "redraws"),
        ({"chemical_system": "Li-Xx"}, InputError, "'Xx' is no chemical element"),
        ({"chemical_system": ""}, InputError, "names no element"),
        ({"chemical_system": "Na-Na"}, InputError, "twice"),
        (
            {"chemical_system": "Na-U"},
            InputError,
            "has not seen these elements in training: U",
        ),
        ({"elements": ["Fm"]}, InputError, "beyond the heaviest"),
        ({"chemical_system": "Na-Cl", "elements": "Na"}, InputError, "does not allow"),
        ({"chemical_system": "Na-Cl", "num_atoms": 1}, InputError, "cannot hold the 2 elements"),
        ({"num_atoms": 0}, InputError, "num_atoms"),
        ({"lattice": np.zeros((3, 3))}, InputError, "no finite volume"),
        ({"lattice": [[1, 2], [3, 4]]}, InputError, "3 × 3"),
        ({"lattice": [[np.nan, 0, 0], [0, 4, 0], [0, 0, 4]]}, InputError, "no finite volume"),
        ({"composition": "SrTiO3"}, IncompatibleError, "dao-g-perov5"),
        ({"formula_units": 2}, InputError, "without a composition"),
    ],
)
def test_nonsense_is_refused_at_once(miad, constraints, error, message):
    count = constraints.pop("num_samples", 1)
    with pytest.raises(error, match=message):
        miad.sample(count, progress=False, **constraints)


@pytest.mark.parametrize(
    ("constraints", "error", "message"),
    [
        ({}, IncompatibleError, "miad"),
        ({"composition": "NaCl", "elements": "Na"}, IncompatibleError, "nothing for elements"),
        ({"composition": "Na0.5Cl"}, InputError, "whole numbers"),
        ({"composition": "Qq2"}, InputError, "cannot be read|no chemical element"),
        ({"composition": ""}, InputError, "empty|cannot be read"),
        ({"composition": "NaCl", "formula_units": 60}, InputError, "holds at most"),
        ({"composition": "Na60Cl60"}, InputError, "holds at most"),
        ({"composition": "NaCl", "num_atoms": 3}, InputError, "no multiple"),
        ({"composition": "NaCl", "num_atoms": 4, "formula_units": 3}, InputError, "contradicts"),
        ({"composition": "NaCl", "formula_units": "many"}, InputError, "'auto'"),
        ({"composition": "NaCl", "formula_units": ()}, InputError, "empty"),
    ],
)
def test_structure_prediction_refuses_nonsense(csp, constraints, error, message):
    with pytest.raises(error, match=message):
        csp.sample(1, progress=False, **constraints)


def test_conditions_see_the_loop(miad):
    class Watcher(Condition):
        times = []

        def project(self, state, s, joint, layout, draws):
            self.times.append(s)
            return state

    plain = draw(miad, 2)
    watched = draw(miad, 2, conditions=[Watcher()])
    assert list(plain) == list(watched)
    assert Watcher.times[-1] == 0


def test_sampler_is_serialisable(miad):
    text = json.dumps(miad, cls=MontyEncoder)
    again = json.loads(text, cls=MontyDecoder)
    assert (again.name, again.weights, again.device) == (miad.name, miad.weights, miad.device)
    assert list(draw(again, 2)) == list(draw(miad, 2))


def test_device_that_is_absent_is_refused(toy_miad):
    with pytest.raises(InputError, match="device 'cuda:9' cannot be used"):
        StructureSampler("miad", weights=str(toy_miad), device="cuda:9").sample(1)
    with pytest.raises(InputError, match="cannot be used"):
        StructureSampler("miad", weights=str(toy_miad), device="gpu").sample(1)


def test_plugin_that_returns_too_little_is_named():
    class Short(Sampler):
        def sample(self, request, streams):
            return Sampled(random_batch([2], torch.Generator().manual_seed(0)))

    registry.register(registry.SAMPLERS, "short", lambda weights, device: Short())
    try:
        with pytest.raises(SamplingError, match="asked for 2 crystals and returned 1 crystals"):
            StructureSampler("short", device="cpu").sample(2, progress=False)
    finally:
        registry.unregister(registry.SAMPLERS, "short")


def test_written_files_hold_the_same_crystals(miad, tmp_path):
    samples = draw(miad, 4)
    folder = samples.write(tmp_path / "cifs")
    files = sorted(folder.glob("*.cif"))
    assert [f.name[:4] for f in files] == ["0000", "0001", "0002", "0003"]
    for s, file in zip(samples, files, strict=True):
        read = Structure.from_file(file)
        assert read.composition == s.composition
        np.testing.assert_allclose(
            np.sort(read.distance_matrix.ravel()), np.sort(s.distance_matrix.ravel()), atol=1e-4
        )
    frames = ase.io.read(samples.write(tmp_path / "all.extxyz"), ":")
    assert [f.info["crysdiff_index"] for f in frames] == [0, 1, 2, 3]
    np.testing.assert_allclose(frames[0].cell, samples[0].lattice.matrix, atol=1e-7)
    assert len(ase.db.connect(samples.write(tmp_path / "all.db"))) == 4
    content = json.loads((samples.write(tmp_path / "all.json")).read_text())
    assert Structure.from_dict(content["structures"][2]) == samples[2]
    assert len(samples.write(tmp_path / "all.csv").read_text().splitlines()) == 5
    assert not list(tmp_path.glob(".*part*"))
    with pytest.raises(InputError, match="ending must be one of"):
        samples.write(tmp_path / "all.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        samples.write(tmp_path / "file" / "folder")


def test_shipped_samplers_are_listed():
    assert {"miad", "dao-g-perov5"} <= set(available_samplers())
