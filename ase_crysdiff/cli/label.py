"""`crysdiff label`: energies, forces and stresses of crystals and of moved copies, for training
potentials.

Work is cut into pieces of crystals, each finished piece is a file beside the output; the same
command goes on where it was.
"""

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ase_crysdiff.errors import CheckpointError, CrysDiffError, InputError

if TYPE_CHECKING:
    from ase_crysdiff.data.perturbations import Crystal, Label
    from ase_crysdiff.potentials.base import Potential

_DEFAULT = "as-is,rattled,rattled,strained,volume,doubled,pressed"
_PIECE = 16
#: Seconds of processor time for one piece; some calculators take hours.
_PIECE_LIMIT = 24 * 3600.0

#: Name of a potential and, in place of it, of a calculator.
Oracle: TypeAlias = tuple[str, str | None]
#: File to write, number of the first crystal, crystals, ways, seed, largest force.
Task: TypeAlias = tuple[Path, int, list[Any], list[str], int, float]


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "sources",
        nargs="+",
        type=Path,
        help="CSV with a cif column, CIF, POSCAR, extended XYZ, .db, folders",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="archive to write, such as labels.npz"
    )
    parser.add_argument(
        "--potential", default="chgnet", help="name of a potential (default chgnet)"
    )
    parser.add_argument(
        "--calculator",
        metavar="MODULE:NAME",
        help="any ASE calculator instead, such as ase.calculators.emt:EMT",
    )
    parser.add_argument(
        "--ways",
        default=_DEFAULT,
        help=f"copies of a crystal (default {_DEFAULT}); also swapped, half-noised",
    )
    parser.add_argument("--max-atoms", type=int, default=40, help="skip larger cells (default 40)")
    parser.add_argument(
        "--max-force",
        type=float,
        default=60.0,
        help="refuse labels with larger forces, eV/Å (default 60)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the copies (default 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Labels what is missing, then joins the pieces and prints what was refused and why."""
    from tqdm import tqdm

    from ase_crysdiff.data.perturbations import WAYS
    from ase_crysdiff.storage import ensure_writable, write_text

    ways = options.ways.split(",")
    unknown = [way for way in ways if way not in WAYS]
    if unknown or options.workers < 1:
        raise InputError(
            f"There are no ways {unknown}; known: {', '.join(WAYS)}."
            if unknown
            else "--workers is at least 1."
        )
    oracle = options.calculator or options.potential
    _loaded((options.potential, options.calculator))  # before any work: does it exist?
    crystals, skipped = read(options.sources, options.max_atoms)
    folder = options.output.with_name(options.output.name + ".parts")
    ensure_writable(folder)
    settings = {
        "oracle": oracle,
        "ways": ways,
        "max_force": options.max_force,
        "seed": options.seed,
        "inputs": digest(crystals),
    }
    record = folder / "settings.json"
    if record.exists() and json.loads(record.read_text()) != settings:
        raise CheckpointError(
            f"{folder} was made with other settings or crystals. Give another output, or remove "
            "the folder."
        )
    write_text(record, json.dumps(settings))
    pieces = [(i, crystals[i : i + _PIECE]) for i in range(0, len(crystals), _PIECE)]
    tasks = [
        (folder / f"part-{i:07d}.npz", i, piece, ways, options.seed, options.max_force)
        for i, piece in pieces
    ]
    missing = [task for task in tasks if not task[0].exists()]
    if len(missing) < len(tasks):
        print(f"{len(tasks) - len(missing)} of {len(tasks)} pieces are already there")
    bar = tqdm(total=len(missing), desc="label", unit=" pieces", disable=None)
    with bar:
        for _ in _all(missing, options.workers, (options.potential, options.calculator)):
            bar.update()
    return join([task[0] for task in tasks], options.output, skipped)


def _all(tasks: Sequence[Task], workers: int, oracle: Oracle) -> Iterator[None]:
    """Works on all pieces; with several processes the death of one costs nothing but time.

    Raises:
        CrysDiffError: If pieces have failed, when all others are done.
    """
    from ase_crysdiff.isolation import Failure, run_isolated

    if workers == 1:
        for task in tasks:
            _work((oracle, task))
            yield
        return
    failed = []
    chunks = [[(oracle, task)] for task in tasks]
    for number, _, result in run_isolated(
        _work_apart, chunks, workers=workers, timeout=_PIECE_LIMIT
    ):
        if isinstance(result, Failure):
            failed.append(f"{tasks[number][0].name}: {result.reason}")
        yield
    if failed:
        raise CrysDiffError(
            f"{len(failed)} of {len(tasks)} pieces failed ({failed[0]}). The others are kept: give "
            "the same command again, "
            "with --workers 1 to see where it fails."
        )


def _work_apart(job: tuple[Oracle, Task]) -> None:
    """In one of several processes, each of which computes on one thread."""
    import torch

    torch.set_num_threads(1)
    _work(job)


def make_potential(name: str, calculator: str | None) -> "Potential":
    """The oracle.

    Raises:
        InputError: If the calculator cannot be made.
    """
    if calculator is None:
        from ase_crysdiff.potentials.loading import load_potential

        return load_potential(name)
    from ase_crysdiff.constants import GATE_DISTANCE
    from ase_crysdiff.potentials.from_calculator import CalculatorPotential

    module, _, attribute = calculator.partition(":")
    try:
        made = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{calculator!r} gives no ASE calculator ({error}). Write module:name of a class."
        ) from error
    return CalculatorPotential(made, min_distance=GATE_DISTANCE)


