"""Many systems relaxed together, each as if it were alone."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations, Potential
from ase_crysdiff.potentials.checks import problems
from ase_crysdiff.relaxation.base import Optimizer
from ase_crysdiff.relaxation.batch import Batch
from ase_crysdiff.relaxation.evaluation import averaged, evaluate_each, unusable, without
from ase_crysdiff.relaxation.fire import FIRE
from ase_crysdiff.relaxation.frechet import FrechetRows
from ase_crysdiff.relaxation.held import Held, Moves
from ase_crysdiff.relaxation.lbfgs import LBFGS
from ase_crysdiff.relaxation.outcomes import Outcome, outcomes, said_of
from ase_crysdiff.relaxation.settings import FMAX, STEPS
from ase_crysdiff.symmetry.averaging import Averaging
from ase_crysdiff.symmetry.operations import Operations

#: `lbfgs-ase` takes ASE's steps, where `lbfgs` takes fewer.
OPTIMIZERS: Mapping[str, Callable[[], Optimizer]] = {
    "lbfgs": LBFGS,
    "lbfgs-ase": partial(LBFGS, memory=100, curvature=70.0),
    "fire": FIRE,
}
#: Atoms of a batch: enough to fill a processor, and little memory for any potential.
MAX_ATOMS = 512


def relaxations(
    configurations: Configurations,
    potential: Potential,
    *,
    fmax: float = FMAX,
    steps: int = STEPS,
    relax_cell: bool = True,
    optimizer: str = "lbfgs",
    max_atoms: int = MAX_ATOMS,
    operations: Sequence[Operations] | None = None,
    moves: Moves | None = None,
) -> Iterator[tuple[int, Outcome]]:
    """Relaxes every system; gives (position, outcome) as soon as one is done, so in any order.

    Systems of about the same size share a batch. A system that converges, fails or runs out of
    steps leaves and the next one comes. What a system does depends on nothing but itself.

    Args:
        configurations: Where to start.
        potential: The energy surface.
        fmax: Converged when no atom and no row of the cell feels more, eV/Å (ASE's measure of
            `FrechetCellFilter`).
        steps: At most so many per system.
        relax_cell: Whether the cells move, which needs periodicity along all axes.
        optimizer: A key of `OPTIMIZERS`.
        max_atoms: Atoms of a batch; a larger system goes alone.
        operations: The symmetry that each system has at the start and keeps: forces and stresses
            are averaged over it, so no step leaves it. None keeps nothing.
        moves: For each system the moves that its atoms may make; forces along others count for
            nothing. None leaves all atoms free.

    Raises:
        InputError: If an option makes no sense, or there are not operations or moves for every
            system.
    """
    check_options(fmax, steps, optimizer, max_atoms)
    if operations is not None and [o.num_atoms for o in operations] != (
        configurations.num_atoms.tolist()
    ):
        raise InputError(
            "operations must permute the atoms of each system, got some for "
            f"{[o.num_atoms for o in operations]} atoms, where the systems have "
            f"{configurations.num_atoms.tolist()}."
        )
    sizes = configurations.num_atoms.tolist()
    if moves is not None and (
        len(moves) != len(sizes)
        or any(m is not None and len(m) != n for m, n in zip(moves, sizes, strict=True))
    ):
        raise InputError(f"moves must be those of systems of {sizes} atoms.")
    if not len(configurations):
        return iter(())
    return _relaxations(
        configurations.to(potential.device, torch.float64),
        potential,
        fmax,
        steps,
        relax_cell,
        OPTIMIZERS[optimizer](),
        max_atoms,
        operations,
        None if moves is None or all(m is None for m in moves) else moves,
    )


def check_options(fmax: float, steps: int, optimizer: str, max_atoms: int) -> None:
    """Refuses options of `relaxations` that make no sense.

    Raises:
        InputError: If there are any.
    """
    if optimizer not in OPTIMIZERS:
        raise InputError(f"optimizer must be one of {sorted(OPTIMIZERS)}, got {optimizer!r}.")
    if not 0 < fmax < float("inf"):
        raise InputError(f"fmax must be a positive force in eV/Å, got {fmax!r}.")
    if steps < 0:
        raise InputError(f"steps must be a number of at least 0, got {steps!r}.")
    if max_atoms < 1:
        raise InputError(f"max_atoms must be a number of at least 1, got {max_atoms!r}.")


def _relaxations(
    everything: Configurations,
    potential: Potential,
    fmax: float,
    steps: int,
    relax_cell: bool,
    method: Optimizer,
    max_atoms: int,
    operations: Sequence[Operations] | None,
    moves: Moves | None,
) -> Iterator[tuple[int, Outcome]]:
    refused = problems(everything, potential.elements, potential.name)
    if relax_cell:
        for i in torch.nonzero(~everything.periodic.all(-1)).flatten().tolist():
            refused.setdefault(
                i,
                "A cell can be relaxed only if it is periodic along all three axes; give "
                "relax_cell=False.",
            )
    for i, reason in refused.items():
        nan = float("nan")
        yield i, Outcome(everything.select([i]), nan, nan, nan, 0, converged=False, failure=reason)
    # Large ones first: systems of one size meet, and memory is highest at the start.
    sizes = everything.num_atoms.tolist()
    queue = deque(i for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]) if i not in refused)
    batch = Batch.start(everything, _next(queue, sizes, max_atoms))
    averaging, held = _averaging(batch, operations), _held(batch, moves)
    while len(batch):
        layout = FrechetRows(batch.first_cells, batch.systems.num_atoms, relax_cell)
        found = evaluate_each(potential, batch.systems)
        given_up = unusable(found, batch.systems, relax_cell, potential.name)
        usable = without(found, batch.systems, given_up)
        if averaging is not None:
            usable = averaged(usable, batch.systems, averaging)
        forces = layout.forces(batch.rows, batch.systems, usable)
        if held is not None:
            forces = held.allowed(forces)
        norms = torch.linalg.vector_norm(forces, dim=-1).amax(-1)
        is_sound = torch.ones_like(norms, dtype=torch.bool)
        is_sound[list(given_up)] = False
        batch = batch.evaluated(found.energy, norms, is_sound)
        is_done = ~is_sound | (norms < fmax) | (batch.steps >= steps)
        said = said_of(batch, is_done & is_sound, potential)
        yield from outcomes(batch, layout, is_done, found, norms, fmax, given_up, said)

        batch = batch.moved(
            method.step(batch.rows, torch.where(is_done[:, None, None], 0.0, forces)), layout
        )
        kept = torch.nonzero(~is_done).flatten()
        free = max_atoms - int(batch.systems.num_atoms[kept].sum())
        new = _next(queue, sizes, free, alone=len(kept) == 0)
        if new or len(kept) < len(batch):
            batch = batch.regroup(kept, Batch.start(everything, new) if new else None)
            method.rebatch(kept, len(new), batch.rows.shape[1])
            averaging, held = _averaging(batch, operations), _held(batch, moves)


def _held(batch: Batch, moves: Moves | None) -> Held | None:
    if moves is None:
        return None
    return Held([moves[i] for i in batch.ids.tolist()], batch.rows.shape[1], batch.rows)


def _averaging(batch: Batch, operations: Sequence[Operations] | None) -> Averaging | None:
    if operations is None:
        return None
    cells = batch.systems.cells
    return Averaging([operations[i] for i in batch.ids.tolist()], cells.device, cells.dtype)


def _next(queue: deque[int], sizes: list[int], free: int, alone: bool = True) -> list[int]:
    """Takes from the queue what fits into so many atoms; one at least if it would be alone."""
    chosen: list[int] = []
    while queue and (sizes[queue[0]] <= free or (alone and not chosen)):
        free -= sizes[queue[0]]
        chosen.append(queue.popleft())
    return chosen
