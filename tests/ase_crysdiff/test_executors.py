"""Any executor computes what this process computes; what it loses costs nothing, or only itself."""

import pickle
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from misbehaviour import misbehave

from ase_crysdiff.errors import InputError, MissingExtraError, WorkerError
from ase_crysdiff.isolation import (
    Failure,
    WorkerPool,
    computes_here,
    dask_executor,
    executors,
    map_isolated,
    opened,
    run_isolated,
    workers_of,
)

CHUNKS = [[1, 2], [3, "raise", 4], [], [5]]
EXPECTED = {
    (0, 0): 1,
    (0, 1): 2,
    (1, 0): 3,
    (1, 1): Failure("ValueError: no number"),
    (1, 2): 4,
    (3, 0): 5,
}


class Unsteady(ThreadPoolExecutor):
    """An executor that loses calls: those with a word among their items, so many times each.

    Args:
        loses: How often calls with each word are lost.
        error: What such a call ends with; None cancels it.
        breaks: Calls after which it takes no more.
    """

    def __init__(self, loses=(), error=RuntimeError, breaks=10**9):
        super().__init__(2)
        self.loses, self.error, self.breaks = dict(loses), error, breaks
        self.calls, self.under_way, self.most = [], 0, 0

    def submit(self, function, /, *arguments):
        _, items = pickle.loads(arguments[0])  # noqa: S301
        self.calls.append(list(items))
        if len(self.calls) > self.breaks:
            raise RuntimeError("cannot schedule new futures after shutdown")
        lost = [word for word in self.loses if word in items and self.loses[word]]
        if not lost:
            future = super().submit(function, *arguments)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            future.add_done_callback(self._done)
            return future
        self.loses[lost[0]] -= 1
        future = Future()
        if self.error is None:
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_exception(self.error("the node is gone"))
        return future

    def _done(self, future):
        self.under_way -= 1


def answers(executor, chunks=CHUNKS, function=misbehave):
    found = list(run_isolated(function, chunks, workers=executor, timeout=5.0))
    assert len({entry[:2] for entry in found}) == len(found)
    return {(chunk, item): result for chunk, item, result in found}


def test_threads_give_what_this_process_gives():
    with ThreadPoolExecutor(2) as executor:
        assert answers(executor) == EXPECTED == answers(0)
        assert map_isolated(misbehave, list(range(40)), workers=executor) == list(range(40))


def test_objects_are_copies_that_a_chunk_shares():
    shared = [0]
    with ThreadPoolExecutor(1) as executor:
        assert map_isolated(grown, [[shared, shared]], workers=executor, chunked=True) == [1, 2]
    assert shared == [0]


def test_workers_compute_on_one_thread_and_get_their_state_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(1) as executor:
            executor.submit(torch.set_default_dtype, torch.float64).result()
            assert map_isolated(state_of, [0], workers=executor) == [(1, torch.float32)]
            assert executor.submit(state_of, 0).result() == (2, torch.float64)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(before)


def test_threads_of_one_process_take_turns():
    with ThreadPoolExecutor(4) as executor:
        found = map_isolated(alone, [[k] for k in range(4)], workers=executor, chunked=True)
    assert found == [1] * 4


@pytest.mark.parametrize("error", [RuntimeError, None], ids=["raises", "cancelled"])
def test_what_is_lost_once_is_asked_for_again(error):
    with Unsteady({2: 1, 5: 1}, error) as executor:
        assert answers(executor) == EXPECTED
    assert sorted(map(len, executor.calls)) == [1, 1, 2, 2, 3]


def test_what_is_lost_again_and_again_costs_itself_alone():
    with Unsteady({3: 99}) as executor:
        found = answers(executor)
    assert found == {**EXPECTED, (1, 0): Failure("its worker ended (RuntimeError)")}
    # The chunk twice, the item among others, and alone after everything else.
    assert executor.calls[-1] == [3]
    assert executor.calls.count([3]) == 2
    assert executor.calls.count([3, "raise", 4]) == 2


def test_nobody_is_blamed_for_what_a_neighbour_does():
    with Unsteady({4: 3}) as executor:  # lost with its chunk, twice, and once more
        assert answers(executor) == EXPECTED


