"""L-BFGS and FIRE on surfaces with a known minimum."""

import pytest
import torch

from ase_crysdiff.relaxation.base import MAX_STEP
from ase_crysdiff.relaxation.engine import OPTIMIZERS
from ase_crysdiff.relaxation.fire import FIRE
from ase_crysdiff.relaxation.lbfgs import LBFGS


def descend(descent, rows, slope, steps):
    ways = []
    for _ in range(steps):
        ways.append(descent.step(rows, -slope(rows)))
        rows = rows + ways[-1]
    return rows, torch.stack(ways)


@pytest.fixture
def bowls(generator):
    """Quadratic surfaces, one per set, each with its own stiffness: slope and minimum."""
    root = torch.randn(4, 12, 12, generator=generator, dtype=torch.float64)
    hessian = (
        root @ root.mT
        + torch.eye(12, dtype=torch.float64) * torch.tensor([1.0, 5.0, 20.0, 80.0])[:, None, None]
    )
    minimum = torch.randn(4, 4, 3, generator=generator, dtype=torch.float64)

    def slope(rows):
        return (hessian @ (rows - minimum).flatten(1)[..., None]).view_as(rows)

    return slope, minimum


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_quadratic_minimum_is_found(name, bowls):
    slope, minimum = bowls
    rows, ways = descend(OPTIMIZERS[name](), torch.zeros_like(minimum), slope, 250)
    torch.testing.assert_close(rows, minimum, rtol=0, atol=1e-6)
    assert torch.linalg.vector_norm(ways, dim=-1).max() <= MAX_STEP * (1 + 1e-12)


def test_lbfgs_with_full_memory_finds_a_quadratic_minimum_in_few_steps(bowls):
    """Along the forces alone, (1 - 1/70)^40 = 0.56 of the way would remain in the softest
    direction.
    """
    slope, minimum = bowls
    rows, _ = descend(LBFGS(), minimum + 1e-3, slope, 40)
    torch.testing.assert_close(rows, minimum, rtol=0, atol=1e-6)


def test_longest_row_is_limited_and_the_direction_kept():
    forces = torch.zeros(1, 4, 3, dtype=torch.float64)
    forces[0, 1, 2], forces[0, 2, 0] = 700.0, 70.0
    way = LBFGS().step(torch.zeros_like(forces), forces)
    torch.testing.assert_close(way[0, 1, 2], torch.tensor(0.2, dtype=torch.float64))
    torch.testing.assert_close(way[0, 2, 0], torch.tensor(0.02, dtype=torch.float64))


def test_pair_of_negative_curvature_is_not_used():
    """On a hilltop the force grows along the way; a history with that pair would point uphill."""
    descent, rows = LBFGS(), torch.full((1, 4, 3), 0.1, dtype=torch.float64)
    for _ in range(5):
        forces = 0.5 * rows
        way = descent.step(rows, forces)
        torch.testing.assert_close(way, forces / 70)
        rows = rows + way


@pytest.mark.parametrize("make", [LBFGS, FIRE])
def test_sets_do_not_see_each_other_when_the_batch_changes(make, bowls):
    """Set 2 alone, and set 2 in a batch that loses sets, gains others and changes its number of
    rows.
    """
    slope, minimum = bowls

    def slope_of(sets, rows):
        every = torch.zeros_like(minimum)
        for k, i in enumerate(sets):
            every[i] = rows[k, :4]
        found = slope(every)[list(sets)]
        return torch.cat([found, torch.zeros(len(sets), rows.shape[1] - 4, 3, dtype=rows.dtype)], 1)

    alone, _ = descend(make(), minimum[2:3] + 0.3, lambda rows: slope_of([2], rows), 30)
    descent, sets = make(), [0, 1, 2, 3]
    rows = minimum + 0.3
    for count in range(30):
        if count == 7:  # 0 and 3 leave
            sets, rows = [1, 2], rows[[1, 2]]
            descent.rebatch(torch.tensor([1, 2]), 0, 4)
        if count == 12:  # 3 comes back from the start, and there is a padded row
            sets, rows = [2, 3], torch.cat([rows[1:], minimum[3:] + 0.3])
            rows = torch.cat([rows, torch.zeros(2, 1, 3, dtype=rows.dtype)], 1)
            descent.rebatch(torch.tensor([1]), 1, 5)
        rows = rows + descent.step(rows, -slope_of(sets, rows))
    torch.testing.assert_close(rows[0, :4], alone[0], rtol=0, atol=1e-10)
    fresh, _ = descend(make(), minimum[3:] + 0.3, lambda rows: slope_of([3], rows), 18)
    torch.testing.assert_close(rows[1, :4], fresh[0], rtol=0, atol=1e-10)
