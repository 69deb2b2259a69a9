"""Relaxing the crystals of files into a folder; called again after an interruption, it goes on
where it was.
"""

import hashlib
import logging
import math
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.isolation import Workers, computes_here, opened, workers_of
from ase_crysdiff.relaxation.settings import FMAX, STEPS, SYMPREC

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.data.folder import CrystalFolder
    from ase_crysdiff.potentials.loading import PotentialLike
    from ase_crysdiff.relaxation.symmetric import KeptSymmetry

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RelaxOptions:
    """Options of `relax_files`.

    Args:
        output: folder for the results
        potential: dao-p or chgnet
        fmax: largest force that may remain, eV/Å
        steps: steps at most for each structure
        fixed_cell: move the atoms only
        symmetric: keep the symmetry of each crystal, which is refined first
        symprec: with --symmetric: tolerance at which the symmetry is found, Å
        release: with --symmetric: move the atoms by so many Å afterwards (0.03 is usual) and relax
            again without symmetry, which tells minima from saddles
        snap: look for symmetry that a relaxed crystal nearly has, within growing tolerances, and
            keep it where the energy is no higher
        seed: of the moves of --release
        optimizer: lbfgs, fire, or lbfgs-ase with the steps of ASE's LBFGS
        max_atoms: atoms computed together; lower it if memory runs out
        part: such as 3/10: only the third of ten parts, for job arrays; crysdiff merge joins them
    """

    output: Path = Path("relaxed")
    potential: str = "dao-p"
    fmax: float = FMAX
    steps: int = STEPS
    fixed_cell: bool = False
    symmetric: bool = False
    symprec: float = SYMPREC
    release: float | None = None
    snap: bool = False
    seed: int = 0
    optimizer: str = "lbfgs"
    max_atoms: int | None = None
    part: str | None = None

    @property
    def share(self) -> tuple[int, int]:
        """Number of the part, counted from 0, and how many parts there are.

        Raises:
            InputError: If it is not written so.
        """
        if self.part is None:
            return 0, 1
        found = re.fullmatch(r"(\d+)/(\d+)", self.part)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise InputError(
                f"part is written 3/10 for the third of ten parts, got {self.part!r}. The first of "
                "ten is 1/10."
            )
        return int(found[1]) - 1, int(found[2])

    @property
    def symmetry(self) -> "KeptSymmetry | None":
        """The symmetry that is kept; None if none is.

        Raises:
            InputError: If a number makes no sense, or a release has nothing to let go of.
        """
        from ase_crysdiff.relaxation.symmetric import kept_symmetry

        return kept_symmetry(self.symmetric, self.symprec, self.release, self.seed)


@dataclass(frozen=True)
class RelaxedFiles:
    """What became of the crystals of files.

    Args:
        structures: Relaxed, in the order of the files; their properties (`crysdiff_energy`,
            `crysdiff_fmax`, `crysdiff_steps`, `crysdiff_converged`, `crysdiff_accepted`,
            `crysdiff_remark`, ...) say how it went.
        failed: What could not be read or computed, and why, by position in the files.
        requested: How many crystals there are in the files, or in the part of them.
        potential: Name of the potential.
        output: The folder.
    """

    structures: "Sequence[Structure]"
    failed: Mapping[int, str]
    requested: int
    potential: str
    output: Path

    def table(self) -> str:
        """A row per relaxed crystal, with its energy, remaining force, steps and verdict."""
        from ase_crysdiff.relaxation.relaxed_table import relaxed_table

        return relaxed_table(self.structures)

    def __str__(self) -> str:
        from ase_crysdiff.data.writing import DOUBT
        from ase_crysdiff.relaxation.relaxed_table import outside_remark

        outside = sum(DOUBT in s.properties for s in self.structures)
        converged = sum(s.properties["crysdiff_converged"] for s in self.structures)
        accepted = sum(s.properties["crysdiff_accepted"] for s in self.structures)
        return (
            f"{len(self.structures)} of {self.requested} structures relaxed with "
            f"{self.potential}: {converged} converged, {accepted} accepted, {len(self.failed)} "
            f"failed{outside_remark(outside, self.potential)}"
        )


