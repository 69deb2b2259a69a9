"""Processes that hang, compute for too long or die cost one item each, and what came from outside
costs none.
"""

import os
import signal
import subprocess
import sys
import time

import pytest
from misbehaviour import misbehave

from ase_crysdiff.isolation import Failure, WorkerPool, map_isolated, pool, run_isolated


def test_processes_that_hang_or_die_cost_one_item_each(monkeypatch):
    monkeypatch.setattr(pool, "WAIT_LIMIT", (1.0, 1.0))
    chunks = [[1, "die", 2], [3, 4, "hang", 5], [], ["raise", 6, "die"], [7]]
    results = list(run_isolated(misbehave, chunks, workers=2, timeout=0.5))
    values = {(c, i): r.reason if isinstance(r, Failure) else r for c, i, r in results}
    assert len(values) == len(results)
    assert values == {
        (0, 0): 1,
        (0, 1): "the process ended",
        (0, 2): 2,
        (1, 0): 3,
        (1, 1): 4,
        (1, 2): "no answer within 1.5 s by the clock",
        (1, 3): 5,
        (3, 0): "ValueError: no number",
        (3, 1): 6,
        (3, 2): "the process ended",
        (4, 0): 7,
    }


def test_computing_for_too_long():
    found = map_isolated(misbehave, [1, "compute", 2], workers=1, timeout=0.5)
    assert found == [1, Failure("no answer within 0.5 s of processor time"), 2]


def test_waiting_is_not_computing():
    """As on a machine that is busy with other things: much time passes, little of it for the
    item.
    """
    assert map_isolated(misbehave, ["wait", 1], workers=1, timeout=0.5) == ["wait", 1]


def test_second_try(tmp_path):
    """A process that ends once, as if killed from outside, loses nothing; each item has tries of
    its own.
    """
    items = [1, tmp_path / "a", tmp_path / "b", "die", 2]
    found = map_isolated(misbehave, items, workers=1, timeout=5.0)
    assert found == [1, tmp_path / "a", tmp_path / "b", Failure("the process ended"), 2]


@pytest.mark.parametrize("answered", [1, 2])
def test_killed_from_outside(answered):
    """In the middle of an item, or between two chunks: the items that had no answer are worked on
    elsewhere.
    """
    results = run_isolated(process_of, [[0.0, 0.5], [0.0]], workers=1, timeout=5.0)
    first = [next(results)[2] for _ in range(answered)]
    os.kill(first[0], signal.SIGKILL)
    rest = [result for *_, result in results]
    assert len(rest) == 3 - answered
    assert all(isinstance(process, int) and process != first[0] for process in rest)


def test_a_pool_keeps_its_processes_from_call_to_call():
    with WorkerPool(1) as pool:
        (first,) = map_isolated(process_of, [0.0], workers=pool)
        assert map_isolated(misbehave, [1, "die", 2], workers=pool) == [
            1,
            Failure("the process ended"),
            2,
        ]
        (second,) = map_isolated(process_of, [0.0], workers=pool)
        assert map_isolated(process_of, [0.0, 0.0], workers=pool) == [second] * 2
        os.kill(second, signal.SIGKILL)  # idle: nothing is lost
        (third,) = map_isolated(process_of, [0.0], workers=pool)
        abandoned = run_isolated(process_of, [[0.0, 60.0]], workers=pool, timeout=90.0)
        assert next(abandoned)[2] == third
        abandoned.close()
        (fourth,) = map_isolated(process_of, [0.0], workers=pool)
    assert len({first, second, third, fourth, os.getpid()}) == 5
    with pytest.raises(ProcessLookupError):
        os.kill(fourth, 0)
    with WorkerPool(0) as pool:
        assert map_isolated(process_of, [0.0], workers=pool) == [os.getpid()]


def run_script(path, text):
    path.write_text(text)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_script_without_a_guard_is_not_run_again_in_every_process(tmp_path):
    plain = """
from ase_crysdiff.isolation import map_isolated
print("once")
print(*map_isolated(abs, [-1, 2], workers=1))
"""
    assert run_script(tmp_path / "plain.py", plain) == ["once", "1", "2"]


def test_what_a_script_defines_can_be_used_in_other_processes(tmp_path):
    guarded = """
from ase_crysdiff.isolation import WorkerPool, map_isolated

def half(number):
    return number / 2

if __name__ == "__main__":
    with WorkerPool(1) as pool:
        print(*map_isolated(abs, [-1], workers=pool), *map_isolated(half, [3.0], workers=pool))
"""
    assert run_script(tmp_path / "guarded.py", guarded) == ["1", "1.5"]


def process_of(seconds):
    """The process that the item was worked on in."""
    time.sleep(seconds)
    return os.getpid()
