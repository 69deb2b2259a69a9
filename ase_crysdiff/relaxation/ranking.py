"""Candidates in the order of their energy, with the order that a sampler gave them as prior."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.crystal.batching import runs_of_size
from ase_crysdiff.crystal.convert import copy_of
from ase_crysdiff.crystal.soundness import gate, unphysical
from ase_crysdiff.data.writing import DOUBT, UNCERTAINTY
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.doubts import expected_errors
from ase_crysdiff.relaxation.evaluation import evaluate_each
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.relaxation.structures import configurations, relax
from ase_crysdiff.relaxation.symmetric import KeptSymmetry
from ase_crysdiff.symmetry.finding import find_scaffold

#: What samplers say of the symmetry of a crystal.
SPACE_GROUP, SCAFFOLD = "crysdiff_space_group", "crysdiff_scaffold"
#: Atoms that a potential sees at once.
_MAX_ATOMS = 2000
#: What `rank` says of a structure.
_SAID = ("crysdiff_energy_per_atom", "crysdiff_score", UNCERTAINTY, DOUBT)
#: Beside a prior, energies above the lowest count up to this, eV/atom: what lies higher is out of
#: the question or a fault of the potential, and by how much says nothing.
ENERGY_CAP = 0.2
#: Candidates this far above the best, eV/atom, may yet come first by leaving a saddle. Deeper falls
#: happen (up to 1.8 eV/atom among crystals of `mp/val`), mostly into holes of a potential.
CONTENTION = 0.1


@dataclass(frozen=True)
class SinglePoints:
    """What a potential says of structures as they are.

    Args:
        energies: eV/atom; infinite where there is none.
        spread: Standard deviations of their errors, eV/atom; NaN where nothing is known of them.
        doubts: That a structure is outside of what the potential knows, by position.
        failures: Why there is no energy, by position.
    """

    energies: list[float]
    spread: list[float]
    doubts: dict[int, str]
    failures: dict[int, str]


@own_state()
def single_points(structures: Sequence[Structure], potential: Potential) -> SinglePoints:
    """Energies of structures, computed together, and how far they are to be believed."""
    energies: list[float] = []
    spread: list[float] = []
    doubts: dict[int, str] = {}
    failures: dict[int, str] = {}
    for run in runs_of_size([len(structure) for structure in structures], _MAX_ATOMS):
        batch = [structures[i] for i in run]
        systems = configurations(batch)
        evaluation = evaluate_each(potential, systems, derivatives=False)
        expected, said = expected_errors(potential, systems)
        doubts |= {run[k]: reason for k, reason in said.items()}
        spread += expected.tolist()
        for k, structure in enumerate(batch):
            energy = float(evaluation.energy[k]) / len(structure)
            if k in evaluation.failures or not np.isfinite(energy):
                failures[run[k]] = evaluation.failures.get(
                    k, f"{potential.name} gave no finite energy."
                )
                energy = math.inf
            energies.append(energy)
    return SinglePoints(energies, spread, doubts, failures)


@own_state()
def rank(
    structures: Sequence[Structure], potential: Potential, prior: float | None = None
) -> tuple[list[Structure], dict[int, str]]:
    """Structures by score, and the reason by index for those without an energy, which come last in
    their order.

    The score is E/N + τ p, with the surprise p that a sampler says a candidate would be: minus the
    logarithm of its votes against those of the first (property `crysdiff_log_votes`), else log(1 +
    rank) of its place in the sampler's order (`crysdiff_rank`, 0 for the first). Draws have neither
    and p = 0. Where there is a prior, energies above the lowest count up to `ENERGY_CAP`. Of
    several candidates for one composition the lowest energy alone is a worse choice than the first
    candidate: a potential's errors between prototypes are as large as the differences. What is
    outside of what the potential knows stands after what is inside, whatever its energy.

    Args:
        structures: Candidates.
        potential: Whose energies.
        prior: τ, eV/atom; None takes the potential's own, 0 the energy alone.

    Returns:
        Copies with the properties `crysdiff_energy_per_atom` and `crysdiff_score`, eV/atom; and,
        where the potential says how far it is to be believed, `crysdiff_energy_uncertainty`,
        eV/atom, and `crysdiff_doubt` for what is outside.
    """
    weight = potential.rank_prior if prior is None else prior
    asked = single_points(structures, potential)
    energies, spread, doubts = asked.energies, asked.spread, asked.doubts
    reasons = {index_of(structures[i]): reason for i, reason in asked.failures.items()}
    found = scores(energies, [weight * surprise(structure) for structure in structures])
    ranked = []

    def place(i: int) -> tuple[bool, bool, float, float]:
        return math.isinf(energies[i]), i in doubts, found[i], energies[i]

    for i in sorted(range(len(structures)), key=place):
        more: dict[str, Any] = {"crysdiff_energy_per_atom": energies[i], "crysdiff_score": found[i]}
        if not math.isnan(spread[i]):
            more |= {UNCERTAINTY: spread[i], **({DOUBT: doubts[i]} if i in doubts else {})}
        known = more if math.isfinite(energies[i]) else {}
        # Without what another potential has left.
        kept = {n: v for n, v in structures[i].properties.items() if n not in _SAID}
        ranked.append(copy_of(structures[i], {**kept, **known}))
    return ranked, reasons


def scores(energies: Sequence[float], priors: Sequence[float]) -> list[float]:
    """Energies, capped where there is a prior, with it; infinite where there is no energy."""
    lowest = min((energy for energy in energies if math.isfinite(energy)), default=0.0)
    highest = lowest + ENERGY_CAP if any(priors) else math.inf
    pairs = zip(energies, priors, strict=True)
    return [
        min(energy, highest) + prior if energy < math.inf else energy for energy, prior in pairs
    ]


@own_state()
def relaxed(
    structures: Sequence[Structure],
    potential: Potential,
    symmetry: KeptSymmetry | None,
    relax_cell: bool,
    prior: float | None = None,
) -> tuple[list[Structure], dict[int, str]]:
    """Candidates at rest, in their order, and the reason by index for those whose relaxation is not
    trusted, which stay as they were. Drawn cells may be far off, so volumes may change at will.

    Of ranked candidates those that may yet come first, whose score is within `CONTENTION` of the
    best, are released from their symmetry if that is wished; the others would cost most of the
    steps for nothing. Draws without a rank are all released.

    Args:
        structures: Candidates.
        potential: Whose minima.
        symmetry: What is kept on the way, and released at its end; None keeps nothing.
        relax_cell: Whether the cells move.
        prior: τ of `rank`, eV/atom; None takes the potential's own.

    Returns:
        Structures with their properties; `crysdiff_fallen_from` is the space group of the saddle
        that a crystal has left, `crysdiff_space_group` and `crysdiff_scaffold` are those of where
        it is now.
    """
    held = None if symmetry is None else replace(symmetry, release=None)
    kept, reasons, energies = _at_rest(structures, potential, held, relax_cell)
    if symmetry is None or symmetry.release is None:
        return kept, reasons
    weight = potential.rank_prior if prior is None else prior
    priors = [weight * surprise(structure) for structure in kept]
    found = scores(energies, priors)
    # Without a prior these are no candidates for one answer, and energies may not compare.
    best = min(found) + CONTENTION if any(priors) else math.inf
    chosen = [i for i, score in enumerate(found) if score <= best and math.isfinite(score)]
    released, _, _ = _at_rest([kept[i] for i in chosen], potential, symmetry, relax_cell)
    for i, structure in zip(chosen, released, strict=True):
        kept[i] = structure
    return kept, reasons


def _at_rest(
    structures: Sequence[Structure],
    potential: Potential,
    symmetry: KeptSymmetry | None,
    relax_cell: bool,
) -> tuple[list[Structure], dict[int, str], list[float]]:
    """Structures after one relaxation, why some stay as they were, and energies in eV/atom, which
    are infinite for those.
    """
    kept, reasons, energies = [], {}, []
    options = {} if symmetry is None else {"symmetric": True, **vars(symmetry)}
    results = relax(structures, potential, relax_cell=relax_cell, progress=False, **options)
    for structure, result in zip(structures, results, strict=True):
        reason = _untrusted(result)
        if reason is not None or result.structure is None:
            kept.append(structure)
            energies.append(math.inf)
            reasons[index_of(structure)] = str(reason)
            continue
        has_fallen = result.kept_symmetry is False
        more = {"crysdiff_fallen_from": result.space_group} if has_fallen else {}
        known = _with_symmetry_of(result.structure, structure.properties)
        kept.append(copy_of(result.structure, {**known, **more}))
        energies.append(result.energy / len(structure))
    return kept, reasons, energies


def _with_symmetry_of(structure: Structure, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties of a candidate whose space group and scaffold, where they are among them, are
    those of where it came to rest; without them where no group is found.
    """
    stale = properties.keys() & {SPACE_GROUP, SCAFFOLD}
    if not stale:
        return dict(properties)
    try:
        scaffold = find_scaffold(structure)
    except InputError:
        return {name: value for name, value in properties.items() if name not in stale}
    now = {SPACE_GROUP: scaffold.space_group.symbol, SCAFFOLD: str(scaffold)}
    return {**properties, **{name: now[name] for name in stale}}


def _untrusted(result: RelaxResult) -> str | None:
    """Why the end of a relaxation is worse than its start; None if it is better."""
    if result.structure is None or not (result.converged or result.accepted):
        return str(result.reason)
    return gate(result.structure) or unphysical(result.structure)


def index_of(structure: Structure) -> int:
    """Number of the draw that a structure came from; -1 if it was not drawn."""
    return int(structure.properties.get("crysdiff_index", -1))


def surprise(structure: Structure) -> float:
    """How unlikely a sampler that ranks calls a candidate, against its first one: 0 for that and
    for a draw.
    """
    votes = structure.properties.get("crysdiff_log_votes")
    if votes is not None:
        return max(0.0, -float(votes))
    return math.log1p(max(0, int(structure.properties.get("crysdiff_rank") or 0)))
