"""Batches against ASE one after another, and sets that go wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE, LBFGS

from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations, Evaluation
from ase_crysdiff.potentials.convert import to_atoms
from ase_crysdiff.relaxation.engine import relaxations
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.testing.pair_potential import PairPotential

SETS = 7


def configurations(count=SETS, deviation=0.03):
    return Configurations.from_crystals(from_structures(rattled(count, deviation=deviation))).to(
        dtype=torch.float64
    )


def joined(parts):
    return Configurations.cat(parts)


@pytest.fixture(scope="module")
def disturbed():
    """Minima of the potential, moved by 0.03 Å and strained by 1 %."""
    generator = torch.Generator().manual_seed(5)
    found = dict(relaxations(configurations(), PairPotential(), fmax=1e-4))
    minima = joined([found[i].final for i in range(SETS)])
    assert all(o.converged for o in found.values())
    moved = minima.positions + 0.03 * torch.randn(
        minima.positions.shape, generator=generator, dtype=torch.float64
    )
    strain = torch.eye(3, dtype=torch.float64) + 0.01 * torch.randn(
        SETS, 3, 3, generator=generator, dtype=torch.float64
    )
    return replace(
        minima,
        positions=(moved.unsqueeze(1) @ strain[minima.index]).squeeze(1),
        cells=minima.cells @ strain,
    )


def serial(sets, optimizer, relax_cell, fmax, steps):
    """ASE, one set after another: atoms and steps."""
    for atoms in to_atoms(sets):
        atoms.calc = PotentialCalculator(PairPotential())
        run = optimizer(FrechetCellFilter(atoms) if relax_cell else atoms, logfile=None)
        run.run(fmax=fmax, steps=steps)
        yield atoms, run.nsteps


@pytest.mark.parametrize("relax_cell", [True, False], ids=["cell", "fixed"])
@pytest.mark.parametrize(
    ("name", "optimizer"), [("lbfgs-ase", LBFGS), ("fire", FIRE)], ids=["lbfgs", "fire"]
)
def test_steps_are_those_of_ase(name, optimizer, relax_cell, disturbed):
    found = dict(
        relaxations(disturbed, PairPotential(), optimizer=name, relax_cell=relax_cell, fmax=0.01)
    )
    for i, (atoms, steps) in enumerate(serial(disturbed, optimizer, relax_cell, 0.01, 500)):
        assert found[i].steps == steps
        assert found[i].energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(found[i].final.positions, atoms.positions, atol=1e-8)
        np.testing.assert_allclose(found[i].final.cells[0], atoms.cell.array, atol=1e-8)


def test_minima_are_those_of_ase(disturbed):
    """The default takes fewer steps, to the same crystals."""
    found = dict(relaxations(disturbed, PairPotential(), fmax=1e-4, max_atoms=20))
    count = 0
    for i, (atoms, steps) in enumerate(serial(disturbed, LBFGS, True, 1e-4, 500)):
        outcome = found[i]
        count += steps
        assert outcome.converged
        assert outcome.fmax < 1e-4
        assert outcome.energy / len(atoms) == pytest.approx(
            atoms.get_potential_energy() / len(atoms), abs=1e-4
        )
        assert outcome.energy <= outcome.first_energy
        np.testing.assert_allclose(outcome.final.positions, atoms.positions, atol=1e-3)
        np.testing.assert_allclose(outcome.final.cells[0], atoms.cell.array, atol=1e-3)
    assert sum(o.steps for o in found.values()) < 0.9 * count


@pytest.mark.parametrize("optimizer", ["lbfgs", "fire"])
def test_batch_changes_nothing(optimizer, disturbed):
    many = dict(relaxations(disturbed, PairPotential(), optimizer=optimizer))
    few = dict(relaxations(disturbed, PairPotential(), optimizer=optimizer, max_atoms=11))
    assert sorted(many) == sorted(few) == list(range(SETS))
    for i in range(SETS):
        ((_, alone),) = relaxations(disturbed.select([i]), PairPotential(), optimizer=optimizer)
        for other in (many[i], few[i]):
            assert other.steps == alone.steps
            assert other.energy == pytest.approx(alone.energy, abs=1e-10)
            torch.testing.assert_close(
                other.final.positions, alone.final.positions, rtol=0, atol=1e-9
            )


def test_single_precision_reaches_the_same_minima(disturbed):
    exact = dict(relaxations(disturbed, PairPotential(), fmax=0.01))
    found = dict(relaxations(disturbed, PairPotential(dtype=torch.float32), fmax=0.01))
    for i in range(SETS):
        assert found[i].converged
        assert found[i].energy / len(found[i].final.species) == pytest.approx(
            exact[i].energy / len(exact[i].final.species), abs=1e-3
        )


class Watched(PairPotential):
    """Remembers how many atoms it was given, and goes wrong on demand."""

    def __init__(self, wrong=None, what="nan", after=0):
        super().__init__()
        self.calls, self.wrong, self.what, self.after = [], wrong, what, after

    def evaluate(self, configurations):
        self.calls.append(len(configurations.species))
        found = super().evaluate(configurations)
        bad = (
            (configurations.species == self.wrong).nonzero().flatten()
            if self.wrong
            else torch.zeros(0, dtype=torch.long)
        )
        if not len(bad) or len(self.calls) <= self.after:
            return found
        sets = configurations.index[bad].unique()
        if self.what == "raises":
            raise InputError("this one is not for me")
        if self.what == "failure":
            energy = found.energy.index_fill(0, sets, torch.nan)
            return replace(
                found, failures={int(i): "overlapping atoms" for i in sets}, energy=energy
            )
        values = {
            name: getattr(found, name).clone()
            for name in ("energies", "energy", "forces", "stress")
        }
        if self.what == "nan":
            values["forces"][bad[0]] = torch.nan
        elif self.what == "stress":
            values["stress"][sets] = torch.nan
        else:
            values["energy"][sets] = torch.inf
        return Evaluation(**values)


def test_batches_are_bounded_and_refilled(disturbed):
    potential = Watched()
    assert len(list(relaxations(disturbed, potential, max_atoms=11))) == SETS
    assert max(potential.calls) <= 11
    lonely = Watched()
    assert len(list(relaxations(disturbed, lonely, max_atoms=1))) == SETS
    assert max(lonely.calls) == 6


@pytest.mark.parametrize("what", ["nan", "raises", "infinite", "stress", "failure"])
def test_failure_isolates_its_set(what, disturbed):
    """Potassium is in no prototype: set 3 gets one, and goes wrong after four evaluations."""
    species = disturbed.species.clone()
    chosen = (disturbed.index == 3).nonzero().flatten()
    species[chosen[0]] = 19
    sets = replace(disturbed, species=species)
    clean = dict(relaxations(sets, PairPotential()))
    found = dict(relaxations(sets, Watched(19, what, after=4)))
    for i in set(range(SETS)) - {3}:
        assert found[i].failure is None
        assert found[i].steps == clean[i].steps
        assert found[i].energy == pytest.approx(clean[i].energy, abs=1e-10)
    lost = found[3]
    assert not lost.converged
    assert lost.steps == 4
    expected = {"raises": "not for me", "stress": "relax_cell=False", "failure": "overlapping"}.get(
        what, "not finite"
    )
    assert expected in lost.failure
    # Where the forces were smallest before it went wrong.
    assert torch.isfinite(lost.final.positions).all()
    again = PairPotential().evaluate(lost.final)
    assert lost.energy == pytest.approx(float(again.energy[0]), abs=1e-9)
    assert float(torch.linalg.vector_norm(again.forces, dim=-1).max()) <= lost.fmax * 1.2
    assert lost.energy < lost.first_energy


def test_failure_at_the_first_evaluation_returns_the_start(disturbed):
    species = disturbed.species.clone()
    species[(disturbed.index == 0).nonzero().flatten()] = 19
    sets = replace(disturbed, species=species)
    lost = dict(relaxations(sets, Watched(19, "nan")))[0]
    assert lost.steps == 0
    assert np.isnan(lost.energy)
    assert np.isnan(lost.fmax)
    torch.testing.assert_close(lost.final.positions, sets.select([0]).positions)


def test_bugs_of_a_potential_are_not_hidden(disturbed):
    class Broken(PairPotential):
        def evaluate(self, configurations):
            raise AttributeError("typing error")

    with pytest.raises(AttributeError, match="typing error"):
        list(relaxations(disturbed, Broken()))


def test_unusable_sets_are_reported_and_the_others_relaxed(disturbed):
    cells, positions, species = (
        disturbed.cells.clone(),
        disturbed.positions.clone(),
        disturbed.species.clone(),
    )
    index = disturbed.index
    cells[1] = 0
    positions[(index == 2).nonzero()[0]] = torch.nan
    species[(index == 4).nonzero()[0]] = 118
    periodic = disturbed.periodic.clone()
    periodic[6, 2] = False
    found = dict(
        relaxations(
            Configurations(positions, cells, periodic, species, disturbed.num_atoms),
            PairPotential(),
        )
    )
    assert len(found) == SETS
    for i, message in {
        1: "zero or parallel",
        2: "not finite",
        4: "does not know Og",
        6: "relax_cell=False",
    }.items():
        assert message in found[i].failure
        assert (found[i].steps, found[i].converged) == (0, False)
    for i in (0, 3, 5):
        assert found[i].converged
        assert found[i].failure is None


def test_molecules_and_slabs_relax_with_fixed_cells(disturbed):
    periodic = torch.tensor([[False] * 3, [True, True, False]] * SETS)[:SETS]
    sets = replace(disturbed, periodic=periodic)
    found = dict(relaxations(sets, PairPotential(), relax_cell=False, optimizer="fire"))
    for i, (atoms, steps) in enumerate(serial(sets, FIRE, False, 0.05, 500)):
        assert found[i].steps == steps
        np.testing.assert_allclose(found[i].final.positions, atoms.positions, atol=1e-7)
        torch.testing.assert_close(found[i].final.cells, sets.cells[i : i + 1], rtol=0, atol=0)


def test_running_out_of_steps_is_flagged(disturbed):
    found = dict(relaxations(disturbed, PairPotential(), steps=2, fmax=1e-6))
    assert all(
        o.steps == 2 and not o.converged and o.failure is None and o.fmax > 1e-6
        for o in found.values()
    )
    still = dict(relaxations(disturbed, PairPotential(), steps=0))
    torch.testing.assert_close(still[3].final.positions, disturbed.select([3]).positions)


def test_input_is_not_changed(disturbed):
    before = {
        name: getattr(disturbed, name).clone()
        for name in ("positions", "cells", "species", "num_atoms")
    }
    list(relaxations(disturbed, PairPotential(), steps=5))
    for name, value in before.items():
        assert torch.equal(getattr(disturbed, name), value)


def test_nothing_to_relax():
    empty = configurations().select([])
    assert list(relaxations(empty, PairPotential())) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "newton"}, "optimizer must be one of .*lbfgs"),
        ({"fmax": 0.0}, "fmax must be a positive force"),
        ({"fmax": float("nan")}, "fmax must be a positive force"),
        ({"steps": -1}, "steps must be"),
        ({"max_atoms": 0}, "max_atoms must be"),
    ],
)
def test_nonsense_is_refused_at_once(options, message, disturbed):
    with pytest.raises(InputError, match=message):
        relaxations(disturbed, PairPotential(), **options)
