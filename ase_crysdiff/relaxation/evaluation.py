"""A potential's answer for a batch in which single sets may be unusable."""

from collections.abc import Collection

import torch

from ase_crysdiff.constants import GATE_DISTANCE, GATE_VOLUME
from ase_crysdiff.errors import CrysDiffError
from ase_crysdiff.potentials.base import Configurations, Evaluation, Potential


def unfit(sets: Configurations, elements: Collection[int], relax_cell: bool) -> dict[int, str]:
    """Sets that must not reach a potential, by position, and why.

    Args:
        sets: Sets before or during a relaxation.
        elements: Atomic numbers that the potential knows.
        relax_cell: Whether cells are to move.
    """
    count, index = len(sets), sets.index
    reasons: dict[int, str] = {}

    def note(is_bad: torch.Tensor, reason: str) -> None:
        for i in torch.nonzero(is_bad).flatten().tolist():
            reasons.setdefault(i, reason)

    atom_is_lost = (~torch.isfinite(sets.positions)).any(-1)
    lost = torch.zeros(count, dtype=torch.bool, device=index.device).index_put((index[atom_is_lost],), torch.tensor(True))
    lost |= ~torch.isfinite(sets.cells).flatten(1).all(-1)
    periodic = sets.periodic.all(-1)
    note(sets.num_atoms == 0, "no atoms")
    note(lost, "a position or the cell is not finite")
    if relax_cell:
        note(~periodic, "a cell can be relaxed only if it is periodic along all three axes")
    # A cell without volume has no inverse; its spacing is zero by definition.
    safe = torch.where((lost | ~periodic)[:, None, None], torch.eye(3, dtype=sets.cells.dtype, device=index.device), sets.cells)
    volumes = torch.linalg.det(safe).abs()
    note(volumes < GATE_VOLUME, f"the volume of the cell is below {GATE_VOLUME} Å³")
    safe = torch.where((volumes < GATE_VOLUME)[:, None, None], torch.eye(3, dtype=safe.dtype, device=index.device), safe)
    spacings = 1 / torch.linalg.vector_norm(torch.linalg.inv(safe), dim=-2)
    note(spacings.amin(-1) < GATE_DISTANCE, f"the cell is thinner than {GATE_DISTANCE} Å")
    known = torch.tensor(sorted(elements), device=index.device)
    for i in index[~torch.isin(sets.species, known)].tolist():
        strange = sorted(set(sets.select([i]).species.tolist()) - set(elements))
        reasons.setdefault(i, f"the potential does not know the atomic numbers {strange}")
    return reasons


def evaluate_each(potential: Potential, sets: Configurations, skip: Collection[int] = ()) -> tuple[Evaluation, dict[int, str]]:
    """The potential's answer in float64, NaN for sets that are skipped or that it refuses; and why it refused them.

    If the potential refuses a batch, its halves are tried, until what it refuses stands alone.
    """
    dtype, device = sets.positions.dtype, sets.positions.device
    atoms, count = len(sets.positions), len(sets)
    nan = float("nan")
    energies = torch.full((atoms,), nan, dtype=dtype, device=device)
    energy = torch.full((count,), nan, dtype=dtype, device=device)
    forces = torch.full((atoms, 3), nan, dtype=dtype, device=device)
    stress = torch.full((count, 3, 3), nan, dtype=dtype, device=device)
    reasons: dict[int, str] = {}

    def fill(chosen: list[int]) -> None:
        part = sets if len(chosen) == count else sets.select(chosen)
        try:
            found = potential.evaluate(part.to(potential.device, potential.dtype))
        # What a potential says of bad input. Errors of other kinds are bugs, and must be seen.
        except (CrysDiffError, ValueError, ArithmeticError, RuntimeError) as error:
            if len(chosen) == 1:
                reasons[chosen[0]] = f"{potential.name}: {error}"
                return
            fill(chosen[: len(chosen) // 2])
            fill(chosen[len(chosen) // 2 :])
            return
        at = torch.tensor(chosen, device=device)
        rows = torch.isin(sets.index, at)
        energy[at], stress[at] = found.energy.to(dtype), found.stress.to(dtype)
        energies[rows], forces[rows] = found.energies.to(dtype), found.forces.to(dtype)

    usable = [i for i in range(count) if i not in skip]
    if usable:
        fill(usable)
    return Evaluation(energies, energy, forces, stress), reasons
