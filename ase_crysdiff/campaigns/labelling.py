"""Labelling: energies, forces and stresses of crystals and of moved copies, for training
potentials.

Work is cut into pieces of crystals; each finished piece is a file beside the output, so that the
same call goes on where it was.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ase_crysdiff.campaigns.labels import LARGEST_FORCE, Oracle, archive, evaluated
from ase_crysdiff.crystal.convert import check_structure
from ase_crysdiff.data.packing import reason_of
from ase_crysdiff.data.perturbations import Crystal, Perturbation, variants
from ase_crysdiff.data.readers import read_all
from ase_crysdiff.errors import CheckpointError, CrysDiffError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.isolation import Failure, Workers, computes_here, run_isolated, workers_of
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.storage import Store, check_ending, write_bytes

#: The copies of every crystal.
DEFAULT = (
    Perturbation.UNPERTURBED,
    Perturbation.RATTLED,
    Perturbation.RATTLED,
    Perturbation.STRAINED,
    Perturbation.VOLUME,
    Perturbation.SUPERCELL,
    Perturbation.COMPRESSED_PAIR,
)
LARGEST_CELL = 40
#: Crystals of a piece.
_PIECE = 16
#: Seconds of processor time for one piece; some calculators take hours.
_PIECE_LIMIT = 24 * 3600.0


@dataclass(frozen=True)
class LabelReport:
    """What came out of labelling.

    Args:
        labels: Configurations in the archive; with none, no archive is written.
        pieces: Files that the work was cut into.
        found: Those of them that an earlier call had finished.
        refused: Name and reason of every crystal or copy that got no label.
    """

    labels: int
    pieces: int
    found: int
    refused: tuple[tuple[str, str], ...]

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Reasons of refusals and how often, the most frequent first."""
        return Counter(reason for _, reason in self.refused).most_common()


@dataclass(frozen=True)
class _Piece:
    """A file to write, and what it takes."""

    path: Path
    first: int
    crystals: Sequence[Crystal]
    kinds: Sequence[Perturbation]
    seed: int
    largest_force: float
    oracle: Oracle


