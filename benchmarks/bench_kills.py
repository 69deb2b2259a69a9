"""Long commands killed at random moments and given again: the files must be those of a run that was
never interrupted, byte for byte.

    python benchmarks/bench_kills.py sample relax label evaluate --kills 20 --crystals 24
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ase_crysdiff.testing.crystals import rattled

#: Files that say when and how long, or how a run came about; those of later runs differ.
CLOCKS = frozenset({"run.json", "report.html", "results.json"})
COMMANDS = {
    "sample": "sample miad -n {count} --seed 0 --steps 100 --batch-size 4 -o {out}",
    "relax": "relax crystals -o {out}",
    "label": "label crystals -o {out}/labels.npz --potential dao-p --workers 0",
    "evaluate": "evaluate crystals --potential dao-p --workers 0 -o {out}",
}


def start(command: str, out: str, count: int, folder: Path) -> subprocess.Popen[bytes]:
    """The command under way."""
    (folder / out).mkdir(exist_ok=True)
    words = COMMANDS[command].format(out=out, count=count).split()
    return subprocess.Popen(
        [sys.executable, "-m", "ase_crysdiff.cli", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """All files that must be alike."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name not in CLOCKS)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def measure(command: str, kills: int, count: int, folder: Path, rng: random.Random) -> str:
    """One line: how many of the resumed runs ended with the same files."""
    began = time.monotonic()
    whole = start(command, "whole", count, folder)
    if whole.wait():
        assert whole.stderr is not None
        raise SystemExit(f"{command}: {whole.stderr.read().decode()}")
    seconds = time.monotonic() - began
    expected, same, reached = contents(folder / "whole"), 0, 0
    for _ in range(kills):
        shutil.rmtree(folder / "killed", ignore_errors=True)
        run = start(command, "killed", count, folder)
        time.sleep(rng.uniform(0.2, 1.0) * seconds)
        reached += run.poll() is None
        run.send_signal(signal.SIGKILL)
        run.wait()
        if start(command, "killed", count, folder).wait() == 0:
            same += contents(folder / "killed") == expected
    return (
        f"{command}: {same} of {kills} resumed runs end with the same {len(expected)} files; "
        f"{reached} kills reached a run under way ({seconds:.0f} s when left alone)"
    )


def main() -> None:
    """Prints a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="+", choices=COMMANDS)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--crystals", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    for command in options.commands:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "crystals").mkdir()
            for i, structure in enumerate(rattled(options.crystals, deviation=0.05)):
                structure.to(filename=str(folder / "crystals" / f"{i:03d}.cif"))
            print(measure(command, options.kills, options.crystals, folder, rng), flush=True)


if __name__ == "__main__":
    main()
