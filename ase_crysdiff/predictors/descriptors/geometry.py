"""What a crystal's shape tells without a network: density, bonds, coordination, symmetry."""

import warnings
from dataclasses import dataclass

import numpy as np
import spglib
import torch
from numpy.typing import NDArray

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.elements import MASSES
from ase_crysdiff.geometry.neighbors import neighbor_list
from ase_crysdiff.networks.element_properties import covalent_radii, electronegativities
from ase_crysdiff.symmetry.refinement import SYMMETRY_ERRORS

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

#: Bonds of an atom are those up to this multiple of its shortest, in sums of covalent radii.
_BONDED = 1.25
_CUTOFF = 6.0
_SYMPREC = 0.01
_SYSTEMS = (1, 3, 16, 75, 143, 168, 195)
#: g/cm³ of one atomic mass unit in one Å³.
_DENSITY = 1.66053906660
#: Å; planes that are nearer to each other than spheres are wide have none but overlapping ones.
_FAR = 2.0


@dataclass(frozen=True)
class Table:
    """Columns by name, one row for each crystal."""

    names: tuple[str, ...]
    rows: Array


def geometry(crystals: CrystalBatch) -> Table:
    """Numbers that do not depend on orientation, origin or order of the atoms.

    Args:
        crystals: In their reduced cells.
    """
    columns = _cells(crystals) | _bonds(crystals)
    alone = [_of_one(crystal) for crystal in crystals.split()]
    columns |= {name: np.array([one[name] for one in alone]) for name in (alone or [{}])[0]}
    return Table(tuple(columns), np.stack(list(columns.values()), axis=1))


def _cells(crystals: CrystalBatch) -> dict[str, Array]:
    lattice, atoms = crystals.lattice.double().numpy(), crystals.num_atoms.numpy()
    owner = np.repeat(np.arange(len(atoms)), atoms)
    volume = np.abs(np.linalg.det(lattice))
    edges = np.sort(np.linalg.norm(lattice, axis=2), axis=1)
    radii = covalent_radii().numpy()[crystals.species.numpy()]
    masses = np.array(MASSES)[crystals.species.numpy()]

    def total(values: Array) -> Array:
        return np.bincount(owner, values, len(atoms)).astype(np.float64)

    return {
        "volume per atom": volume / atoms,
        "density": _DENSITY * total(masses) / volume,
        "packing": total(4 / 3 * np.pi * radii**3) / volume,
        "number of atoms": atoms.astype(float),
        "shortest edge": edges[:, 0],
        "middle over shortest edge": edges[:, 1] / edges[:, 0],
        "longest over shortest edge": edges[:, 2] / edges[:, 0],
    }


def _bonds(crystals: CrystalBatch) -> dict[str, Array]:
    lattice, count = crystals.lattice.double(), len(crystals)
    owner = torch.arange(count).repeat_interleave(crystals.num_atoms)
    positions = (crystals.frac_coords.double().unsqueeze(1) @ lattice[owner]).squeeze(1)
    periodic = torch.ones(count, 3, dtype=torch.bool)
    pairs = neighbor_list(positions, lattice, periodic, crystals.num_atoms, _CUTOFF)
    distance = torch.linalg.vector_norm(pairs.vectors(positions, lattice, owner), dim=1).numpy()
    first, second = pairs.receivers.numpy(), pairs.senders.numpy()
    radii = covalent_radii().numpy()[crystals.species.numpy()]
    pull = electronegativities().numpy()[crystals.species.numpy()]
    relative = distance / (radii[first] + radii[second])
    nearest, snug = np.full(len(radii), _CUTOFF), np.full(len(radii), 3.0)
    np.minimum.at(nearest, first, distance)
    np.minimum.at(snug, first, relative)
    bonded = relative <= np.maximum(snug, 1.0)[first] * _BONDED
    of_atom, of_bond = owner.numpy(), owner.numpy()[first[bonded]]
    columns: dict[str, Array] = {}
    for name, values, whose in (
        ("nearest neighbour", nearest, of_atom),
        ("nearest neighbour in radii", snug, of_atom),
        ("neighbours", np.bincount(first[bonded], minlength=len(radii)).astype(float), of_atom),
        ("bond length", distance[bonded], of_bond),
        ("contrast of bonds", np.abs(pull[first] - pull[second])[bonded], of_bond),
    ):
        columns |= _statistics(name, values, whose, count)
    volume = torch.linalg.det(lattice).abs().numpy()
    return columns | {"bonds per volume": np.bincount(of_bond, minlength=count) / volume}


