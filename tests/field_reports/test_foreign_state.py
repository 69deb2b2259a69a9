"""Field reports, items 36, 37 and 41, and U1 of a new user's day: what others have changed for the
whole process changes nothing here, and is as they left it afterwards.
"""

import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import spglib
import torch
from ase.build import bulk
from ase.calculators.emt import EMT
from pymatgen.core import Structure

from ase_crysdiff import foreign_state
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import callers_state, own_state, threads_for
from calculators import DAOPCalculator
from pymatgen_ext import StructurePredictor, StructureSampler, find_scaffold, relax


def salt():
    atoms = bulk("NaCl", "rocksalt", a=5.7)
    atoms.rattle(0.05, seed=0)
    return atoms


def everything(toy_miad):
    """What users ask for, loaded anew: numbers that must not depend on anything else."""
    atoms = salt()
    atoms.calc = DAOPCalculator()
    drawn = StructureSampler("miad", weights=str(toy_miad), device="cpu").sample(2, seed=3)
    return [
        relax(salt(), steps=5)[0].energy,
        atoms.get_potential_energy(),
        *atoms.get_stress(),
        *(s.volume for s in drawn),
        *StructurePredictor("band-gap").predict([salt()]),
        *StructurePredictor("formation-energy").predict([salt()]),
        find_scaffold(bulk("NaCl", "rocksalt", a=5.7)).space_group.number,
    ]


@pytest.fixture(scope="module")
def expected(toy_miad):
    return everything(toy_miad)


@contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)
        # Old versions stumble over the None that they leave behind.
        vars(torch._GLOBAL_DEVICE_CONTEXT).pop("device_context", None)


@contextmanager
def matmul_precision():
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextmanager
def strict_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.filterwarnings("ignore", module=r"ase\.")  # of the newest NumPy about ASE
        yield


STATES = {
    "double": lambda: default_dtype(torch.float64),
    "half": lambda: default_dtype(torch.bfloat16),
    "device": default_device,
    "inference": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "precision": matmul_precision,
    "errors": lambda: np.errstate(all="raise"),
    "warnings": strict_warnings,
}


def state():
    return (
        torch.get_default_dtype(),
        torch.empty(0).device,
        torch.get_num_threads(),
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_float32_matmul_precision(),
        tuple(np.geterr().items()),
    )


@pytest.mark.parametrize("name", STATES)
def test_what_others_have_changed_changes_nothing(name, toy_miad, expected):
    with STATES[name]():
        before = state()
        found = everything(toy_miad)
        assert state() == before
    assert found == expected


def test_random_numbers_are_neither_read_nor_drawn(toy_miad, expected):
    """Those of `random` are drawn from by what checks annotations in tests."""
    torch.manual_seed(5), np.random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    assert everything(toy_miad) == expected
    after = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1] == after[1]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_small_systems_are_computed_on_one_thread(two_threads):
    with own_state():
        assert torch.get_num_threads() == 1
        with own_state(), threads_for(10):
            assert torch.get_num_threads() == 1
        with threads_for(foreign_state.LARGE):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 1
    with own_state(one_thread=False):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 2


def test_the_callers_state_comes_back_after_an_error(two_threads):
    with default_dtype(torch.float64), pytest.raises(KeyError), own_state():
        raise KeyError
    assert torch.get_num_threads() == 2
    with default_dtype(torch.float64), own_state():
        with pytest.raises(KeyError), callers_state():
            raise KeyError(torch.get_default_dtype())
        assert (torch.get_default_dtype(), torch.get_num_threads()) == (torch.float32, 1)


class Witness(EMT):
    """An engine that was made in double precision and on two threads, and wants to find them."""

    def calculate(self, *arguments):
        self.seen = torch.get_default_dtype(), torch.get_num_threads()
        super().calculate(*arguments)


def test_calculators_of_others_compute_in_the_state_of_their_user(two_threads):
    engine = Witness()
    with default_dtype(torch.float64):
        relax(bulk("Cu", "fcc", a=3.7), engine)
    assert engine.seen == (torch.float64, 2)


def test_threads_of_a_program_do_not_undo_each_other(two_threads):
    """The last to leave gives back what the first has found."""
    inside, leave, seen = threading.Event(), threading.Event(), []

    def late():
        with own_state():
            inside.set()
            leave.wait(60)
            seen.append(torch.get_default_dtype())

    with default_dtype(torch.float64):
        with own_state():
            other = threading.Thread(target=late)
            other.start()
            inside.wait(60)
        leave.set()
        other.join(60)
        assert torch.get_default_dtype() == torch.float64
    assert seen == [torch.float32]


FORK = """
import multiprocessing, torch
from ase.build import bulk
from calculators import DAOPCalculator

torch.set_num_threads(2)
a = torch.ones(400, 400) @ torch.ones(400, 400)

def energy(a):
    atoms = bulk("NaCl", "rocksalt", a=a)
    atoms.calc = DAOPCalculator()
    return atoms.get_potential_energy()

here = energy(5.6)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map_async(energy, [5.6, 5.7]).get(240)[0] == here, torch.get_num_threads())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not fork by default")
def test_forked_children_do_not_hang():
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == ["True", "2"]


def test_devices_that_torch_does_not_know():
    with pytest.raises(ValueError, match=r"'gpu' cannot be used \(torch knows no device"):
        StructurePredictor("band-gap", device="gpu").predict([salt()])


def test_spglib_does_not_write_to_the_terminal(monkeypatch, capfd):
    """In none of these does it find a symmetry at that tolerance."""
    draw = np.random.default_rng(0)
    cells = []
    for _ in range(40):
        places = np.round(draw.random((8, 3)) * 4) / 4 + draw.normal(0, 0.02, (8, 3))
        cells.append((np.eye(3) * 4 + draw.normal(0, 1.0, (3, 3)), places, [1] * 8))

    def ask():
        for cell in cells:
            with suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                spglib.get_symmetry_dataset(cell, 1.0)
        return capfd.readouterr().err

    monkeypatch.delenv("SPGLIB_WARNING", raising=False)
    if not ask():
        pytest.skip("this spglib is silent anyway")
    with own_state():
        assert ask() == ""
    assert ask()


def test_spglib_that_was_asked_for_errors_finds_no_less(monkeypatch):
    """As phonopy asks it for the whole process, when it is imported."""
    monkeypatch.setattr(spglib.error, "OLD_ERROR_HANDLING", False, raising=False)
    monkeypatch.setenv("SPGLIB_OLD_ERROR_HANDLING", "false")
    absurd = Structure(np.diag([1e-12, 1e200, 1e-12]), ["Na"], [[0, 0, 0]])
    with pytest.raises(InputError):
        find_scaffold(absurd)
    assert find_scaffold(bulk("NaCl", "rocksalt", a=5.7)).group == 225
