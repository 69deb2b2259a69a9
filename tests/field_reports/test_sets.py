"""Field reports, item 38, and U2-U4 of a new user's day: results are sets that chain, and their
files hold what ASE looks for.
"""

import dataclasses
import json

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.db import connect
from monty.json import MontyDecoder, MontyEncoder
from monty.serialization import loadfn
from pymatgen.core import Lattice, Structure

import ase_crysdiff
import calculators
import pymatgen_ext
from ase_crysdiff.crystal.convert import copy_of
from ase_crysdiff.data.readers import read_records
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.relaxation.relax_set import RelaxSet
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.sampling.sample_set import Report, SampleSet
from ase_crysdiff.testing.crystals import prototypes, rattled
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import EnergyGuidance, StructureSampler, evaluate, relax


@pytest.fixture(scope="module")
def relaxed():
    mixed = Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
    return relax([*rattled(3, deviation=0.02), mixed, None], PairPotential(), steps=3)


def samples(count, seed=0, asked=None):
    structures = rattled(count, deviation=0.01)
    for index, structure in enumerate(structures):
        structure.properties = {"crysdiff_index": index, "crysdiff_energy_per_atom": -1.5 - index}
    failed = {i: "no atoms" for i in range(count, asked or count)}
    report = Report("toy", "abc", seed, asked or count, count, 1, {"no atoms": 2}, failed)
    return SampleSet(structures, report)


def again(value):
    return json.loads(json.dumps(value, cls=MontyEncoder), cls=MontyDecoder)


def test_a_relaxed_set_is_a_sequence_with_table_and_ranking(relaxed):
    assert str(relaxed) == (
        f"3 of 5 structures relaxed with {relaxed.potential}: "
        f"{sum(r.converged for r in relaxed)} converged, "
        f"{sum(r.accepted for r in relaxed)} accepted, 2 failed"
    )
    assert set(relaxed.failed) == {3, 4}
    assert len(relaxed.structures) == len(relaxed.table().splitlines()) - 2 == 3
    frame = relaxed.to_dataframe()
    assert {"formula", "crysdiff_energy_per_atom", "crysdiff_remark"} <= set(frame.columns)
    assert "crysdiff_stress" not in frame.columns
    part = relaxed[:2]
    assert len(part) == 2
    assert str(part).startswith("2 of 2 structures")
    ranked = relaxed.rank()
    good = [r.energy_per_atom for r in ranked if r.accepted]
    assert good == sorted(good)
    assert [r.accepted for r in ranked] == sorted((r.accepted for r in ranked), reverse=True)
    assert np.isnan([r.energy for r in ranked][-2:]).all()
    assert len(repr(relaxed[0]).splitlines()) == 1
    assert "<table" in relaxed._repr_html_()


class Upside(PairPotential):
    """Orders crystals the other way round, and does not take those of some number of atoms."""

    name = "upside"

    def __init__(self, refused):
        super().__init__()
        self.refused = refused

    def evaluate(self, systems):
        found = super().evaluate(systems)
        large = {
            k: "too large" for k, n in enumerate(systems.num_atoms.tolist()) if n == self.refused
        }
        return dataclasses.replace(
            found, energy=-found.energy, failures={**found.failures, **large}
        )


def test_a_second_potential_ranks():
    crystals = [*prototypes().values(), *rattled(4, deviation=0.05)]
    given, upside = [*crystals, None], Upside(max(map(len, crystals)))
    relaxed = relax(given, PairPotential(), steps=0)
    ranked = relaxed.rank(upside)
    assert str(ranked).endswith("; judged by upside")
    judged = [r for r in ranked if r.judge_energy is not None]
    assert len(judged) > 2
    for result in judged:
        assert result.judge_energy == pytest.approx(-result.energy, rel=1e-5)
    accepted = [r.judge_energy_per_atom for r in judged if r.accepted]
    assert accepted == sorted(accepted)
    assert accepted != sorted(accepted, reverse=True)
    lost = [r for r in ranked if r.judge_remark]
    assert lost
    assert all("upside has no energy: too large" in r.verdict for r in lost)
    assert np.isnan(ranked[-1].energy)
    assert "upside eV/atom" in ranked.table()
    assert "too large" in ranked.table()
    assert "crysdiff_judge_energy_per_atom" in ranked.to_dataframe()
    assert repr(list(again(ranked))) == repr(list(ranked))
    assert [r.judge_energy for r in relax(given, PairPotential(), steps=0, rerank=upside)] == [
        r.judge_energy for r in ranked
    ]
    assert "judged" not in str(relaxed)