def _statistics(name: str, values: Array, owner: Numbers, count: int) -> dict[str, Array]:
    """Of the values of each crystal; 0 where there are none."""
    number = np.maximum(np.bincount(owner, minlength=count), 1)
    mean = np.bincount(owner, values, count) / number
    square = np.bincount(owner, (values - mean[owner]) ** 2, count) / number
    least, largest = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(least, owner, values)
    np.maximum.at(largest, owner, values)
    return {
        f"mean {name}": mean,
        f"deviation of {name}": np.sqrt(square),
        f"least {name}": np.where(np.isfinite(least), least, 0.0),
        f"largest {name}": np.where(np.isfinite(largest), largest, 0.0),
    }


def _of_one(crystal: CrystalBatch) -> dict[str, float]:
    lattice = crystal.lattice[0].double().numpy()
    frac, species = crystal.frac_coords.double().numpy(), crystal.species.numpy()
    radii = covalent_radii().numpy()[species]
    return {"empty slab": _empty_slab(lattice, frac, radii)} | _symmetry(lattice, frac, species)


def _empty_slab(lattice: Array, frac: Array, radii: Array) -> float:
    """The widest slab between lattice planes that no atom's sphere reaches, Å; negative where the
    spheres overlap. Layered crystals have wide ones. Which planes are looked at must not depend on
    the cell that describes the crystal: all that are far apart.
    """
    planes, spacing = _planes(lattice)
    period = spacing[:, None]
    low = (planes @ frac.T * period - radii) % period
    order = np.argsort(low, axis=1)
    low = np.take_along_axis(low, order, 1)
    high = low + 2 * radii[order]
    reached = np.maximum.accumulate(np.concatenate([high - period, high], axis=1), axis=1)
    above = np.concatenate([low[:, 1:], low[:, :1] + period], axis=1)
    return float((above - reached[:, low.shape[1] :]).max())


def _planes(lattice: Array) -> tuple[Array, Array]:
    """Miller indices of the lattice planes that are as far apart as they must be to hold an empty
    slab, and their spacings, Å; if there are none, of those that are farthest apart.
    """
    # A vector of the lattice crosses as many planes as its index says.
    most = np.ceil(np.linalg.norm(lattice, axis=1) / _FAR).astype(int)
    box = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1)
    indices = box.reshape(-1, 3)[box.size // 6 + 1 :].astype(np.float64)  # one of each pair
    spacing = 1 / np.linalg.norm(indices @ np.linalg.inv(lattice).T, axis=1)
    far = spacing >= min(_FAR, float(spacing.max())) - 1e-4
    return indices[far], spacing[far]


def _symmetry(lattice: Array, frac: Array, species: Numbers) -> dict[str, float]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how errors will be told
            found = spglib.get_symmetry_dataset((lattice, frac, species), symprec=_SYMPREC)
    except SYMMETRY_ERRORS:
        found = None
    number, turns, kinds = 1, np.eye(3, dtype=int)[None], len(species)
    if found is not None:
        number, turns = int(found.number), np.unique(found.rotations, axis=0)
        kinds = len(np.unique(found.equivalent_atoms))
    return {
        "space group": float(number),
        "crystal system": float(sum(number >= first for first in _SYSTEMS)),
        "point operations": float(len(turns)),
        "has inversion": float((turns == -np.eye(3, dtype=int)).all((1, 2)).any()),
        "is chiral": float((np.linalg.det(turns) > 0).all()),
        "has polar axis": float(np.abs(turns.mean(0)).max() > 1e-9),
        "kinds of sites": float(kinds),
    }
