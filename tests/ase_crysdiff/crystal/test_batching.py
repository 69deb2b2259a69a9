from hypothesis import given
from hypothesis import strategies as st

from ase_crysdiff.crystal.batching import runs_of_size


@given(st.lists(st.integers(0, 12), max_size=30), st.integers(1, 20), st.none() | st.integers(1, 5))
def test_runs_hold_everything_once_and_are_as_long_as_they_may(sizes, limit, items):
    runs = runs_of_size(sizes, limit, items)
    assert [i for run in runs for i in run] == list(range(len(sizes)))
    for run, following in zip(runs, [*runs, range(0)][1:], strict=True):
        total = sum(sizes[i] for i in run)
        assert len(run) == 1 or total <= limit
        assert items is None or len(run) <= items
        if following:
            assert total + sizes[following[0]] > limit or len(run) == items