@own_state()
def relax_files(
    files: Sequence[Path],
    options: RelaxOptions,
    *,
    workers: Workers = 0,
    executor: Executor | None = None,
) -> RelaxedFiles:
    """Relaxes what is missing in the folder, then writes the common files there.

    The folder receives a CIF file for every crystal as soon as it is relaxed, and at the end
    `crystals.extxyz` and `table.csv` with all of them. Results do not depend on who computes them.

    Args:
        files: CIF, POSCAR, extended XYZ, ASE .db, CSV with a cif column, folders of those.
        options: How to relax, and where to.
        workers: Isolated processes, which may hang or die at the cost of one crystal; 0 relaxes in
            this one.
        executor: Any executor of `concurrent.futures`, whose workers relax instead.

    Raises:
        InputError: If an option makes no sense, a file does not exist, or the folder cannot be
            written or holds a run with other settings or other crystals.
        UnknownNameError: If there is no potential of that name.
        WorkerError: If processes cannot be started, or the executor is broken; what is done is
            kept.
    """
    from ase_crysdiff.data.folder import CrystalFolder
    from ase_crysdiff.data.writing import write
    from ase_crysdiff.potentials.loading import as_potential
    from ase_crysdiff.relaxation.engine import MAX_ATOMS, check_options
    from ase_crysdiff.relaxation.grouped import groups
    from ase_crysdiff.relaxation.snapping import Snapping
    from ase_crysdiff.storage import Store

    # Before the folder is touched: a refused call must not leave a run behind that the corrected
    # one then contradicts.
    pool = workers_of(workers, executor)
    max_atoms = MAX_ATOMS if options.max_atoms is None else options.max_atoms
    check_options(options.fmax, options.steps, options.optimizer, max_atoms)
    symmetry = options.symmetry
    number, parts = options.share
    structures, unreadable = _read(files)
    failed = {i: why for i, why in unreadable.items() if i % parts == number}
    members = groups(structures)[number::parts]
    wanted = [i for group in members for i in group]
    potential = as_potential(options.potential)
    choices: dict[str, Any] = {
        "fmax": options.fmax,
        "steps": options.steps,
        "relax_cell": not options.fixed_cell,
        "optimizer": options.optimizer,
    }
    kept: dict[str, Any] = {} if symmetry is None else {"symmetric": vars(symmetry)}
    snapping = Snapping.asked(options.snap, options.symmetric)
    kept |= {} if snapping is None else {"snap": True}
    settings = {"potential": potential.name, **choices, **kept, "inputs": _digest(structures)}
    how = {**choices, "max_atoms": max_atoms, "symmetry": symmetry, "snapping": snapping}
    folder = CrystalFolder(Store(options.output, settings))
    folder.ask([*wanted, *failed])
    there = sum(i in folder.done for i in wanted)
    if there:
        log.info("%d structures are already in %s", there, options.output)
    with opened(pool) as crew:
        source = potential if computes_here(crew) else options.potential
        failed |= _relax_missing(folder, members, structures, source, how, crew)
    done = [folder.done[i] for i in sorted(folder.done)]
    if done:
        write(done, {}, options.output / CrystalFolder.XYZ)
        write(done, {}, options.output / "table.csv")
    failures = dict(sorted(failed.items()))
    folder.store.note(failed=failures)
    requested = len(wanted) + len([i for i in failures if i in unreadable])
    return RelaxedFiles(done, failures, requested, potential.name, options.output)


def _relax_missing(
    folder: "CrystalFolder",
    members: Sequence[Sequence[int]],
    structures: "Mapping[int, Structure]",
    potential: "PotentialLike",
    how: Mapping[str, Any],
    workers: Workers,
) -> dict[int, str]:
    """Relaxes what the folder lacks into it; why the rest has no energy, by index.

    Whole groups are relaxed, so that a resumed run computes each crystal beside the same others:
    its last digits depend on them.
    """
    from ase_crysdiff.progress import tqdm
    from ase_crysdiff.relaxation.grouped import iter_groups

    failed: dict[int, str] = {}
    missing = (group for group in members if not folder.done.keys() >= set(group))
    todo = dict(enumerate(missing))
    found = iter_groups(todo, structures, potential, how, workers=workers)
    total = sum(map(len, todo.values()))
    for i, result in tqdm(found, total=total, desc="relax", unit=" crystals", disable=None):
        if result.structure is None or math.isnan(result.energy):  # nothing was computed
            failed[i] = f"{structures[i].properties['crysdiff_source']}: {result.reason}"
        elif i not in folder.done:
            folder.add([result.labelled(i)])
    return failed


def _read(files: Sequence[Path]) -> "tuple[dict[int, Structure], dict[int, str]]":
    """Structures by position in the input, and what could not be read."""
    from ase_crysdiff.crystal.cif.origin import plain_properties
    from ase_crysdiff.data.readers import read_all

    structures, unreadable = {}, {}
    for i, record in enumerate(read_all(files)):
        try:
            structure = record.load()
        except Exception as error:  # whatever a parser raises concerns this entry only
            unreadable[i] = f"{record.name}: unreadable ({error})"
            continue
        named = {"crysdiff_index": i, "crysdiff_source": record.name}
        structure.properties = {**plain_properties(structure.properties), **named}
        structures[i] = structure
    return structures, unreadable


def _digest(structures: "Mapping[int, Structure]") -> str:
    """Tells another input from the same one, so that a folder is not continued with it."""
    digest = hashlib.sha256()
    for i, structure in structures.items():
        digest.update(repr((i, structure.formula)).encode())
        digest.update(
            structure.lattice.matrix.round(8).tobytes() + structure.frac_coords.round(8).tobytes()
        )
    return digest.hexdigest()[:16]
