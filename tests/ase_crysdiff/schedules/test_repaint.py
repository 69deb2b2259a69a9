"""Plans with upward jumps."""

import itertools

import pytest

from ase_crysdiff.errors import InputError
from ase_crysdiff.schedules.plans import RepaintPlan, UniformPlan


@pytest.mark.parametrize(
    ("steps", "repeats", "down", "up"),
    [(200, 3, 580, 380), (200, 1, 200, 0), (100, 3, 280, 180), (1000, 3, 2980, 1980)],
)
def test_repaint_plan_golden(steps, repeats, down, up):
    """The published counts of moves, with the last move to the data counted."""
    moves = list(RepaintPlan(steps, 1.0, 10, repeats))
    levels = [(round(t * steps), round(s * steps)) for t, s in moves]
    assert sum(1 for t, s in levels if s == t - 1) == down
    assert sum(s - t for t, s in levels if s > t) == up
    assert len(RepaintPlan(steps, 1.0, 10, repeats)) == len(moves)


@pytest.mark.parametrize("jump_length", [1, 3, 10, 50])
def test_repaint_plan_is_a_path_to_the_data(jump_length):
    plan = RepaintPlan(40, None, jump_length, 3)
    moves = list(plan)
    assert moves[0][0] == 0.99
    assert moves[-1][1] == 0
    assert all(a[1] == b[0] for a, b in itertools.pairwise(moves))
    assert all(t > 0 for t, _ in moves)
    grid = {t for pair in UniformPlan(40) for t in pair}
    assert {t for pair in moves for t in pair} <= grid


def test_repaint_plan_without_repeats_is_the_uniform_plan():
    assert list(RepaintPlan(17, None, 4, 1)) == list(UniformPlan(17))


@pytest.mark.parametrize(
    "change", [{"jump_length": 0}, {"repeats": 0}, {"repeats": True}, {"steps": 0}]
)
def test_repaint_plan_refuses_nonsense(change):
    with pytest.raises(InputError, match=next(iter(change))):
        RepaintPlan(**{"steps": 10, **change})
