"""What may enter a training set: crystals of the sources and copies out of place, and those that a
benchmark holds.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.benchmark.targets import read_targets
from ase_crysdiff.campaigns.work import WorkItem, work
from ase_crysdiff.data.packing import prepare, reason_of
from ase_crysdiff.data.perturbations import MAKERS, Crystal, Perturbation, variants
from ase_crysdiff.data.readers import read_all
from ase_crysdiff.errors import InputError
from ase_crysdiff.isolation import Workers
from ase_crysdiff.metrics.matching import formula_key, match, reduced
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.progress import tqdm
from ase_crysdiff.storage import Store

_COLUMN = "e_above_hull"


@dataclass(frozen=True)
class Candidate:
    """A crystal that may enter a training set.

    Args:
        name: In its source; copies have that of their crystal.
        perturbation: How it came about, a word of `Perturbation`; "unperturbed" for a crystal of a
            source.
        structure: In its Niggli cell.
        energy_above_hull: As its source gives it, eV/atom; NaN if unknown.
    """

    name: str
    perturbation: str
    structure: Structure
    energy_above_hull: float


@dataclass(frozen=True)
class Loss:
    """A crystal that does not enter, and why."""

    name: str
    perturbation: str
    reason: str


def read_candidates(
    sources: Sequence[Path], min_atoms: int, max_atoms: int
) -> tuple[list[Candidate], list[Loss]]:
    """The crystals of the sources, one by one; what cannot be read or is too small or too large is
    a loss.

    Args:
        sources: Files and folders of crystals.
        min_atoms: Of the smallest cell.
        max_atoms: Of the largest cell.

    Raises:
        InputError: If a source does not exist or its kind is not known, or no crystal is left.
    """
    found: list[Candidate] = []
    lost: list[Loss] = []
    for record in tqdm(read_all(sources), desc="read", unit=" crystals", disable=None):
        try:
            structure = _prepared(record.load(), min_atoms, max_atoms)
        except Exception as error:  # whatever a parser raises concerns this entry only
            lost.append(Loss(record.name, Perturbation.UNPERTURBED.word, reason_of(error)))
            continue
        found.append(
            Candidate(
                record.name,
                Perturbation.UNPERTURBED.word,
                structure,
                record.values.get(_COLUMN, math.nan),
            )
        )
    if not found:
        raise InputError(
            f"No crystal of {', '.join(str(s) for s in sources)} can be used; the first: "
            f"{lost[:3]}."
        )
    return found, lost


def copies(
    candidates: Sequence[Candidate],
    perturbations: Sequence[str],
    seed: int,
    min_atoms: int,
    max_atoms: int,
) -> tuple[list[Candidate], list[Loss]]:
    """Every crystal perturbed in each kind; random numbers depend on the seed and its place only.

    Args:
        candidates: The crystals.
        perturbations: Their words.
        seed: Of the copies.
        min_atoms: Of the smallest cell.
        max_atoms: Of the largest cell.
    """
    made: list[Candidate] = []
    lost: list[Loss] = []
    if not perturbations:
        return made, lost
    kinds = [Perturbation.parse(word) for word in perturbations]
    for place, candidate in enumerate(
        tqdm(candidates, desc="copies", unit=" crystals", disable=None)
    ):
        s = candidate.structure
        crystal = Crystal(
            candidate.name,
            s.lattice.matrix.copy(),
            s.frac_coords % 1,
            np.array(s.atomic_numbers, dtype=np.int64),
        )
        for word, (_, copy) in zip(
            perturbations,
            variants(crystal, kinds, np.random.default_rng([seed, place])),
            strict=True,
        ):
            try:
                moved = Structure(Lattice(copy.lattice), copy.species, copy.frac_coords)
                made.append(
                    Candidate(
                        candidate.name, word, _prepared(moved, min_atoms, max_atoms), math.nan
                    )
                )
            except InputError as error:
                lost.append(Loss(candidate.name, word, reason_of(error)))
    return made, lost


def _prepared(structure: Structure, min_atoms: int, max_atoms: int) -> Structure:
    structure = prepare(structure, max_atoms)
    if len(structure) < min_atoms:
        raise InputError(f"fewer than {min_atoms} atoms")
    return structure


def check_copies(perturbations: Sequence[str]) -> None:
    """Refuses copies that nobody can make, and those that are none.

    Raises:
        InputError: If there are any.
    """
    known = [kind for kind in MAKERS if kind is not Perturbation.UNPERTURBED]
    unknown = []
    for word in perturbations:
        try:
            if Perturbation.parse(word) not in known:
                unknown.append(word)
        except InputError:
            unknown.append(word)
    if unknown:
        words = ", ".join(kind.word for kind in known)
        raise InputError(f"There are no copies {unknown}; known: {words}.")


def read_benchmarks(paths: Sequence[Path]) -> dict[str, Reference]:
    """The crystals that no training set may hold, by file.

    Raises:
        InputError: If a file holds an entry that is no ordered crystal: nobody could say whether it
            is in the training set.
    """
    return {path.name: Reference(list(read_targets(path, None).structures)) for path in paths}


def in_benchmarks(
    folder: Store,
    name: str,
    structures: Sequence[Structure],
    benchmarks: dict[str, Reference],
    workers: Workers,
    timeout: float,
) -> dict[int, str]:
    """Why structures may not be learnt from, by position: the file that holds the same crystal.

    Only crystals of a composition that a file holds are compared; a comparison that fails counts as
    a match, since a doubtful crystal must not enter.

    Args:
        folder: Of the run.
        name: Of the journal.
        structures: To be looked for.
        benchmarks: By file.
        workers: Processes or an executor.
        timeout: Seconds for one structure.
    """
    groups: dict[Hashable, list[WorkItem]] = defaultdict(list)
    for i, structure in enumerate(structures):
        key = formula_key(structure)
        known = {file: reference.candidates(key) for file, reference in benchmarks.items()}
        if any(known.values()):
            groups[key].append((str(i), (structure, known)))
    found, failed = work(
        folder, name, holder, list(groups.values()), workers=workers, timeout=timeout
    )
    held = {int(key): f"in {file}" for key, file in found.items() if file is not None}
    return held | {
        int(key): f"could not be compared with the benchmarks: {reason}"
        for key, reason in failed.items()
    }


def holder(task: tuple[Structure, dict[str, list[Structure]]]) -> str | None:
    """The first file with a crystal that matches a structure."""
    structure, known = task
    cell = reduced(structure)
    return next(
        (file for file, cells in known.items() if any(match(cell, other) for other in cells)), None
    )
