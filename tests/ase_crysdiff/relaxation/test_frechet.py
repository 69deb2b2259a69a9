"""The rows against finite differences and against ASE's filter."""

import numpy as np
import pytest
import torch
from ase.filters import FrechetCellFilter

from ase_crysdiff.ase_calculator import PotentialCalculator
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.convert import to_atoms
from ase_crysdiff.relaxation.frechet import CELL_ROWS, FrechetRows
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.testing.pair_potential import PairPotential


@pytest.fixture
def sets():
    return Configurations.from_crystals(from_structures(rattled(5))).to(dtype=torch.float64)


@pytest.fixture
def deformed(sets, generator):
    """Rows far from the start, so that the exponential is not linear."""
    layout = FrechetRows(sets.cells, sets.num_atoms, relax_cell=True)
    rows = layout.start(sets.positions)
    change = torch.randn(rows.shape, generator=generator, dtype=torch.float64)
    change[:, :CELL_ROWS] *= 0.1 * sets.num_atoms[:, None, None]
    change[:, CELL_ROWS:] *= 0.05 * layout.is_atom[..., None]
    return layout, rows + change


def test_start_is_where_the_sets_are(sets):
    for relax_cell in (True, False):
        layout = FrechetRows(sets.cells, sets.num_atoms, relax_cell)
        placed = layout.place(layout.start(sets.positions), sets)
        torch.testing.assert_close(placed.positions, sets.positions, rtol=0, atol=1e-14)
        torch.testing.assert_close(placed.cells, sets.cells, rtol=0, atol=1e-14)


def test_forces_are_the_slope_of_the_energy(sets, deformed, generator):
    layout, rows = deformed
    potential, step = PairPotential(), 1e-5
    placed = layout.place(rows, sets)
    forces = layout.forces(rows, placed, potential.evaluate(placed))
    direction = torch.randn(rows.shape, generator=generator, dtype=torch.float64)
    direction[:, CELL_ROWS:] *= layout.is_atom[..., None]
    ends = [
        potential.evaluate(layout.place(rows + sign * step * direction, sets)).energy
        for sign in (1, -1)
    ]
    torch.testing.assert_close(
        (ends[1] - ends[0]) / (2 * step), (forces * direction).sum((1, 2)), rtol=1e-6, atol=1e-5
    )


def test_rows_and_forces_are_those_of_ase(sets, deformed):
    layout, rows = deformed
    potential = PairPotential()
    placed = layout.place(rows, sets)
    forces = layout.forces(rows, placed, potential.evaluate(placed))
    for i, atoms in enumerate(to_atoms(sets)):
        count = len(atoms)
        atoms.calc = PotentialCalculator(potential)
        twin = FrechetCellFilter(atoms)
        offset = twin.get_positions()[count:]  # its logarithm is of n F
        twin.set_positions(
            np.concatenate(
                [
                    rows[i, CELL_ROWS : CELL_ROWS + count].numpy(),
                    rows[i, :CELL_ROWS].numpy() + offset,
                ]
            )
        )
        np.testing.assert_allclose(atoms.positions, placed.select([i]).positions, atol=1e-11)
        np.testing.assert_allclose(atoms.cell.array, placed.cells[i], atol=1e-11)
        expected = twin.get_forces()
        np.testing.assert_allclose(
            forces[i, CELL_ROWS : CELL_ROWS + count], expected[:count], atol=1e-9
        )
        np.testing.assert_allclose(forces[i, :CELL_ROWS], expected[count:], atol=1e-9)
        assert not forces[i, CELL_ROWS + count :].any()


def test_fixed_cell_has_no_force_on_the_cell(sets):
    layout = FrechetRows(sets.cells, sets.num_atoms, relax_cell=False)
    found = PairPotential().evaluate(sets)
    forces = layout.forces(layout.start(sets.positions), sets, found)
    assert not forces[:, :CELL_ROWS].any()
    torch.testing.assert_close(forces[:, CELL_ROWS:][layout.is_atom], found.forces, rtol=0, atol=0)
