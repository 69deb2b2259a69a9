"""A potential's answer for a batch in which single systems may be unusable."""

from dataclasses import replace

import torch

from ase_crysdiff.errors import CrysDiffError
from ase_crysdiff.foreign_state import threads_for
from ase_crysdiff.potentials.base import Configurations, Evaluation, Potential
from ase_crysdiff.potentials.checks import problems
from ase_crysdiff.symmetry.averaging import Averaging


def evaluate_each(
    potential: Potential, systems: Configurations, derivatives: bool = True
) -> Evaluation:
    """The potential's answer in the format of the systems; one that it refuses or that is not
    finite is among the failures.

    If the potential refuses a batch, the systems that `checks` finds at fault are left out. If that
    does not help, halves are tried, until what it refuses stands alone.

    Args:
        potential: What is asked.
        systems: Of what.
        derivatives: Whether forces and stresses are wanted; they may be NaN otherwise.
    """
    ask = potential.evaluate if derivatives else potential.evaluate_energies
    like, count = systems.positions, len(systems)
    energies, forces = torch.full_like(like[:, 0], torch.nan), torch.full_like(like, torch.nan)
    energy, stress = (
        torch.full_like(systems.cells[:, 0, 0], torch.nan),
        torch.full_like(systems.cells, torch.nan),
    )
    failures: dict[int, str] = {}

    def fill(chosen: list[int]) -> None:
        part = systems if len(chosen) == count else systems.select(chosen)
        try:
            with threads_for(len(part.species)):
                found = ask(part.to(potential.device, potential.dtype))
        # What a potential says of bad input. Errors of other kinds are bugs, and must be seen.
        except (CrysDiffError, ValueError, ArithmeticError, RuntimeError) as error:
            at_fault = problems(part, potential.elements, potential.name)
            if len(chosen) == 1:
                failures[chosen[0]] = at_fault.get(0, f"{potential.name} failed: {error}")
            elif at_fault:
                failures.update({chosen[k]: reason for k, reason in at_fault.items()})
                sound = [i for k, i in enumerate(chosen) if k not in at_fault]
                if sound:
                    fill(sound)
            else:
                fill(chosen[: len(chosen) // 2])
                fill(chosen[len(chosen) // 2 :])
            return
        systems_at = torch.tensor(chosen, device=like.device)
        atoms_at = torch.isin(systems.index, systems_at)
        energy[systems_at], stress[systems_at] = found.energy.to(like), found.stress.to(like)
        energies[atoms_at], forces[atoms_at] = found.energies.to(like), found.forces.to(like)
        failures.update({chosen[k]: reason for k, reason in found.failures.items()})

    fill(list(range(count)))
    return Evaluation(energies, energy, forces, stress, failures)


def unusable(
    found: Evaluation, systems: Configurations, relax_cell: bool, name: str
) -> dict[int, str]:
    """Why no step can follow from an evaluation: reason by position, for the systems that must be
    given up.

    Args:
        found: What the potential said.
        systems: Of what.
        relax_cell: Whether the stress is needed.
        name: The potential, for the message.
    """
    lost = torch.zeros(len(systems), device=systems.positions.device).index_add(
        0, systems.index, (~torch.isfinite(found.forces)).any(-1).to(torch.float32)
    )
    reasons = dict(found.failures)
    for i in torch.nonzero(~torch.isfinite(found.energy) | (lost > 0)).flatten().tolist():
        reasons.setdefault(i, f"{name} gave an energy or a force that is not finite.")
    if relax_cell:
        for i in torch.nonzero(~torch.isfinite(found.stress).flatten(1).all(-1)).flatten().tolist():
            reasons.setdefault(
                i, f"{name} gave no finite stress; without one, only relax_cell=False is possible."
            )
    return reasons


def without(found: Evaluation, systems: Configurations, given_up: dict[int, str]) -> Evaluation:
    """The evaluation with zero forces and stress for systems that are given up, so that their NaN
    spreads nowhere.
    """
    if not given_up:
        return found
    lost = torch.zeros(len(systems), dtype=torch.bool, device=systems.positions.device)
    lost[list(given_up)] = True
    return replace(
        found,
        forces=torch.where(lost[systems.index][:, None], 0.0, found.forces),
        stress=torch.where(lost[:, None, None], 0.0, found.stress),
    )


def averaged(found: Evaluation, systems: Configurations, averaging: Averaging) -> Evaluation:
    """The evaluation with the part of forces and stresses that has the symmetry of the systems: a
    system that has it and follows them keeps it. Energies are as they were.

    Args:
        found: What the potential said.
        systems: Of what.
        averaging: Over the operations of these systems.
    """
    return replace(
        found,
        forces=averaging.cartesian(found.forces, systems.cells),
        stress=averaging.stress(found.stress, systems.cells),
    )
