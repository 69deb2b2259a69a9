"""Frameworks cut into their building blocks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray

from ase_crysdiff.crystal.reduction import Cell
from ase_crysdiff.errors import InputError
from ase_crysdiff.frameworks.blocks import Array, BuildingBlock, Framework
from ase_crysdiff.frameworks.superposing import superpositions

#: Atoms are bonded up to this multiple of the sum of their covalent radii, the second where one of
#: them is a metal.
BOND, METAL_BOND = 1.2, 1.25
#: Atomic numbers of the elements that are no metals: H, He, B-Ne, Si-Ar, Ge-Kr, Sb-Xe.
NONMETALS = frozenset({1, 2, *range(5, 11), *range(14, 19), *range(32, 37), *range(51, 55)})
_CARBON = 6


def cut(cell: Cell, symmetries: bool = True) -> Framework:
    """A framework cut between metal nodes and linkers.

    Atoms are bonded within 1.2 times the sum of their covalent radii, 1.25 times where one is a
    metal. Connected atoms that are no metals and hold carbon are linkers; metals and what else is
    connected to them (oxygen, water, halogens) are nodes. A node that has no end, such as a rod of
    metals and oxygen, is cut at the bonds of its metals.

    Args:
        cell: The framework.
        symmetries: Whether to look for the rotations of each block, which only training needs.

    Raises:
        InputError: If it has no metal, a linker has no end, or nothing is left to be assembled: one
            block alone.
    """
    species = cell.species
    metal = is_metal(species)
    if not metal.any():
        raise InputError(
            "The structure has no metal, at whose bonds a framework is cut. Give its building "
            "blocks one by one, as molecules."
        )
    bonds = _bonds(cell, metal)
    organic = np.zeros(len(species), dtype=bool)
    parts: list[_Part] = []
    for part in _parts(np.flatnonzero(~metal), bonds, lambda i, j: not (metal[i] or metal[j])):
        if part.endless:
            symbols = "carbon" if (species[part.atoms] == _CARBON).any() else "other atoms"
            raise InputError(
                f"A part of the structure without metals ({symbols}, {len(part.atoms)} atoms) has "
                "no end: it is bonded to its own periodic images and is no building block."
            )
        if (species[part.atoms] == _CARBON).any():
            organic[part.atoms] = True
            parts.append(part)
    for part in _parts(
        np.flatnonzero(~organic), bonds, lambda i, j: not (organic[i] or organic[j])
    ):
        if not part.endless:
            parts.append(part)
            continue
        parts += _parts(
            part.atoms, bonds, lambda i, j: not (organic[i] or organic[j] or metal[i] or metal[j])
        )
    if len(parts) < 2:
        raise InputError(
            "The structure is one building block: there is nothing to be assembled. Is it a "
            "molecular crystal?"
        )
    return _placed(cell, parts, symmetries)


def is_metal(species: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether atoms, by their atomic numbers, are metals, at whose bonds frameworks are cut."""
    return ~np.isin(species, list(NONMETALS))


@dataclass(frozen=True)
class _Part:
    """Connected atoms, the cell in which each lies, and whether they go on without end."""

    atoms: NDArray[np.int64]
    offsets: NDArray[np.int64]
    endless: bool


#: Of every atom those that it is bonded to, each with the cell that it lies in.
_Bonds = list[list[tuple[int, NDArray[np.int64]]]]


def _bonds(cell: Cell, metal: NDArray[np.bool_]) -> _Bonds:
    radii = covalent_radii[cell.species]
    reach = 2 * METAL_BOND * float(radii.max())
    first, second, offsets, distances = pairs_with_offsets(cell, reach)
    factor = np.where(metal[first] | metal[second], METAL_BOND, BOND)
    near = distances < factor * (radii[first] + radii[second])
    bonds: _Bonds = [[] for _ in cell.species]
    for i, j, offset in zip(first[near], second[near], offsets[near], strict=True):
        bonds[i].append((int(j), offset))
    return bonds


def pairs_with_offsets(
    cell: Cell, reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Array]:
    """Ordered pairs of atoms within a reach, the cell of the second, and their distance, Å."""
    from vesin import NeighborList  # type: ignore[import-untyped]

    search = NeighborList(cutoff=reach, full_list=True, n_threads=1)
    positions = np.ascontiguousarray(cell.frac_coords @ cell.lattice)
    i, j, offsets, distances = search.compute(
        positions, np.ascontiguousarray(cell.lattice), True, "ijSd"
    )
    return i.astype(np.int64), j.astype(np.int64), offsets.astype(np.int64), distances


def _parts(
    atoms: NDArray[np.int64], bonds: _Bonds, joins: Callable[[int, int], bool]
) -> list[_Part]:
    """The connected parts of some atoms, by those bonds that join."""
    found: list[_Part] = []
    seen: set[int] = set()
    for start in atoms.tolist():
        if start in seen:
            continue
        offsets = {start: np.zeros(3, dtype=np.int64)}
        todo, endless = [start], False
        while todo:
            i = todo.pop()
            for j, step in bonds[i]:
                if not joins(i, j):
                    continue
                offset = offsets[i] + step
                if j not in offsets:
                    offsets[j] = offset
                    todo.append(j)
                elif (offsets[j] != offset).any():
                    endless = True
        seen |= set(offsets)
        order = sorted(offsets)
        found.append(_Part(np.array(order), np.array([offsets[i] for i in order]), endless))
    return found


def _placed(cell: Cell, parts: list[_Part], symmetries: bool) -> Framework:
    """Blocks in frames of their own; of like ones the later take the frame of the first."""
    blocks: list[BuildingBlock] = []
    centres: list[Array] = []
    rotations: list[Array] = []
    kinds: list[int] = []
    ways: list[Array] = []
    for number, part in enumerate(parts):
        places = (cell.frac_coords[part.atoms] + part.offsets) @ cell.lattice
        block, centre, rotation = BuildingBlock.of(cell.species[part.atoms], places)
        kind = number
        for earlier in sorted(set(kinds)):
            first = blocks[earlier]
            turns = superpositions(
                block.species, block.positions, first.species, first.positions, most=1
            )
            if len(turns):
                kind = earlier
                block = BuildingBlock(block.species, block.positions @ turns[0].T)
                rotation = rotation @ turns[0].T
                break
        blocks.append(block)
        centres.append((centre @ np.linalg.inv(cell.lattice)) % 1.0)
        rotations.append(rotation)
        kinds.append(kind)
        if not symmetries:
            ways.append(np.eye(3)[None])
        elif kind == number:
            found = superpositions(block.species, block.positions, block.species, block.positions)
            ways.append(found if len(found) else np.eye(3)[None])
        else:
            ways.append(ways[kind])
    return Framework(
        cell.lattice,
        tuple(blocks),
        np.array(centres),
        np.array(rotations),
        np.array(kinds),
        tuple(ways),
        tuple(part.atoms for part in parts),
    )
