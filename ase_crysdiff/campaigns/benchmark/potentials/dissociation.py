"""Whether crystals and molecules that come apart end as free atoms, by a way that only rises."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.units import kJ, mol
from pymatgen.core import Structure

from ase_crysdiff.campaigns.benchmark.potentials.base import (
    Contender,
    Item,
    Row,
    Section,
    Values,
    largest,
    mean_size,
    single,
)
from ase_crysdiff.crystal.convert import atoms_to_structure
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.relaxation.evaluation import evaluate_each
from ase_crysdiff.relaxation.structures import configurations
from ase_crysdiff.storage import Store

#: Lengths over the known ones.
_SCALES = np.linspace(0.5, 2.5, 41).round(4).tolist()
#: Crystals are not pressed further than to this.
_LEAST = 0.9
#: Among these the bottom of a curve is looked for.
_BONDED = 0.85, 1.15
#: Energies that fall by less do not fall, eV/atom.
_TIE = 0.02
#: Cube around a molecule, Å.
_BOX = 16.0
_CRYSTAL, _MOLECULE = "crystal", "molecule"

Curve: TypeAlias = Sequence[float | None]


@dataclass(frozen=True)
class Bonded:
    """A crystal or a diatomic molecule whose heat of atomisation is known.

    Args:
        formula: Reduced.
        length: Lattice constant of the cubic cell, or the bond, Å, measured.
        atomisation: Energy that takes it apart into free atoms, eV/atom, at 298 K.
        kind: Of structure, in the words of `ase.build.bulk`; None for a molecule.
    """

    formula: str
    length: float
    atomisation: float
    kind: str | None = None

    @property
    def label(self) -> str:
        """What it is, and its formula."""
        return f"{_MOLECULE if self.kind is None else _CRYSTAL} {self.formula}"

    @property
    def scales(self) -> list[float]:
        """Lengths that are computed, over the known one."""
        return [s for s in _SCALES if self.kind is None or s >= _LEAST]

    def structure(self, scale: float) -> Structure:
        """With all distances multiplied; a molecule in a wide box."""
        length = scale * self.length
        if self.kind is not None:
            return atoms_to_structure(bulk(self.formula, self.kind, a=length))
        atoms = Atoms(self.formula, [[0, 0, 0], [0, 0, length]], cell=[_BOX] * 3, pbc=True)
        return atoms_to_structure(atoms)


@cache
def bonded() -> tuple[Bonded, ...]:
    """The table `resources/bonds.json`."""
    table = json.loads((files("ase_crysdiff.resources") / "bonds.json").read_text())
    found = []
    for entry in [*table["crystals"], *table["molecules"]]:
        counts = Atoms(entry["formula"]).symbols.formula.count()
        heat = sum(n * table["free_atoms"][symbol] for symbol, n in counts.items())
        energy = (heat - entry["heat_of_formation"]) * kJ / mol / sum(counts.values())
        found.append(Bonded(entry["formula"], entry["length"], energy, entry.get("kind")))
    return tuple(found)


class Dissociation(Section):
    """Energies of expanded crystals, and of molecules with a pressed and a stretched bond.

    From the bottom outwards the energy must rise, up to that of the free atoms; of a molecule it
    must rise inwards, too. A potential may refuse to answer: that is counted, and no fault.
    """

    name, title = "dissociation", "coming apart into free atoms"

    def __init__(self) -> None:
        self.known = {one.label: one for one in bonded()}
        self.settings = {"scales": [_SCALES[0], _SCALES[-1], len(_SCALES)], "box": _BOX}

    def items(self, folder: Store) -> list[Item]:
        return [Item(label, one) for label, one in self.known.items()]

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        return single(lambda one: curve(one, contender.potential), given)

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        rows = []
        for kind in (_CRYSTAL, _MOLECULE):
            ways = [
                _way(self.known[label], energies)
                for label, energies in found.values.items()
                if label.startswith(kind)
            ]
            errors = [way.error for way in ways if way.error is not None]
            falls = [way.outwards for way in ways]
            rows += [
                Row(f"{kind}s whose energy falls outwards", "1", sum(f > _TIE for f in falls)),
                Row(f"{kind}s: largest such fall", "eV/atom", largest(falls)),
                Row(f"{kind}s: refused on the way", "1", sum(way.refused for way in ways)),
                Row(f"{kind}s: energy of free atoms, mean |error|", "eV/atom", mean_size(errors)),
            ]
            if kind == _MOLECULE:
                inside = sum(way.inwards > _TIE for way in ways)
                rows.append(Row("molecules whose energy falls inwards", "1", inside))
            rows.append(Row(f"{kind}s", "1", len(ways)))
        return rows


@dataclass(frozen=True)
class _Way:
    """How a curve runs on both sides of its bottom.

    Args:
        outwards: By how much the energy falls there, at most, eV/atom.
        inwards: The same on the other side.
        refused: Whether the way outwards ends before its last point.
        error: Of the energy of the free atoms above the bottom, eV/atom; None if it was refused.
    """

    outwards: float
    inwards: float
    refused: bool
    error: float | None


def curve(one: Bonded, potential: Potential) -> list[float | None]:
    """Energies, eV/atom, by scale; None where the potential refuses.

    Raises:
        InputError: If it refuses where the atoms are bonded, too; the message says why.
    """
    structures = [one.structure(scale) for scale in one.scales]
    found = evaluate_each(potential, configurations(structures), derivatives=False)
    energies: list[float | None] = [
        energy / len(structure) if i not in found.failures and np.isfinite(energy) else None
        for i, (energy, structure) in enumerate(
            zip(found.energy.to(torch.float64).tolist(), structures, strict=True)
        )
    ]
    if _bottom(one.scales, energies) is None:
        reason = next(iter(found.failures.values()), "an energy that is not finite")
        raise InputError(f"There is no energy of {one.formula} as it is known: {reason}")
    return energies


def _bottom(scales: Sequence[float], energies: Curve) -> int | None:
    """Where the energy of bonded atoms is lowest; None if there is none."""
    low, high = _BONDED
    inside = {
        i: energy
        for i, (scale, energy) in enumerate(zip(scales, energies, strict=True))
        if low <= scale <= high and energy is not None
    }
    return min(inside, key=lambda i: inside[i], default=None)


def _way(one: Bonded, energies: Curve) -> _Way:
    bottom = _bottom(one.scales, energies)
    assert bottom is not None
    outer, inner = _answered(energies[bottom:]), _answered(energies[bottom::-1])
    refused = len(outer) < len(energies) - bottom
    error = None if refused else outer[-1] - outer[0] - one.atomisation
    return _Way(_fall(outer), _fall(inner), refused, error)


def _answered(energies: Curve) -> list[float]:
    """Up to where the potential refuses."""
    return [e for e in itertools.takewhile(lambda e: e is not None, energies) if e is not None]


def _fall(energies: Sequence[float]) -> float:
    """By how much the last of some energies lies below one before it, at most."""
    return max(
        top - energy
        for top, energy in zip(itertools.accumulate(energies, max), energies, strict=True)
    )
