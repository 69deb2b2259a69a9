"""Steps that place atoms: all of them in empty cells, then guests in frameworks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.host_guided.coordination import most_varied
from ase_crysdiff.campaigns.host_guided.placer import Placer
from ase_crysdiff.campaigns.host_guided.symmetry_steps import bare
from ase_crysdiff.campaigns.pipeline import Candidate, Step
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.bravais import TYPES, random_lattice
from ase_crysdiff.randomness import MAX_SEED


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
        placer: Places the atoms.
        contents: Number of atoms of each element in the cell.
        seed: Of the run.
        steps: Of the reverse process; None takes the placer's own.
    """

    placer: Placer
    contents: Mapping[str, int]
    seed: int
    steps: int | None = None
    name: ClassVar[str] = "sample"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        drawn = self.placer.place(
            candidate.structure.lattice,
            self.contents,
            candidate.number,
            seed=self.seed,
            steps=self.steps,
        )
        weights = drawn.properties.get("crysdiff_weights", "")
        return [candidate.becomes(bare(drawn), weights=weights)]


@dataclass(frozen=True)
class RemoveGuests(Step):
    """Takes the guests out, which leaves the framework.

    Args:
        guests: Their elements; None takes the one whose coordination numbers vary most over all
            candidates.
    """

    guests: tuple[str, ...] | None = None
    name: ClassVar[str] = "remove-guests"

    def survey(self, candidates: Sequence[Candidate]) -> Mapping[str, Any]:
        if self.guests is not None or not candidates:
            return {"guests": list(self.guests or ())}
        chosen, values = most_varied([c.structure for c in candidates])
        return {
            "guests": [chosen],
            "coordination_entropies": {s: round(v, 4) for s, v in values.items()},
        }

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        chosen = set(survey["guests"])
        rest = [site for site in candidate.structure if site.specie.symbol not in chosen]
        gone = Counter(
            site.specie.symbol for site in candidate.structure if site.specie.symbol in chosen
        )
        if not rest or set(gone) != chosen:
            raise InputError(
                f"{candidate.structure.formula} without {', '.join(sorted(chosen))} leaves no "
                "framework with guests"
            )
        return [candidate.becomes(Structure.from_sites(rest), **{**survey, "guests": dict(gone)})]


@dataclass(frozen=True)
class FillFramework(Step):
    """Places the guests that were taken out anew, several times.

    Args:
        placer: Places the guests.
        count: Fillings of each framework.
        seed: Of the run.
        steps: Of the reverse process; None takes the placer's own.
        repeats: How often guests and framework are brought into agreement, 1 or more.
    """

    placer: Placer
    count: int = 3
    seed: int = 0
    steps: int | None = None
    repeats: int = 1
    name: ClassVar[str] = "fill"

    def each(self, candidate: Candidate, survey: Mapping[str, Any]) -> Sequence[Candidate]:
        guests = candidate.record["guests"]
        numbers = range(candidate.number * self.count, (candidate.number + 1) * self.count)
        # Another purpose than the first placement, so other random numbers.
        seed = (self.seed + 1) % MAX_SEED
        filled = self.placer.fill(
            candidate.structure,
            guests,
            numbers,
            seed=seed,
            steps=self.steps,
            repeats=self.repeats,
        )
        return [
            candidate.descendant(number % self.count, bare(structure))
            for number, structure in sorted(filled.items())
        ]
