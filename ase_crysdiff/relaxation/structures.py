"""`relax`: structures down to the next minimum, many at once."""

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Any

from ase import Atoms
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import entries_of
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.isolation import Workers, computes_here, workers_of
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.progress import tqdm
from ase_crysdiff.relaxation.batched import configurations, iter_relax
from ase_crysdiff.relaxation.engine import MAX_ATOMS, check_options
from ase_crysdiff.relaxation.grouped import groups, iter_groups
from ase_crysdiff.relaxation.relax_set import RelaxSet
from ase_crysdiff.relaxation.settings import FMAX, STEPS, SYMPREC
from ase_crysdiff.relaxation.snapping import Snapping
from ase_crysdiff.relaxation.symmetric import kept_symmetry

__all__ = ["configurations", "iter_relax", "relax"]

#: A group holds at most so many crystals and atoms. In smaller ones the last to converge are more
#: often alone in a batch; larger ones leave workers idle.
GROUP = 128, 1536


@own_state()
def relax(
    structures: Structure | Atoms | Iterable[Any],
    potential: PotentialLike = "dao-p",
    *,
    fmax: float = FMAX,
    steps: int = STEPS,
    relax_cell: bool = True,
    symmetric: bool = False,
    symprec: float = SYMPREC,
    release: float | None = None,
    snap: bool = False,
    rerank: "PotentialLike | None" = None,
    seed: int = 0,
    optimizer: str = "lbfgs",
    progress: bool | None = None,
    max_atoms: int = MAX_ATOMS,
    workers: Workers = 0,
    executor: Executor | None = None,
) -> RelaxSet:
    """Relaxes structures in batches, each one by itself; one result per structure, in the given
    order or, with `rerank`, in that of a second potential.

    Crystals are computed in groups of similar size that depend on them alone, so results do not
    depend on who computes them.

    Atoms that are held stay: those under ASE's `FixAtoms`, `FixScaled`, `FixCartesian`,
    `FixedLine` and `FixedPlane`, and those whose site property `selective_dynamics` says so. Where
    the cell moves, they go with it. Magnetic moments, charges, tags, masses and `info` reach an ASE
    calculator as they were given.

    Args:
        structures: Ordered structures or ASE atoms, periodic along all axes. They are not changed.
            One that cannot be used is reported in its result, and the others are relaxed.
        potential: Name of a potential ("dao-p", "chgnet"), which runs on a GPU where there is one;
            a potential, or any ASE calculator.
        fmax: Converged when no atom and no row of the cell feels a larger force, eV/Å.
        steps: At most so many per structure.
        relax_cell: Whether the cell moves, too.
        symmetric: Whether crystals keep their symmetry. Each is first moved to where its space
            group wants it; one in which no symmetry is found relaxes without, and says so.
        symprec: With `symmetric`: tolerance at which the symmetry is found, Å.
        release: With `symmetric`: coordinates are moved at random by so many Å (0.03 is usual) from
            where the symmetric relaxation ended, and the crystal relaxes again without symmetry,
            with as many steps. It tells minima from saddles, which a symmetric relaxation never
            leaves; both relaxations go on to at most 0.01 eV/Å, as weak forces pull out of a
            saddle. None releases nothing.
        snap: Whether to look, after relaxing, for symmetry that a crystal nearly has, within
            tolerances of 0.1 to 0.5 Å: it relaxes again with that symmetry, and keeps it where its
            energy is then at most 1 meV/atom higher. `snapped` of a result is the tolerance.
        rerank: A second potential, by name, or any ASE calculator, that orders the relaxed crystals
            by its energies, as `RelaxSet.rank` does; None leaves them in the given order.
        seed: Of the random moves.
        optimizer: "lbfgs", "fire", or "lbfgs-ase", which takes the same steps as
            `ase.optimize.LBFGS` on a `FrechetCellFilter`.
        progress: Whether to show a progress bar; None shows one on a terminal.
        max_atoms: Atoms that are computed together; lower it if memory runs out. Groups grow with
            what is above the default, to fill a GPU.
        workers: Isolated processes that compute groups, of which each may die at the cost of one
            crystal; 0 computes in this one. A potential that is no name is pickled.
        executor: Any executor of `concurrent.futures`, such as that of a Dask client, whose
            workers compute groups instead.

    Raises:
        InputError: If an option makes no sense, or a potential cannot be sent to other processes.
        UnknownNameError: If there is no potential of that name.
        WorkerError: If processes cannot be started, or the executor is broken.
    """
    check_options(fmax, steps, optimizer, max_atoms)
    crew = workers_of(workers, executor)
    symmetry = kept_symmetry(symmetric, symprec, release, seed)
    snapping = Snapping.asked(snap, symmetric)
    given = entries_of(structures)
    resolved = as_potential(potential)
    judge = None if rerank is None else as_potential(rerank)  # refused before the work
    how: dict[str, Any] = {
        "fmax": fmax,
        "steps": steps,
        "relax_cell": relax_cell,
        "optimizer": optimizer,
        "max_atoms": max_atoms,
        "symmetry": symmetry,
        "snapping": snapping,
    }
    entries = dict(enumerate(given))
    scale = max(1, max_atoms // MAX_ATOMS)
    chosen = dict(enumerate(groups(entries, (GROUP[0] * scale, GROUP[1] * scale))))
    source = resolved if computes_here(crew) else potential
    bar = tqdm(
        iter_groups(chosen, entries, source, how, workers=crew),
        total=len(given),
        desc="relax",
        unit=" crystals",
        disable=None if progress is None else not progress,
    )
    results = dict(bar)
    ordered = (results[i] for i in range(len(given)))
    relaxed = RelaxSet(ordered, resolved.name, resolved.is_corrected)
    return relaxed if judge is None else relaxed.rank(judge)
