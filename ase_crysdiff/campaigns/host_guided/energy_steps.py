"""Steps that relax and compare energies."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ase_crysdiff.campaigns.pipeline import Candidate, Outcome, Step
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.decomposition import decomposition
from ase_crysdiff.metrics.formation import energies_above_hull
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.relaxation.engine import MAX_ATOMS
from ase_crysdiff.relaxation.settings import STEPS
from ase_crysdiff.relaxation.structures import iter_relax


@dataclass(frozen=True)
class Relax(Step):
    """Brings atoms and cell to the next minimum, many candidates at once.

    A candidate that runs out of steps stays in; what is unphysical at the end is lost. Volumes may
    change freely, since they were a guess.

    Args:
        potential: Whose minimum.
        fmax: Largest force that may remain, eV/Å.
        max_steps: At most so many steps.
    """

    potential: Potential
    fmax: float = 0.1
    max_steps: int = STEPS
    name: ClassVar[str] = "relax"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        ((_, outcome),) = self.run([candidate], survey)
        if outcome.failure is not None:
            raise InputError(outcome.failure)
        return outcome.candidates

    def run(
        self, candidates: Sequence[Candidate], survey: Mapping[str, Any]
    ) -> Iterator[tuple[str, Outcome]]:
        found = iter_relax(
            [c.structure for c in candidates],
            self.potential,
            self.fmax,
            self.max_steps,
            True,
            "lbfgs",
            MAX_ATOMS,
        )
        for k, result in found:
            candidate = candidates[k]
            reason = (
                gate(result.structure)
                if math.isfinite(result.energy)
                else result.reason or "no finite energy"
            )
            if reason is not None or result.structure is None:
                yield candidate.key, Outcome(failure=reason)
                continue
            numbers = {
                "energy_per_atom": result.energy_per_atom,
                "relax_converged": result.converged,
                "relax_remark": result.reason,
            }
            yield candidate.key, Outcome((candidate.becomes(result.structure, **numbers),))


@dataclass(frozen=True)
class Decompose(Step):
    """Energies against the competing phases of a hull; without a hull the energy alone.

    Args:
        potential: Gives the energy of the refined structure.
        hull: Formation energies, or total energies on the potential's own scale.
    """

    potential: Potential
    hull: Hull | None = None
    name: ClassVar[str] = "decompose"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        structure = candidate.structure
        if self.hull is None:
            return [candidate]
        found = energies_above_hull([structure], self.potential, self.hull)
        if found.failures:
            raise InputError(found.failures[0])
        own = float(
            found.formation_energy[0] if self.hull.scale == "formation" else found.energy[0]
        )
        parts = decomposition(structure.composition, own, self.hull)
        return [
            candidate.becomes(
                structure,
                energy_per_atom=float(found.energy[0]),
                energy_above_hull=float(found.energy_above_hull[0]),
                decomposition_energy=parts.energy,
                decomposition_products=parts.products,
                competing_phases=list(parts.present),
            )
        ]


@dataclass(frozen=True)
class Rank(Step):
    """Numbers the candidates by decomposition energy, or by energy per atom where there is no
    hull.
    """

    name: ClassVar[str] = "rank"

    def survey(self, candidates: Sequence[Candidate]) -> Mapping[str, Any]:
        order = sorted(candidates, key=lambda c: (measure(c), c.key))
        return {"ranks": {c.key: rank for rank, c in enumerate(order)}}

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        return [candidate.becomes(candidate.structure, rank=survey["ranks"][candidate.key])]


def measure(candidate: Candidate) -> float:
    """What candidates are ranked by, eV/atom."""
    return float(
        candidate.record.get(
            "decomposition_energy", candidate.record.get("energy_per_atom", math.inf)
        )
    )