@own_state()
def label(
    sources: Sequence[str | Path],
    output: str | Path,
    *,
    oracle: Oracle | str = "chgnet",
    perturbations: Sequence[Perturbation | str] = DEFAULT,
    max_atoms: int = LARGEST_CELL,
    max_force: float = LARGEST_FORCE,
    workers: Workers = 0,
    executor: Executor | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> LabelReport:
    """Labels crystals and copies of them, or what is missing of an earlier call, and joins the
    pieces to one archive.

    Args:
        sources: CSV tables with a `cif` column, CIF, POSCAR, extended XYZ, ASE databases, folders.
        output: Archive to write, such as `labels.npz`; pieces go to `labels.npz.parts` and stay
            there, so that the call can be repeated at no cost and is refused with other settings.
        oracle: What is asked; text is the name of a potential.
        perturbations: Copies of every crystal; one may be named several times.
        max_atoms: Larger cells are skipped.
        max_force: Configurations with larger forces are refused, eV/Å.
        workers: 0 computes here; n in as many processes, of which each may die.
        executor: Any executor of `concurrent.futures`, whose workers compute instead.
        seed: Of the copies.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If sources, perturbations or the oracle do not exist or the output does not end
            in .npz, before any work; or if the pieces were made with other settings or crystals,
            of which the message names each.
        CheckpointError: If the pieces were made by an older version.
        CrysDiffError: If pieces have failed, when all others are done.
        WorkerError: If processes cannot be started, or the executor is broken; what is done is
            kept.
    """
    from ase_crysdiff.progress import tqdm

    kinds = [
        Perturbation.parse(k) if isinstance(k, str) else Perturbation(k) for k in perturbations
    ]
    crew = workers_of(workers, executor)
    output = Path(output)
    check_ending(output, (".npz",))
    oracle = Oracle(oracle) if isinstance(oracle, str) else oracle
    _loaded(oracle)  # before any work: does it exist?
    crystals, skipped = read_crystals([Path(source) for source in sources], max_atoms)
    settings = {
        "oracle": oracle.calculator or oracle.potential,
        "perturbations": [kind.word for kind in kinds],
        "max_force": max_force,
        "seed": seed,
        "inputs": digest(crystals),
    }
    store = _store(output.with_name(output.name + ".parts"), settings)
    pieces = [
        _Piece(
            store.file(f"part-{i:07d}", ".npz"),
            i,
            crystals[i : i + _PIECE],
            kinds,
            seed,
            max_force,
            oracle,
        )
        for i in range(0, len(crystals), _PIECE)
    ]
    missing = [piece for piece in pieces if not piece.path.exists()]
    found = len(pieces) - len(missing)
    with tqdm(
        total=len(pieces),
        initial=found,
        desc="label",
        unit=" pieces",
        disable=None if progress is None else not progress,
    ) as bar:
        for _ in _all(missing, crew):
            bar.update()
    count, refused = _join([piece.path for piece in pieces], output)
    return LabelReport(count, len(pieces), found, (*skipped, *refused))


def read_crystals(
    sources: Sequence[Path], max_atoms: int
) -> tuple[list[Crystal], list[tuple[str, str]]]:
    """Crystals of files, and name and reason of what could not be used.

    Args:
        sources: Files and folders.
        max_atoms: Larger cells are not used.

    Raises:
        InputError: If a source does not exist or its format is not known.
    """
    crystals, skipped = [], []
    for record in read_all(sources):
        try:
            structure = record.load()
            check_structure(structure)
        except Exception as error:  # one bad structure costs only itself
            skipped.append((record.name, reason_of(error)))
            continue
        if len(structure) > max_atoms:
            skipped.append((record.name, f"more than {max_atoms} atoms"))
            continue
        species = np.array(structure.atomic_numbers, dtype=np.int64)
        lattice = structure.lattice.matrix.copy()
        crystals.append(Crystal(record.name, lattice, structure.frac_coords % 1, species))
    return crystals, skipped


def digest(crystals: Sequence[Crystal]) -> str:
    """The first digits of SHA-256 over names, cells, places and elements: names the input.

    Args:
        crystals: In order.
    """
    found = hashlib.sha256()
    for crystal in crystals:
        found.update(crystal.name.encode())
        for part in (crystal.lattice.round(6), crystal.frac_coords.round(6), crystal.species):
            found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()[:16]


def _store(folder: Path, settings: Mapping[str, Any]) -> Store:
    """The folder of pieces, or refuses one that was made for something else."""
    if any(folder.glob("part-*.npz")) and not Store.record(folder):
        raise CheckpointError(
            f"{folder} holds pieces of an older version, which numbered perturbations otherwise. "
            "Give another output, or remove the folder."
        )
    return Store(folder, settings)


def _all(pieces: Sequence[_Piece], workers: Workers) -> Iterator[None]:
    """Works on all pieces; with several processes the death of one costs nothing but time."""
    if computes_here(workers):
        for piece in pieces:
            write_bytes(piece.path, _work(piece))
            yield
        return
    failed = []
    for number, _, result in run_isolated(
        _work_apart, [[piece] for piece in pieces], workers=workers, timeout=_PIECE_LIMIT
    ):
        if isinstance(result, Failure):
            failed.append(f"{pieces[number].path.name}: {result.reason}")
        else:  # written here: workers may be on machines that do not see the folder
            write_bytes(pieces[number].path, result)
        yield
    if failed:
        raise CrysDiffError(
            f"{len(failed)} of {len(pieces)} pieces failed ({failed[0]}). The others are kept: "
            "give the same command again, with --workers 0 to see where it fails."
        )


def _work_apart(piece: _Piece) -> bytes:
    """Works on a piece in one of several processes, each of which computes on one thread."""
    import torch

    torch.set_num_threads(1)
    return _work(piece)


@lru_cache(maxsize=1)
def _loaded(oracle: Oracle) -> Potential:
    return oracle.load()


def _work(piece: _Piece) -> bytes:
    """Labels a piece; the content of its file."""
    made = []
    for number, crystal in enumerate(piece.crystals, piece.first):
        made += variants(crystal, piece.kinds, np.random.default_rng([piece.seed, number]))
    labels, refused = evaluated(made, _loaded(piece.oracle), piece.largest_force)
    content: dict[str, Any] = archive(labels)
    content["refused"] = np.array([f"{name}\t{reason}" for name, reason in refused], dtype=np.str_)
    file = BytesIO()
    np.savez(file, **content)
    return file.getvalue()


def _join(paths: Sequence[Path], output: Path) -> tuple[int, list[tuple[str, str]]]:
    """Writes one archive of all pieces, if there is a label.

    Returns:
        How many labels there are, and name and reason of what was refused.
    """
    pieces = [np.load(path) for path in paths]
    refused = []
    for piece in pieces:
        for line in piece["refused"]:
            name, _, reason = str(line).partition("\t")
            refused.append((name, reason))
    names = [name for name in (pieces[0].files if pieces else []) if name != "refused"]
    count = sum(len(piece["kind"]) for piece in pieces)
    if count:
        content: dict[str, Any] = {
            name: np.concatenate([piece[name] for piece in pieces]) for name in names
        }
        file = BytesIO()
        np.savez_compressed(file, **content)
        write_bytes(output, file.getvalue())
    return count, refused
