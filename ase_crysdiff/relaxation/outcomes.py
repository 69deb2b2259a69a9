"""What became of systems that were relaxed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from ase_crysdiff.potentials.base import Configurations, Evaluation, Potential, Uncertainty
from ase_crysdiff.potentials.doubts import uncertainties
from ase_crysdiff.relaxation.batch import Batch
from ase_crysdiff.relaxation.frechet import FrechetRows
from ase_crysdiff.shapes import Float, Tensor


@dataclass(frozen=True)
class Outcome:
    """What became of one system.

    Args:
        final: The system where it came to rest: at the end, or, after a failure, where its forces
            were smallest; one system, float64.
        first_energy: Total energy at the start, eV; NaN if it could not be evaluated.
        energy: Total energy of `final`, eV.
        fmax: Largest force on an atom or row of the cell there, eV/Å.
        steps: Steps taken.
        converged: Whether `fmax` is below the limit.
        failure: Why it was given up; None if it was not. Running out of steps is no failure.
        forces: What the potential says of `final`, eV/Å, shape (atoms, 3); None after a failure.
        stress: Likewise, eV/Å³, tension positive, shape (3, 3); NaN if it gives none.
        uncertainty: How far the energy is to be believed there; None after a failure.
    """

    final: Configurations
    first_energy: float
    energy: float
    fmax: float
    steps: int
    converged: bool
    failure: str | None = None
    forces: Float[Tensor, "atoms 3"] | None = None
    stress: Float[Tensor, "3 3"] | None = None
    uncertainty: Uncertainty | None = None


def said_of(batch: Batch, is_at_rest: Tensor, potential: Potential) -> dict[int, Uncertainty]:
    """How far energies are to be believed, by position in the batch: asked once for each system,
    where it ends.
    """
    chosen = torch.nonzero(is_at_rest).flatten().tolist()
    if not chosen:
        return {}
    systems = batch.systems.select(chosen)
    found = uncertainties(potential, systems)
    parts = zip(found.atoms.split(systems.num_atoms.tolist()), found.systems.split(1), strict=True)
    return {
        i: Uncertainty(atoms, system, found.limit)
        for i, (atoms, system) in zip(chosen, parts, strict=True)
    }


def outcomes(
    batch: Batch,
    layout: FrechetRows,
    is_done: Tensor,
    found: Evaluation,
    norms: Tensor,
    fmax: float,
    given_up: dict[int, str],
    said: Mapping[int, Uncertainty],
) -> Iterator[tuple[int, Outcome]]:
    """What became of the systems that have come to an end, with their numbers.

    Args:
        batch: The systems under way.
        layout: Of their rows.
        is_done: Which of them have ended, shape (systems,).
        found: What the potential says of them where they are.
        norms: Their largest forces, eV/Å, shape (systems,).
        fmax: Below it they are at rest, eV/Å.
        given_up: Reason by position in the batch.
        said: How far energies are to be believed, by position in the batch.
    """
    at_best = layout.place(batch.best_rows, batch.systems) if given_up else batch.systems
    for i in torch.nonzero(is_done).flatten().tolist():
        reason = given_up.get(i)
        systems, values = (
            (batch.systems, (found.energy, norms))
            if reason is None
            else (at_best, (batch.best_energy, batch.best_fmax))
        )
        yield (
            int(batch.ids[i]),
            Outcome(
                final=systems.select([i]),
                first_energy=float(batch.first_energy[i]),
                energy=float(values[0][i]),
                fmax=float(values[1][i]) if torch.isfinite(values[1][i]) else float("nan"),
                steps=int(batch.steps[i]),
                converged=reason is None and bool(norms[i] < fmax),
                failure=reason,
                forces=None if reason else found.forces[batch.systems.index == i].cpu(),
                stress=None if reason else found.stress[i].cpu(),
                uncertainty=said.get(i),
            ),
        )