@lru_cache(maxsize=1)
def _loaded(oracle: Oracle) -> "Potential":
    return make_potential(*oracle)


def _work(job: tuple[Oracle, Task]) -> None:
    """Labels a piece and writes its file."""
    from ase_crysdiff.data.perturbations import label, variants

    oracle, (path, first, crystals, ways, seed, max_force) = job
    made = []
    for number, crystal in enumerate(crystals):
        made += variants(crystal, ways, np.random.default_rng([seed, first + number]))
    labels, refused = label(made, _loaded(oracle), max_force)
    temporary = path.with_name(path.name + ".part.npz")
    content: dict[str, Any] = arrays(labels)
    content["refused"] = np.array([f"{name}\t{reason}" for name, reason in refused], dtype=np.str_)
    np.savez(temporary, **content)
    temporary.replace(path)


def arrays(labels: Sequence["Label"]) -> dict[str, np.ndarray]:
    """Labels in the layout of an archive."""
    crystals = [found.crystal for found in labels]
    empty = np.zeros((0, 3))
    return {
        "material_id": np.array([c.name for c in crystals], dtype=np.str_),
        "kind": np.array([found.kind for found in labels], dtype=np.int8),
        "num_atoms": np.array([len(c.species) for c in crystals], dtype=np.int16),
        "lattice": np.array([c.lattice for c in crystals], dtype=np.float32).reshape(-1, 3, 3),
        "energy_per_atom": np.array([found.energy for found in labels], dtype=np.float32),
        "stress": np.array([found.stress for found in labels], dtype=np.float32).reshape(-1, 3, 3),
        "frac_coords": np.concatenate([empty, *(c.frac_coords for c in crystals)]).astype(
            np.float32
        ),
        "atomic_numbers": np.concatenate([np.zeros(0), *(c.species for c in crystals)]).astype(
            np.uint8
        ),
        "forces": np.concatenate([empty, *(found.forces for found in labels)]).astype(np.float32),
    }


def join(parts: Sequence[Path], output: Path, skipped: Sequence[tuple[str, str]]) -> int:
    """One archive of all pieces; prints what was refused."""
    pieces = [np.load(part) for part in parts]
    refused = [
        *skipped,
        *(tuple(str(line).split("\t", 1)) for piece in pieces for line in piece["refused"]),
    ]
    names = [name for name in (pieces[0].files if pieces else []) if name != "refused"]
    count = sum(len(piece["kind"]) for piece in pieces)
    if count:
        temporary = output.with_name(output.name + ".part.npz")
        content: dict[str, Any] = {
            name: np.concatenate([piece[name] for piece in pieces]) for name in names
        }
        np.savez_compressed(temporary, **content)
        temporary.replace(output)
        print(
            f"{output}: {count} labels; pack them with: crysdiff pack {output} -o "
            "labels.safetensors"
        )
    for reason, number in Counter(reason for _, reason in refused).most_common():
        print(f"  {number} refused: {reason}")
    return 0 if count else 1


def read(sources: Sequence[Path], max_atoms: int) -> tuple[list["Crystal"], list[tuple[str, str]]]:
    """Crystals of files, and what could not be used.

    Raises:
        InputError: If a source does not exist or its kind is not known.
    """
    from ase_crysdiff.crystal.convert import check_structure
    from ase_crysdiff.data.perturbations import Crystal
    from ase_crysdiff.data.readers import read_records

    crystals, skipped = [], []
    for source in sources:
        for record in read_records(source):
            try:
                structure = record.load()
                check_structure(structure)
            except Exception as error:
                skipped.append((record.name, f"unreadable: {type(error).__name__}"))
                continue
            if len(structure) > max_atoms:
                skipped.append((record.name, f"more than {max_atoms} atoms"))
                continue
            species = np.array(structure.atomic_numbers, dtype=np.int64)
            crystals.append(
                Crystal(
                    record.name, structure.lattice.matrix.copy(), structure.frac_coords % 1, species
                )
            )
    return crystals, skipped


def digest(crystals: Sequence["Crystal"]) -> str:
    """Names the input: a run must not go on with another one."""
    found = hashlib.sha256()
    for crystal in crystals:
        found.update(
            crystal.name.encode() + crystal.lattice.round(6).tobytes() + crystal.species.tobytes()
        )
    return found.hexdigest()[:16]
