"""The steps of CHGGen's workflow, each usable alone in a `Pipeline`."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pymatgen.core import Lattice, Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.decomposition import decomposition
from ase_crysdiff.metrics.formation import energies_above_hull
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.metrics.validity import gate
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.randomness import MAX_SEED
from ase_crysdiff.relaxation.engine import MAX_ATOMS
from ase_crysdiff.workflows.base import Candidate, Outcome, Step
from ase_crysdiff.workflows.bravais import TYPES, random_lattice
from ase_crysdiff.workflows.coordination import most_varied
from pymatgen_ext.inpainting import prepare, prepare_empty
from pymatgen_ext.relaxation import iter_relax
from pymatgen_ext.samplers import StructureSampler
from pymatgen_ext.selection import space_group, symmetrise

#: Groups that do not count: no symmetry but translations, or the inversion alone.
TRIVIAL = (1, 2)
#: Tolerances for frameworks: Å and degrees. Source: CHGGen (Materials Horizons 2025), code.
LADDER = ((0.1, 10.0), (0.2, 15.0), (0.5, 15.0), (0.8, 15.0), (1.0, 20.0), (1.5, 30.0), (2.0, 30.0))


def lattice_candidates(count: int, volume: float, seed: int) -> list[Candidate]:
    """Empty cells of all Bravais types in turn.

    Args:
        count: How many.
        volume: Of a cell, Å³.
        seed: Of the run.
    """
    found = []
    for i in range(count):
        kind = TYPES[i % len(TYPES)]
        lattice = Lattice(random_lattice(kind, volume, seed, i).numpy())
        found.append(Candidate(f"{i:04d}", Structure(lattice, [], []), {"bravais": kind}))
    return found


@dataclass(frozen=True)
class SampleCoordinates(Step):
    """Places all atoms in an empty cell, which is kept.

    Args:
        sampler: One that fills hosts.
        contents: Number of atoms of each element in the cell.
        seed: Of the run.
        steps: As in `StructureSampler.sample`.
    """

    sampler: StructureSampler
    contents: Mapping[str, int]
    seed: int
    steps: int | None = None
    name: ClassVar[str] = "sample"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        task = prepare_empty(self.sampler.check, candidate.structure.lattice, self.contents, steps=self.steps)
        samples = self.sampler.collect(task.request, [candidate.number], cell=task.cell, seed=self.seed, progress=False)
        if not len(samples):
            raise InputError(f"no sound crystal was drawn: {'; '.join(samples.report.failed.values())}")
        return [candidate.becomes(_bare(samples[0]), weights=samples.report.weights)]


@dataclass(frozen=True)
class Relax(Step):
    """Brings atoms and cell to the next minimum, many candidates at once.

    A candidate that runs out of steps stays in; what is unphysical at the end is lost. Volumes may change freely, since they
    were a guess.

    Args:
        potential: Whose minimum.
        fmax: Largest force that may remain, eV/Å.
        max_steps: At most so many steps.
    """

    potential: Potential
    fmax: float = 0.1
    max_steps: int = 500
    name: ClassVar[str] = "relax"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        ((_, outcome),) = self.run([candidate], survey)
        if outcome.failure is not None:
            raise InputError(outcome.failure)
        return outcome.candidates

    def run(self, candidates: Sequence[Candidate], survey: Mapping[str, Any]) -> Iterator[tuple[str, Outcome]]:
        found = iter_relax([c.structure for c in candidates], self.potential, self.fmax, self.max_steps, True, "lbfgs", MAX_ATOMS)
        for k, result in found:
            candidate = candidates[k]
            reason = gate(result.structure) if math.isfinite(result.energy) else result.reason or "no finite energy"
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
class RemoveGuests(Step):
    """Takes the guests out, which leaves the framework.

    Args:
        guests: Their elements; None takes the one whose coordination numbers vary most over all candidates.
    """

    guests: tuple[str, ...] | None = None
    name: ClassVar[str] = "remove-guests"

    def survey(self, candidates: Sequence[Candidate]) -> Mapping[str, Any]:
        if self.guests is not None or not candidates:
            return {"guests": list(self.guests or ())}
        chosen, values = most_varied([c.structure for c in candidates])
        return {"guests": [chosen], "coordination_entropies": {s: round(v, 4) for s, v in values.items()}}

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        chosen = set(survey["guests"])
        rest = [site for site in candidate.structure if site.specie.symbol not in chosen]
        gone = Counter(site.specie.symbol for site in candidate.structure if site.specie.symbol in chosen)
        if not rest or set(gone) != chosen:
            raise InputError(f"{candidate.structure.formula} without {', '.join(sorted(chosen))} leaves no framework with guests")
        return [candidate.becomes(Structure.from_sites(rest), **{**survey, "guests": dict(gone)})]


@dataclass(frozen=True)
class SymmetriseFramework(Step):
    """Symmetrises within growing tolerances, until there is more symmetry than P1 and P-1.

    Number and order of atoms and the setting of the cell stay. A framework that stays without symmetry is lost.

    Args:
        ladder: Tolerances in Å and degrees, growing.
    """

    ladder: tuple[tuple[float, float], ...] = LADDER
    name: ClassVar[str] = "symmetrise"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        found, symbol, symprec = _first_symmetric(candidate.structure, self.ladder)
        return [candidate.becomes(found, framework_space_group=symbol, framework_symprec=symprec)]


@dataclass(frozen=True)
class FillFramework(Step):
    """Places the guests that were taken out anew, several times.

    Args:
        sampler: One that fills hosts.
        count: Fillings of each framework.
        seed: Of the run.
        steps: As in `StructureSampler.sample`.
        repeats: As in `StructureSampler.inpaint`.
    """

    sampler: StructureSampler
    count: int = 3
    seed: int = 0
    steps: int | None = None
    repeats: int = 1
    name: ClassVar[str] = "fill"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        guests = candidate.record["guests"]
        task = prepare(self.sampler.check, candidate.structure, guests, steps=self.steps, repeats=self.repeats)
        indices = range(candidate.number * self.count, (candidate.number + 1) * self.count)
        # Another purpose than the first placement, so other random numbers.
        seed = (self.seed + 1) % MAX_SEED
        samples = self.sampler.collect(task.request, indices, cell=task.cell, seed=seed, progress=False)
        if not len(samples):
            raise InputError(f"no sound filling was drawn: {'; '.join(sorted(set(samples.report.failed.values())))}")
        return [candidate.descendant(int(s.properties["crysdiff_index"]) % self.count, _bare(s)) for s in samples]


@dataclass(frozen=True)
class SymmetriseFilling(Step):
    """Symmetrises framework and guests within growing tolerances; what has no symmetry there stays as it is.

    Guests that are drawn one by one sit a little beside the places that the framework's symmetry offers, and a relaxation that
    starts without symmetry seldom finds it. CHGGen has no such step.

    Args:
        ladder: Tolerances in Å and degrees, growing.
    """

    ladder: tuple[tuple[float, float], ...] = LADDER[:5]
    name: ClassVar[str] = "symmetrise-filling"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        try:
            found, symbol, symprec = _first_symmetric(candidate.structure, self.ladder)
        except InputError:
            return [candidate.becomes(candidate.structure, filling_space_group=None, filling_symprec=None)]
        return [candidate.becomes(found, filling_space_group=symbol, filling_symprec=symprec)]


@dataclass(frozen=True)
class Refine(Step):
    """Symmetrises within a small tolerance; what has no symmetry there stays as it is.

    Args:
        symprec: Å.
        angle_tolerance: Degrees.
    """

    symprec: float = 0.1
    angle_tolerance: float = 10.0
    name: ClassVar[str] = "refine"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        try:
            structure = _bare(symmetrise(candidate.structure, self.symprec, angle_tolerance=self.angle_tolerance))
        except InputError:
            structure = candidate.structure
        symbol, number = space_group(structure, self.symprec, self.angle_tolerance)
        return [candidate.becomes(structure, space_group=symbol, space_group_number=number, symprec=self.symprec)]


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
        own = float(found.formation_energy[0] if self.hull.scale == "formation" else found.energy[0])
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
    """Numbers the candidates by decomposition energy, or by energy per atom where there is no hull."""

    name: ClassVar[str] = "rank"

    def survey(self, candidates: Sequence[Candidate]) -> Mapping[str, Any]:
        order = sorted(candidates, key=lambda c: (measure(c), c.key))
        return {"ranks": {c.key: rank for rank, c in enumerate(order)}}

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        return [candidate.becomes(candidate.structure, rank=survey["ranks"][candidate.key])]


def measure(candidate: Candidate) -> float:
    """What candidates are ranked by, eV/atom."""
    return float(candidate.record.get("decomposition_energy", candidate.record.get("energy_per_atom", math.inf)))


def _first_symmetric(structure: Structure, ladder: Sequence[tuple[float, float]]) -> tuple[Structure, str, float]:
    """The structure with the first symmetry beyond P-1 on a ladder of tolerances, its symbol and the tolerance.

    Raises:
        InputError: If there is none; with the reason at each tolerance.
    """
    reasons = []
    for symprec, angle in ladder:
        try:
            found = symmetrise(structure, symprec, angle_tolerance=angle)
            symbol, number = space_group(found, 0.01)
        except InputError as error:
            reasons.append(f"{symprec:g} Å: {error}")
            continue
        if number not in TRIVIAL:
            return _bare(found), symbol, symprec
        reasons.append(f"{symprec:g} Å: {symbol}")
    raise InputError(f"there is no symmetry beyond P-1 ({'; '.join(reasons)})")


def _bare(structure: Structure) -> Structure:
    """Lattice, elements and places, without what samplers and symmetrisation write on a structure."""
    return Structure(structure.lattice, [site.specie.symbol for site in structure], structure.frac_coords)
