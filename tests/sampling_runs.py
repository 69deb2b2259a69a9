"""`crysdiff sample` with an untrained toy: its words, and what it leaves in a folder."""

import json
import os
import signal
import subprocess
import sys

from pymatgen.core import Structure


def sample_words(toy, folder, *more):
    """More words come last, so that they win over those here."""
    common = ["--num-atoms", "2", "--redraws", "30", "--device", "cpu", "--seed", "3"]
    return ["sample", "miad", "--weights", str(toy), "-o", str(folder), *common, *map(str, more)]


def journal(folder):
    entries = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    found = {e["index"]: Structure.from_dict(e["structure"]) for e in entries}
    assert len(found) == len(entries)  # nothing was drawn twice
    return found


def table(text):
    """The lines of the table: from its header to the report."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("formula"))
    end = next(i for i, line in enumerate(lines) if " crystals by miad" in line)
    return lines[start:end]


def crystal_files(folder):
    """Time and content of what drawing writes."""
    return {
        p.name: (p.stat().st_mtime_ns, p.read_bytes())
        for p in folder.iterdir()
        if p.suffix in (".cif", ".jsonl")
    }


def same_run(a, b):
    assert journal(a) == journal(b)
    assert (a / "crystals.extxyz").read_text() == (b / "crystals.extxyz").read_text()
    cifs = [{p.name: p.read_text() for p in folder.glob("*.cif")} for folder in (a, b)]
    assert cifs[0] == cifs[1]


def crysdiff(*words, cwd, **environment):
    """The command in a process of its own, in a folder that holds nothing of ours."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "ase_crysdiff.cli", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A test run in the background of a shell ignores SIGINT, and would hand that on.
    return subprocess.Popen(command, cwd=cwd, env=variables, preexec_fn=_heed_interrupts, **pipes)


def _heed_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