def test_what_another_potential_said_does_not_stay(relaxed):
    before = relaxed[0].labelled(0)
    before.properties["crysdiff_energy_uncertainty"] = 0.1
    before.properties["crysdiff_judge"] = "someone"
    lost = RelaxResult(before, False, 0, -1.0, 1.0, -1.0, False, "lost")
    labelled = lost.labelled(0)
    assert not {"crysdiff_energy_uncertainty", "crysdiff_judge"} & labelled.properties.keys()
    assert labelled.site_properties == {}


def test_what_is_shown_is_short():
    for shown in (samples(3).report, samples(3), StructureSampler("miad"), EnergyGuidance("dao-p")):
        assert len(repr(shown)) < 120
    assert repr(calculators.DAOPCalculator()).startswith("DAOPCalculator(model='dao-p', device=")
    scores = evaluate([bulk("MgO", "rocksalt", a=4.2)] * 20, reference=None)
    assert len(repr(scores["uniqueness"])) < 80
    lines = repr(scores).splitlines()
    assert len(lines) == len(scores) + 2
    assert lines[0].split() == ["metric", "value", "95", "%", "interval", "structures", "failed"]
    assert any(line.split()[:2] == ["uniqueness", "0.05"] for line in lines)
    assert "<td>uniqueness</td>" in scores._repr_html_()


def test_relaxed_sets_add_up_but_not_across_potentials(relaxed):
    both = relaxed[:1] + relaxed[1:3]
    assert both == relaxed[:3]
    with pytest.raises(IncompatibleError, match="do not compare"):
        relaxed + RelaxSet([], "another")
    with pytest.raises(TypeError):
        relaxed + samples(1)


def test_relaxed_sets_can_be_outputs_of_jobs(relaxed):
    back = again(relaxed)
    assert isinstance(back, RelaxSet)
    assert [repr(r) for r in back] == [repr(r) for r in relaxed]
    assert np.array_equal(back[0].forces, relaxed[0].forces)
    assert back[0].structure == relaxed[0].structure
    assert again({"a": [relaxed]})["a"][0][1].steps == relaxed[1].steps


def test_sample_sets_can_be_outputs_of_jobs(tmp_path):
    given = samples(3, asked=5)
    back = again(given)
    assert isinstance(back, SampleSet)
    assert list(back) == list(given)
    assert back.report == given.report
    given.write(tmp_path / "set.json")
    assert list(loadfn(tmp_path / "set.json")) == list(given)
    assert len(list(read_records(tmp_path / "set.json"))) == 3


def test_a_job_may_return_them():
    jobflow = pytest.importorskip("jobflow", reason="pip install 'ase-crysdiff[workflows]'")
    from maggma.stores import MemoryStore

    job = jobflow.job(pair)()
    store = jobflow.JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    output = jobflow.run_locally(job, store=store, ensure_success=True)[job.uuid][1].output
    assert isinstance(output[0] if isinstance(output, list | tuple) else output, SampleSet)


def pair():
    return [samples(2), relax(bulk("NaCl", "rocksalt", a=4.8), PairPotential(), steps=1)]


def test_parts_and_sums_of_sample_sets_count_right():
    first, second = samples(4, seed=0, asked=6), samples(2, seed=1)
    assert str(first[:2]).startswith("SampleSet(2 of 6 crystals")
    assert first[:4].report == first.report
    both = first + second
    assert len(both) == both.report.made == 6
    assert both.report.asked == 8
    assert both.report.redrawn == 2
    assert both.report.rejections == {"no atoms": 4}
    assert both.report.failed == first.report.failed
    assert "seeds 0 and 1" in str(both)


