"""Long commands killed at random moments and given again: the files must be those of a run that was
never interrupted, byte for byte.

    python benchmarks/bench_kills.py sample relax label curate train evaluate finetune discover \
        --kills 20
"""

import argparse
import csv
import json
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

from ase_crysdiff.data.packing import pack
from ase_crysdiff.testing.crystals import rattled

#: Files that say when and how long, or how a run came about; those of later runs differ.
CLOCKS = frozenset(
    {"run.json", "report.html", "results.json", "card.json", "log.jsonl", "candidates.db"}
)
HULL = files("ase_crysdiff") / "resources" / "open-hull.csv.gz"
SMALL = '{"encoder": {"hidden": 32, "layers": 2}}'
COMMANDS = {
    "sample": "sample miad -n COUNT --seed 0 --steps 100 --batch-size 4 -o OUT",
    "relax": "relax crystals -o OUT",
    "label": "label crystals -o OUT/labels.npz --potential dao-p --workers 0",
    "curate": "curate crystals -o OUT --copies rattled,substituted --min-atoms 1 --workers 0 "
    f"--hull {HULL}",
    "train": "train miad --data packed.safetensors -o OUT --steps 60 --batch-size 8 "
    f"--config '{SMALL}' --checkpoint-every 5 --log-every 5",
    "evaluate": "evaluate crystals --potential dao-p --workers 0 -o OUT",
    "finetune": "finetune --data table.csv --target volume --unit A3 -o OUT --encoder crysldnet "
    "--epochs 8 --members 2",
    "discover": "discover Sr-Ti-O -n 4 --draws 128 --seed 0 -o OUT",
}


def prepare(folder: Path, count: int) -> None:
    """Crystals as files, packed, and in a table with their volumes."""
    crystals = folder / "crystals"
    crystals.mkdir()
    with (folder / "table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "cif", "volume"])
        for i, structure in enumerate(rattled(count, deviation=0.05)):
            structure.to(filename=str(crystals / f"{i:03d}.cif"))
            volume = structure.volume / len(structure)
            rows.writerow([i, structure.to(fmt="cif"), volume])
    pack([crystals], progress=False)[0].save(folder / "packed.safetensors")


def start(command: str, out: str, count: int, folder: Path) -> subprocess.Popen[bytes]:
    """The command under way."""
    (folder / out).mkdir(exist_ok=True)
    words = shlex.split(COMMANDS[command].replace("COUNT", str(count)).replace("OUT", out))
    return subprocess.Popen(
        [sys.executable, "-m", "ase_crysdiff.cli", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """All files that must be alike; of tensors without the notes before them, which tell time."""
    found = (p for p in folder.rglob("*") if p.is_file() and p.name not in CLOCKS)
    return {str(p.relative_to(folder)): _without_notes(p) for p in found}


def _without_notes(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".safetensors":
        return content
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header.pop("__metadata__", None)
    return json.dumps(header, sort_keys=True).encode() + content[end:]


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
        again = start(command, "killed", count, folder)
        assert again.stderr is not None
        said = again.stderr.read().decode()
        if again.wait():
            print(f"{command}: not resumed: {said}", file=sys.stderr)
            continue
        found = contents(folder / "killed")
        same += found == expected
        for name in sorted(expected.keys() | found.keys()):
            if found.get(name) != expected.get(name):
                print(f"{command}: {name} differs", file=sys.stderr)
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
            prepare(folder, options.crystals)
            print(measure(command, options.kills, options.crystals, folder, rng), flush=True)


if __name__ == "__main__":
    main()
