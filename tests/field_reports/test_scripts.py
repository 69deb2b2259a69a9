"""Field reports, item 35, and S2 of a new user's day: scripts without a guard, piped, in notebooks
and frozen; and what happens where disks are full or terminals know no Å.
"""

import os
import subprocess
import sys

import pytest

from ase_crysdiff.errors import WorkerError
from ase_crysdiff.isolation import map_isolated
from ase_crysdiff.testing.crystals import prototypes

SCORING = """
print("once")
from pymatgen.core import Lattice, Structure
from ase_crysdiff.campaigns.evaluation.pipeline import evaluate_structures
from pymatgen_ext import StructureSampler, evaluate
salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.7), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
found = evaluate_structures([salt], "evaluation", potential="dao-p", reference=None)
print(found["funnel"][3]["stage"], found["funnel"][3]["count"])
print(evaluate([salt, salt * (2, 1, 1)], reference=None, workers=2)["uniqueness"].value)
how = {"steps": 3, "batch_size": 2, "workers": 2, "seed": 0}
print(len(StructureSampler("miad").sample(4, elements="Na-Cl", **how)))
"""
OWN_FUNCTION = """
from ase_crysdiff.isolation import map_isolated

def half(number):
    return number / 2

print(map_isolated(half, [1.0, 2.0], workers=1))
"""


def run(arguments, cwd, **more):
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=900, **more
    )


@pytest.mark.parametrize("piped", [False, True])
def test_a_script_without_a_guard_scores_and_samples(piped, tmp_path):
    """Its body ran seven times, and a full report of zeros came out, exit code 0."""
    (tmp_path / "plain.py").write_text(SCORING)
    done = run(["-"], tmp_path, input=SCORING) if piped else run([tmp_path / "plain.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["once", "Relaxed 1", "0.5", "4"]


@pytest.mark.parametrize("piped", [False, True])
def test_what_cannot_begin_is_an_error_and_no_verdict(piped, tmp_path):
    """Processes that need a function of an unguarded script die before they have it."""
    (tmp_path / "plain.py").write_text(OWN_FUNCTION)
    done = (
        run(["-"], tmp_path, input=OWN_FUNCTION)
        if piped
        else run([tmp_path / "plain.py"], tmp_path)
    )
    assert done.returncode != 0
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert "WorkerError" in last
    assert '__name__ == "__main__"' in last


class Unreadable:
    """What no other process can make of its message."""

    def __reduce__(self):
        return os._exit, (3,)


def test_a_process_that_dies_of_its_message_is_no_verdict_on_what_is_in_it():
    with pytest.raises(WorkerError, match=r"exit code 3.*workers=0"):
        map_isolated(abs, [Unreadable()], workers=1)


def test_frozen_programs_are_told_before_they_start_themselves_for_ever(monkeypatch):
    """As in the child of a program that does not call freeze_support."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "argv", ["program", "--multiprocessing-fork", "pipe_handle=7"])
    with pytest.raises(WorkerError, match="freeze_support"):
        map_isolated(abs, [-1], workers=1)


@pytest.fixture
def folder(tmp_path):
    files = tmp_path / "cifs"
    files.mkdir()
    for name in ("NaCl", "MgO"):
        if name in prototypes():
            prototypes()[name].to(filename=str(files / f"{name}.cif"))
    return tmp_path


RELAX = ["-m", "ase_crysdiff.cli", "relax", "cifs", "--steps", "2", "-o"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits file sizes")
def test_a_full_disk_is_said_in_a_line_and_the_run_goes_on(folder):
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, resource.RLIM_INFINITY))

    full = run([*RELAX, "full"], folder, preexec_fn=limit)
    assert full.returncode == 1
    assert "give the same command again" in full.stderr.splitlines()[-1]
    assert "Traceback" not in full.stderr
    assert run([*RELAX, "full"], folder).returncode == run([*RELAX, "free"], folder).returncode == 0
    names = sorted(p.name for p in (folder / "free").iterdir())
    assert sorted(p.name for p in (folder / "full").iterdir()) == names
    for name in names:
        assert (folder / "full" / name).read_bytes() == (folder / "free" / name).read_bytes()


def test_a_terminal_without_letters_costs_nothing(folder):
    done = run([*RELAX, "out"], folder, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "eV/?" in done.stdout