def test_files_hold_energies_forces_and_stresses(relaxed, tmp_path):
    relaxed.write(tmp_path / "set.extxyz")
    frames = ase.io.read(tmp_path / "set.extxyz", ":")
    with connect(relaxed.write(tmp_path / "set.db")) as database:
        rows = list(database.select(crysdiff_steps=3))
        assert len(rows) == sum(r.steps == 3 for r in relaxed[:3]) > 0
        assert all(row.crysdiff_energy_per_atom < 0 for row in rows)
        frames_of_rows = [row.toatoms() for row in database.select()]
    for atoms in (frames, frames_of_rows, relaxed.to_atoms()):
        for frame, result in zip(atoms, relaxed[:3], strict=True):
            assert frame.get_potential_energy() == pytest.approx(result.energy)
            assert frame.get_forces() == pytest.approx(result.forces, abs=1e-7)
            assert frame.get_stress(voigt=False) == pytest.approx(result.stress, abs=1e-7)
    assert [len(r.load()) for r in read_records(tmp_path / "set.db")] == [len(f) for f in frames]
    ranked = samples(2).to_atoms()[1]
    assert ranked.get_potential_energy() == pytest.approx(-2.5 * len(ranked))


def test_words_that_broke_extended_xyz(tmp_path):
    structure = rattled(1)[0]
    structure.properties = {"empty": "", "none": None, "nothing": [], "lines": "a\nb  c", "id": 7}
    SampleSet([structure], samples(1).report).write(tmp_path / "set.extxyz")
    (atoms,) = ase.io.read(tmp_path / "set.extxyz", ":")
    assert {k: atoms.info[k] for k in atoms.info} == {"lines": "a b c", "id": 7}
    assert atoms.pbc.all()


def test_names_that_would_replace_each_other(tmp_path):
    both = samples(2) + samples(2)
    both.write(tmp_path / "set")
    assert len(list((tmp_path / "set").glob("*.cif"))) == 4


def test_symmetric_cif_on_request(tmp_path):
    cell = prototypes()["NaCl"].get_primitive_structure()
    one = SampleSet([cell, cell.copy()], samples(2).report)
    one.write(tmp_path / "plain")
    one.write(tmp_path / "symmetric", symprec=0.1)
    texts = [next((tmp_path / f).glob("*.cif")).read_text() for f in ("plain", "symmetric")]
    assert ["Fm-3m" in text for text in texts] == [False, True]
    one.write(tmp_path / "both.cif", symprec=0.1)
    found = [record.load() for record in read_records(tmp_path / "both.cif")]
    assert [s.get_space_group_info()[0] for s in found] == ["Fm-3m"] * 2
    assert [len(s) for s in found] == [8] * 2  # the conventional cell
    for name, symprec in (("POSCAR", None), ("a.xyz", None), ("a.csv", 0.1), ("b", 7.0)):
        with pytest.raises(InputError):
            one.write(tmp_path / name, symprec=symprec)
        assert not (tmp_path / name).exists()


def test_letters_of_a_path_are_no_crystals():
    for given in ("lfp.cif", b"lfp.cif"):
        with pytest.raises(InputError, match="Read the file first"):
            relax(given, PairPotential())


def test_draws_may_change_their_volume():
    """A limit on the volume protects labels; of a draw the cell is a guess."""
    structure = prototypes()["NaCl"].get_primitive_structure()
    structure.scale_lattice(1.35 * 4.75**3 / 4)
    drawn = copy_of(structure, {"crysdiff_sampler": "toy"})
    plain, accepted = relax([structure, drawn], PairPotential())
    assert "volume has changed" in plain.reason
    assert accepted.accepted
    assert accepted.reason is None


def test_all_public_names_come_from_one_place():
    for package in (pymatgen_ext, calculators):
        for name in package.__all__:
            assert getattr(ase_crysdiff, name) is getattr(package, name)
            assert name in dir(ase_crysdiff)
    with pytest.raises(AttributeError):
        _ = ase_crysdiff.absent
