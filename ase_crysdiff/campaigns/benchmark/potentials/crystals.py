"""The crystals of a file, and what sections ask of potentials for them."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import check_structure
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.data.readers import read_records
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.relaxation.evaluation import evaluate_each
from ase_crysdiff.relaxation.structures import configurations

#: The column with known energies, eV/atom.
COLUMN = "formation_energy_per_atom"


@dataclass(frozen=True)
class Crystals:
    """The structures of a file.

    Args:
        file: Where they come from.
        sha256: Of the file.
        names: In the file.
        structures: None for what is no ordered crystal.
        unusable: Why, by key.
        energies: Known formation energies, eV/atom; NaN where there is none.
    """

    file: str
    sha256: str
    names: tuple[str, ...]
    structures: tuple[Structure | None, ...]
    unusable: Mapping[str, str]
    energies: tuple[float, ...]

    @cached_property
    def sound(self) -> list[int]:
        """Positions of what is a crystal."""
        return [i for i, structure in enumerate(self.structures) if structure is not None]

    def spread(self, count: int) -> dict[int, Structure]:
        """So many crystals at even distances in the file, by position."""
        count = min(count, len(self.sound))
        chosen = [self.sound[i * len(self.sound) // count] for i in range(count)]
        return {i: s for i in chosen if (s := self.structures[i]) is not None}

    def key(self, position: int) -> str:
        """Names a crystal in journals and reports."""
        return key_of(position, self.names[position])

    @property
    def described(self) -> dict[str, Any]:
        """The file, for settings."""
        return {"file": self.file, "sha256": self.sha256}


def key_of(position: int, name: str) -> str:
    """Names an entry of a file, in which names need not be unique."""
    return f"{position} {name}"


def read_crystals(path: Path, limit: int | None = None) -> Crystals:
    """The first `limit` entries of a file of any kind that `crysdiff pack` reads.

    Args:
        path: The file.
        limit: At most so many; None takes all.

    Raises:
        InputError: If the file cannot be read or holds no crystal.
    """
    names, structures, energies = [], [], []
    unusable: dict[str, str] = {}
    for i, record in enumerate(islice(read_records(path), limit)):
        names.append(record.name)
        energies.append(record.values.get(COLUMN, math.nan))
        try:
            structure = record.load()
            check_structure(structure)
            reason = gate(structure)
        except Exception as error:  # one bad entry costs only itself
            reason = str(error)
        if reason is not None:
            unusable[key_of(i, record.name)] = reason
        structures.append(None if reason is not None else structure)
    if len(unusable) == len(names):
        first = f" ({next(iter(unusable.values()))})" if unusable else ""
        raise InputError(f"{path} holds no crystals{first}.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Crystals(path.name, digest, tuple(names), tuple(structures), unusable, tuple(energies))


def moved(
    structure: Structure, amplitude: float, strain: float, generator: np.random.Generator
) -> Structure:
    """A copy with normal displacements of every coordinate, and a normal strain.

    Args:
        structure: Ordered.
        amplitude: Standard deviation of each coordinate, Å.
        strain: Standard deviation of the strain's diagonal entries.
        generator: Of both.
    """
    change = strain * generator.standard_normal((3, 3))
    deformation = np.eye(3) + (change + change.T) / 2
    places = structure.cart_coords @ deformation
    places += amplitude * generator.standard_normal((len(structure), 3))
    lattice = Lattice(structure.lattice.matrix @ deformation)
    return Structure(lattice, structure.species, places, coords_are_cartesian=True)


def energies(potential: Potential, structures: Sequence[Structure]) -> NDArray[np.float64]:
    """Total energies, eV.

    Raises:
        InputError: If the potential has none for one of them; the message says why.
    """
    found = evaluate_each(potential, configurations(structures), derivatives=False)
    energy: NDArray[np.float64] = found.energy.double().cpu().numpy()
    if found.failures:
        raise InputError(next(iter(found.failures.values())))
    if not np.isfinite(energy).all():
        raise InputError(f"{potential.name} gave an energy that is not finite.")
    return energy
