"""Whoever computes, the numbers are the same: this process, isolated ones, or any executor."""

import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from mortal_condition import Mortal
from pymatgen.core import Lattice, Structure

from ase_crysdiff import registry
from ase_crysdiff.campaigns.curation.curate import curate
from ase_crysdiff.campaigns.curation.options import CurationOptions
from ase_crysdiff.campaigns.evaluation.pipeline import evaluate_structures
from ase_crysdiff.campaigns.labelling import label
from ase_crysdiff.campaigns.relaxing import RelaxOptions, relax_files
from ase_crysdiff.errors import InputError, WorkerError
from ase_crysdiff.relaxation import structures as relaxation
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import evaluate, relax


@pytest.fixture(scope="module")
def threads():
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def pairs():
    registry.register(registry.POTENTIALS, "pairs", lambda weights, device, dtype: PairPotential())
    yield "pairs"
    registry.unregister(registry.POTENTIALS, "pairs")


@pytest.fixture
def small_groups(monkeypatch):
    """Several groups of few crystals."""
    monkeypatch.setattr(relaxation, "GROUP", (2, 40))


def draw(sampler, **how):
    return sampler.sample(5, seed=0, redraws=30, num_atoms=2, batch_size=2, progress=False, **how)


def test_draws_are_the_same(miad, threads):
    here, there = draw(miad), draw(miad, executor=threads)
    assert list(here) == list(there)
    assert here.report.rejections == there.report.rejections


@pytest.mark.slow
def test_draws_and_relaxations_of_other_processes_are_the_same(miad):
    crystals = rattled(4)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        assert list(draw(miad, executor=executor)) == list(draw(miad))
        found = relax(crystals, PairPotential(), steps=5, executor=executor)
        assert told(found) == told(relax(crystals, PairPotential(), steps=5))
    assert told(relax(crystals, PairPotential(), steps=5, workers=1)) == told(found)


def test_variations_and_fillings_are_the_same(miad, threads):
    seed = Structure(Lattice.cubic(5.0), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    how = {"num_samples": 3, "seed": 0, "redraws": 10, "batch_size": 1, "progress": False}
    assert list(miad.vary(seed, **how)) == list(miad.vary(seed, executor=threads, **how))
    how["guests"] = {"Na": 1}
    assert list(miad.inpaint(seed, **how)) == list(miad.inpaint(seed, executor=threads, **how))


def test_errors_of_workers_come_as_they_are(miad, threads, tmp_path):
    (tmp_path / "refuse").touch()
    with pytest.raises(InputError, match="not in this world"):
        draw(miad, executor=threads, conditions=[Mortal(tmp_path)])


def told(relaxed):
    """Everything that a set says, forces and what is not a number, too."""
    return json.dumps(relaxed.as_dict())


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("how", [{}, {"symmetric": True, "release": 0.03}], ids=["free", "moved"])
def test_relaxations_are_the_same(pairs, threads, how):
    crystals = [*rattled(5), None, bulk("Cu", cubic=True)]
    here = relax(crystals, pairs, steps=4, **how)
    assert "Expected a pymatgen Structure" in here.failed[5]
    assert told(here) == told(relax(crystals, pairs, steps=4, executor=threads, **how))
    assert told(here) == told(relax(crystals, PairPotential(), steps=4, executor=threads, **how))


def test_calculators_are_pickled_or_refused(threads):
    copper = [bulk("Cu").copy(), bulk("Al")]
    copper[0].calc = Unpicklable()  # not asked, and left behind
    assert told(relax(copper, EMT(), executor=threads)) == told(relax(copper, EMT()))
    with pytest.raises(InputError, match=r"Unpicklable cannot be sent.*name of a potential"):
        relax(copper, Unpicklable(), executor=threads)


class Unpicklable(EMT):
    """A calculator that holds on to this process."""

    def __reduce__(self):
        raise TypeError("a socket")


def test_scores_are_the_same(pairs, threads, tmp_path):
    crystals = [*rattled(4), None]
    how = {"potential": pairs, "hull": None}
    here, there = evaluate(crystals, **how), evaluate(crystals, executor=threads, **how)
    assert {n: (r.value, r.failures) for n, r in here.items()} == {
        n: (r.value, r.failures) for n, r in there.items()
    }
    evaluate_structures(crystals, tmp_path / "here", progress=False, **how)
    evaluate_structures(crystals, tmp_path / "there", progress=False, executor=threads, **how)
    for name in ("results.json", "table.csv"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_files_are_the_same(pairs, threads, tmp_path, crystal_files):
    files = [crystal_files(5, broken=True)]
    for name, executor in (("here", None), ("there", threads)):
        folder = tmp_path / name
        options = RelaxOptions(output=folder / "relaxed", potential=pairs, steps=4)
        relax_files(files, options, executor=executor)
        oracle = {"oracle": pairs, "perturbations": ["unperturbed", "rattled"]}
        label(files, folder / "labels.npz", progress=False, executor=executor, **oracle)
    here, there = ((tmp_path / name) for name in ("here", "there"))
    for name in ("relaxed/crystals.extxyz", "relaxed/table.csv", "labels.npz"):
        assert (here / name).read_bytes() == (there / name).read_bytes(), name


def test_curated_sets_are_the_same(pairs, threads, tmp_path, crystal_files):
    files = crystal_files(6)
    plain = CurationOptions(potential=pairs, min_atoms=1, workers=0)
    reports = []
    for name, executor in (("here", None), ("there", threads)):
        options = replace(plain, output=tmp_path / name)
        curate([files], options, executor=executor)
        reports.append(json.loads((tmp_path / name / "report.json").read_text()))
    assert reports[0] == reports[1]


def test_who_computes_is_said_once(miad, threads):
    for call in (
        lambda **how: draw(miad, **how),
        lambda **how: relax(rattled(1), PairPotential(), **how),
        lambda **how: evaluate(rattled(1), **how),
    ):
        with pytest.raises(InputError, match="exclude each other"):
            call(workers=2, executor=threads)


def test_a_closed_executor_is_named(miad):
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(WorkerError, match="takes no more work"):
        draw(miad, executor=executor)