def test_a_broken_executor_gives_what_came_back_and_says_so():
    found = []
    with Unsteady(breaks=2) as executor:
        answered = run_isolated(misbehave, [[k] for k in range(9)], workers=executor, timeout=5.0)
        with pytest.raises(WorkerError, match=r"takes no more work.*the same call again.*goes on"):
            found += (result for *_, result in answered)
    assert sorted(found) == [0, 1]


def test_an_executor_that_can_do_nothing_is_no_verdict_on_items():
    with Unsteady({1: 99, -1: 99}) as executor, pytest.raises(WorkerError, match="no more work"):
        map_isolated(misbehave, [1], workers=executor)


@pytest.mark.parametrize("error", [ModuleNotFoundError, AttributeError, pickle.UnpicklingError])
def test_workers_that_lack_something_are_told_from_workers_that_die(error):
    with (
        Unsteady({1: 99}, error) as executor,
        pytest.raises(WorkerError, match=r"cannot do what they are asked.*need this version"),
    ):
        map_isolated(misbehave, [1], workers=executor)


def test_what_cannot_be_sent_is_refused():
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(InputError, match=r"cannot be sent.*by name, or objects that can be"):
            map_isolated(misbehave, [threading.Lock()], workers=executor)
        assert map_isolated(type, [1], workers=executor) == [int]
        (found,) = map_isolated(unsendable, [1], workers=executor)
    assert found.reason.startswith("its result cannot be sent")


def test_few_chunks_are_under_way(monkeypatch):
    monkeypatch.setattr(executors, "IN_FLIGHT", (3, 1))
    with Unsteady() as executor:
        assert len(answers(executor, [[k] for k in range(20)])) == 20
    assert executor.most <= 3


def test_what_is_no_longer_wanted_is_cancelled():
    with Unsteady() as executor:
        found = run_isolated(
            misbehave, [["wait"] for _ in range(20)], workers=executor, timeout=5.0
        )
        start = time.monotonic()
        assert next(found)[2] == "wait"
        found.close()
    assert time.monotonic() - start < 15  # not the 30 s of all


@pytest.mark.slow
def test_a_process_that_dies_breaks_its_pool_and_only_that():
    """A pool of processes does not outlive the death of one; a new one goes on."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        assert answers(executor) == EXPECTED
        with pytest.raises(WorkerError, match="BrokenProcessPool"):
            answers(executor, [[1, "die", 2]])
    with pytest.raises(WorkerError, match="no more work"):
        answers(executor)


def test_who_computes_is_one_thing():
    with ThreadPoolExecutor(1) as executor, WorkerPool(0) as nobody:
        assert workers_of() == 0
        assert workers_of(2) == 2
        assert workers_of(executor=executor) is workers_of(executor) is executor
        assert workers_of(nobody) is nobody
        assert [computes_here(w) for w in (0, nobody, 1, executor)] == [True, True, False, False]
        with opened(executor) as same, opened(0) as none, opened(2) as pool:
            assert (same, none) == (executor, 0)
            assert len(pool.workers) == 2
        for workers in (2, nobody):
            with pytest.raises(InputError, match="exclude each other"):
                workers_of(workers, executor)
    with pytest.raises(InputError, match=r"get_executor\(\) of a Dask client, got str"):
        workers_of(0, "tcp://10.0.0.1:8786")
    with pytest.raises(InputError, match="workers must be a whole number"):
        workers_of(-1)


def test_a_cluster_without_dask_says_what_to_install():
    try:
        import distributed  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"pip install 'ase-crysdiff\[distributed\]'"):
            dask_executor("local").__enter__()
        return
    with pytest.raises(InputError, match=r"scheduler file, or as local or local:4, got 'nowhere'"):
        dask_executor("nowhere").__enter__()
    with pytest.raises(InputError, match="at least one process"):
        dask_executor("local:0").__enter__()


def grown(numbers):
    numbers[0] += 1
    return numbers[0]


def state_of(_):
    return torch.get_num_threads(), torch.get_default_dtype()


_inside = []


def alone(_):
    _inside.append(1)
    time.sleep(0.05)
    count = len(_inside)
    _inside.pop()
    return count


def unsendable(_):
    return threading.Lock()
