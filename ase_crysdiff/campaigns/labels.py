"""Labels of configurations: what a potential says of them, and the reasons to refuse it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import torch

from ase_crysdiff.constants import COMPUTABLE, GATE_DISTANCE
from ase_crysdiff.crystal.soundness import unsound
from ase_crysdiff.data.perturbations import Array, Crystal, Perturbation
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations, Evaluation, Potential

#: Forces beyond this are no labels: the potential was asked about what it does not know, eV/Å.
LARGEST_FORCE = 60.0


@dataclass(frozen=True)
class Oracle:
    """What is asked for labels.

    Args:
        potential: Name of a potential.
        calculator: An ASE calculator in its place, as `module:name` of a class.
    """

    potential: str = "chgnet"
    calculator: str | None = None

    def load(self) -> Potential:
        """The potential, or the calculator as one.

        Raises:
            UnknownNameError: If there is no such potential.
            InputError: If the calculator cannot be made.
        """
        if self.calculator is None:
            from ase_crysdiff.potentials.loading import load_potential

            return load_potential(self.potential)
        from ase_crysdiff.potentials.from_calculator import CalculatorPotential

        module, _, attribute = self.calculator.partition(":")
        try:
            made = getattr(import_module(module), attribute)()
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.calculator!r} gives no ASE calculator ({error}). Write module:name of a "
                "class."
            ) from error
        return CalculatorPotential(made, min_distance=GATE_DISTANCE)


@dataclass(frozen=True)
class Label:
    """A configuration and what a potential says of it.

    Args:
        crystal: As it was labelled.
        kind: How it came about.
        energy: eV/atom.
        forces: eV/Å, shape (atoms, 3).
        stress: eV/Å³, tension positive, shape (3, 3).
    """

    crystal: Crystal
    kind: Perturbation
    energy: float
    forces: Array
    stress: Array


def evaluated(
    made: Sequence[tuple[Perturbation, Crystal]],
    potential: Potential,
    largest_force: float = LARGEST_FORCE,
) -> tuple[list[Label], list[tuple[str, str]]]:
    """Labels of configurations, and name and reason of every one that was refused.

    Args:
        made: How each came about, and the configuration.
        potential: What is asked.
        largest_force: A configuration with a larger one is refused, eV/Å.
    """
    labels: list[Label] = []
    refused: list[tuple[str, str]] = []
    fit: list[tuple[Perturbation, Crystal]] = []
    for kind, crystal in made:
        reason = _unfit(crystal, potential)
        if reason is None:
            fit.append((kind, crystal))
        else:
            refused.append((crystal.name, reason))
    if not fit:
        return labels, refused
    answer = potential.evaluate(
        _configurations([c for _, c in fit]).to(potential.device, potential.dtype)
    )
    start = 0
    for i, (kind, crystal) in enumerate(fit):
        rows = slice(start, start + len(crystal.species))
        start = rows.stop
        reason = _useless(answer, i, rows, largest_force)
        if reason is not None:
            refused.append((crystal.name, reason))
            continue
        forces = answer.forces[rows].double().cpu().numpy()
        stress = answer.stress[i].double().cpu().numpy()
        energy = float(answer.energy[i]) / len(crystal.species)
        labels.append(Label(crystal, kind, energy, forces, stress))
    return labels, refused


def archive(labels: Sequence[Label]) -> dict[str, np.ndarray]:
    """Labels in the layout of an archive: per configuration `material_id`, `kind`, `num_atoms`,
    `lattice` (rows, Å), `energy_per_atom` (eV) and `stress` (eV/Å³), and per atom, concatenated,
    `frac_coords`, `atomic_numbers` and `forces` (eV/Å).

    Args:
        labels: In the order of the archive.
    """
    crystals = [found.crystal for found in labels]
    empty = np.zeros((0, 3))
    frac_coords = np.concatenate([empty, *(c.frac_coords for c in crystals)])
    species = np.concatenate([np.zeros(0), *(c.species for c in crystals)])
    forces = np.concatenate([empty, *(found.forces for found in labels)])
    return {
        "material_id": np.array([c.name for c in crystals], dtype=np.str_),
        "kind": np.array([int(found.kind) for found in labels], dtype=np.int8),
        "num_atoms": np.array([len(c.species) for c in crystals], dtype=np.int16),
        "lattice": np.array([c.lattice for c in crystals], dtype=np.float32).reshape(-1, 3, 3),
        "energy_per_atom": np.array([found.energy for found in labels], dtype=np.float32),
        "stress": np.array([found.stress for found in labels], dtype=np.float32).reshape(-1, 3, 3),
        "frac_coords": frac_coords.astype(np.float32),
        "atomic_numbers": species.astype(np.uint8),
        "forces": forces.astype(np.float32),
    }


def _configurations(crystals: Sequence[Crystal]) -> Configurations:
    return Configurations(
        torch.from_numpy(np.concatenate([c.frac_coords @ c.lattice for c in crystals])),
        torch.from_numpy(np.stack([c.lattice for c in crystals])),
        torch.ones(len(crystals), 3, dtype=torch.bool),
        torch.from_numpy(np.concatenate([c.species for c in crystals])),
        torch.tensor([len(c.species) for c in crystals]),
    )


def _unfit(crystal: Crystal, potential: Potential) -> str | None:
    """Why a potential is not asked about a crystal."""
    if not set(crystal.species.tolist()) <= potential.elements:
        return f"an element that {potential.name} does not know"
    return unsound(crystal.lattice, crystal.frac_coords, crystal.species, COMPUTABLE)


def _useless(answer: Evaluation, number: int, rows: slice, largest_force: float) -> str | None:
    """Why an answer is no label."""
    if number in answer.failures:
        return "the potential failed"
    forces, energy, stress = answer.forces[rows], answer.energy[number], answer.stress[number]
    finite = (torch.isfinite(part).all() for part in (forces, energy, stress))
    if not all(finite):
        return "energy, forces or stress are not finite"
    if float(torch.linalg.vector_norm(forces, dim=-1).max()) > largest_force:
        return f"a force above {largest_force:g} eV/Å"
    return None
