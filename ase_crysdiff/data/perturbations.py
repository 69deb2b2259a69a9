"""Configurations worth labelling: a crystal as it is and in seven ways out of place, and the
reasons to refuse a label.

A potential learns where it was shown the surface. Relaxations start far from minima, samplers give
contacts that no database holds, and simulations run in larger cells; each way below covers one of
these.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.constants import GATE_DISTANCE
from ase_crysdiff.geometry.neighbors import neighbor_list
from ase_crysdiff.networks.element_properties import covalent_radii, place
from ase_crysdiff.potentials.base import Configurations, Evaluation, Potential

Array = NDArray[np.float64]
Species = NDArray[np.int64]
#: Forces beyond this are no labels: the oracle was asked about what it does not know, eV/Å.
LARGEST_FORCE = 60.0


@dataclass(frozen=True)
class Crystal:
    """One crystal in numbers.

    Args:
        name: Shown in reports, and the key of its formation energy.
        lattice: Rows in Å, shape (3, 3).
        frac_coords: Shape (atoms, 3).
        species: Atomic numbers, shape (atoms,).
    """

    name: str
    lattice: Array
    frac_coords: Array
    species: Species


@dataclass(frozen=True)
class Label:
    """A configuration and what a potential says of it.

    Args:
        crystal: As it was labelled.
        kind: Number of the way it was made.
        energy: eV/atom.
        forces: eV/Å, shape (atoms, 3).
        stress: eV/Å³, shape (3, 3).
    """

    crystal: Crystal
    kind: int
    energy: float
    forces: Array
    stress: Array


def _as_is(c: Crystal, rng: np.random.Generator) -> Crystal:
    return c


def _rattled(c: Crystal, rng: np.random.Generator) -> Crystal:
    """Normal displacements of 0.01 to 0.5 Å."""
    deviation = np.exp(rng.uniform(np.log(0.01), np.log(0.5)))
    return _moved(c, deviation * rng.standard_normal(c.frac_coords.shape))


def _strained(c: Crystal, rng: np.random.Generator) -> Crystal:
    """A symmetric strain with entries of at most 15 %, and displacements of 0.05 Å."""
    strain = rng.uniform(-0.15, 0.15, (3, 3))
    strained = Crystal(
        c.name, c.lattice @ (np.eye(3) + (strain + strain.T) / 2), c.frac_coords, c.species
    )
    return _moved(strained, 0.05 * rng.standard_normal(c.frac_coords.shape))


def _other_volume(c: Crystal, rng: np.random.Generator) -> Crystal:
    """0.7 to 1.4 times the volume."""
    return Crystal(c.name, c.lattice * rng.uniform(0.7, 1.4) ** (1 / 3), c.frac_coords, c.species)


def _swapped(c: Crystal, rng: np.random.Generator) -> Crystal:
    """One element replaced by another of its group, everywhere, and the volume scaled with the
    radii.
    """
    old = int(rng.choice(np.unique(c.species)))
    group = place(old)[1]
    others = [
        z
        for z in range(1, 95)
        if z != old and (place(z)[1] == group or (group >= 19 and place(z)[1] >= 19))
    ]
    if not others:
        return _rattled(c, rng)
    species = np.where(c.species == old, int(rng.choice(others)), c.species)
    radii = covalent_radii().numpy()
    scale = radii[species].mean() / radii[c.species].mean()
    return Crystal(c.name, c.lattice * scale, c.frac_coords, species)


def _half_noised(c: Crystal, rng: np.random.Generator) -> Crystal:
    """Displacements on the torus of 0.02 to 0.15 in fractional units: what a sampler passes
    through.
    """
    deviation = rng.uniform(0.02, 0.15)
    return Crystal(
        c.name,
        c.lattice,
        (c.frac_coords + deviation * rng.standard_normal(c.frac_coords.shape)) % 1,
        c.species,
    )


def _doubled(c: Crystal, rng: np.random.Generator) -> Crystal:
    """Twice the cell along its shortest vector, rattled: displacements that no small cell holds."""
    axis = int(np.linalg.norm(c.lattice, axis=1).argmin())
    factor = np.ones(3)
    factor[axis] = 2
    half = np.zeros(3)
    half[axis] = 0.5
    frac = np.concatenate([c.frac_coords / factor, c.frac_coords / factor + half])
    return _rattled(Crystal(c.name, c.lattice * factor[:, None], frac, np.tile(c.species, 2)), rng)


def _pressed(c: Crystal, rng: np.random.Generator) -> Crystal:
    """One atom moved towards its nearest neighbour, down to 0.6 to 0.85 of the sum of their
    radii.
    """
    positions = torch.from_numpy(c.frac_coords @ c.lattice)
    cells = torch.from_numpy(c.lattice)[None]
    everywhere = torch.ones(1, 3, dtype=torch.bool)
    found = neighbor_list(positions, cells, everywhere, torch.tensor([len(c.species)]), 4.0)
    other = found.receivers != found.senders
    if not bool(other.any()):
        return _other_volume(c, rng)
    vectors = found.vectors(positions, cells, torch.zeros(len(positions), dtype=torch.long))
    lengths = torch.linalg.vector_norm(vectors, dim=-1).masked_fill(~other, torch.inf)
    atom = int(rng.choice(np.unique(found.receivers[other].numpy())))
    pair = int(torch.where(found.receivers == atom, lengths, torch.inf).argmin())
    radii = covalent_radii().numpy()
    wanted = rng.uniform(0.6, 0.85) * (
        radii[c.species[atom]] + radii[c.species[int(found.senders[pair])]]
    )
    moves = np.zeros_like(c.frac_coords)
    moves[atom] = (vectors[pair] * (1 - wanted / lengths[pair]).clamp(min=0)).numpy()
    return _moved(c, moves)


def _moved(c: Crystal, moves: Array) -> Crystal:
    return Crystal(
        c.name, c.lattice, (c.frac_coords + moves @ np.linalg.inv(c.lattice)) % 1, c.species
    )


#: Way by name; its place is the number that labels carry.
WAYS: dict[str, Callable[[Crystal, np.random.Generator], Crystal]] = {
    "as-is": _as_is,
    "rattled": _rattled,
    "strained": _strained,
    "volume": _other_volume,
    "swapped": _swapped,
    "half-noised": _half_noised,
    "doubled": _doubled,
    "pressed": _pressed,
}


def variants(
    crystal: Crystal, ways: Sequence[str], rng: np.random.Generator
) -> list[tuple[int, Crystal]]:
    """A crystal in several ways, each with its number; a way may be named several times."""
    numbers = list(WAYS)
    return [(numbers.index(way), WAYS[way](crystal, rng)) for way in ways]


def label(
    made: Sequence[tuple[int, Crystal]], potential: Potential, largest_force: float = LARGEST_FORCE
) -> tuple[list[Label], list[tuple[str, str]]]:
    """Labels of configurations, and name and reason of every one that was refused.

    Args:
        made: Number of the way and crystal.
        potential: The oracle.
        largest_force: A configuration with a larger one is refused, eV/Å.
    """
    labels: list[Label] = []
    refused: list[tuple[str, str]] = []
    askable: list[tuple[int, Crystal]] = []
    for kind, crystal in made:
        reason = _unfit(crystal, potential)
        if reason is None:
            askable.append((kind, crystal))
        else:
            refused.append((crystal.name, reason))
    if not askable:
        return labels, refused
    answer = potential.evaluate(
        _configurations([c for _, c in askable]).to(potential.device, potential.dtype)
    )
    start = 0
    for i, (kind, crystal) in enumerate(askable):
        rows = slice(start, start + len(crystal.species))
        start = rows.stop
        reason = _useless(answer, i, rows, largest_force)
        if reason is not None:
            refused.append((crystal.name, reason))
            continue
        forces, stress = (
            answer.forces[rows].double().cpu().numpy(),
            answer.stress[i].double().cpu().numpy(),
        )
        labels.append(
            Label(crystal, kind, float(answer.energy[i]) / len(crystal.species), forces, stress)
        )
    return labels, refused


def _configurations(crystals: Sequence[Crystal]) -> Configurations:
    return Configurations(
        torch.from_numpy(np.concatenate([c.frac_coords @ c.lattice for c in crystals])),
        torch.from_numpy(np.stack([c.lattice for c in crystals])),
        torch.ones(len(crystals), 3, dtype=torch.bool),
        torch.from_numpy(np.concatenate([c.species for c in crystals])),
        torch.tensor([len(c.species) for c in crystals]),
    )


def _unfit(crystal: Crystal, potential: Potential) -> str | None:
    if not set(crystal.species.tolist()) <= potential.elements:
        return f"an element that {potential.name} does not know"
    if abs(np.linalg.det(crystal.lattice)) < len(crystal.species):
        return "less than 1 Å³ per atom"
    c = _configurations([crystal])
    if len(neighbor_list(c.positions, c.cells, c.periodic, c.num_atoms, GATE_DISTANCE).receivers):
        return f"two atoms closer than {GATE_DISTANCE} Å"
    return None


def _useless(answer: Evaluation, number: int, rows: slice, largest_force: float) -> str | None:
    if number in answer.failures:
        return "the potential failed"
    forces, energy, stress = answer.forces[rows], answer.energy[number], answer.stress[number]
    if not (
        torch.isfinite(forces).all() and torch.isfinite(energy) and torch.isfinite(stress).all()
    ):
        return "energy, forces or stress are not finite"
    if float(torch.linalg.vector_norm(forces, dim=-1).max()) > largest_force:
        return f"a force above {largest_force:g} eV/Å"
    return None
