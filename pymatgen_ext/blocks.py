"""Building blocks as users give them: molecules, or a framework that is cut into its blocks."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from ase import Atoms
from pymatgen.core import Element, Molecule, Structure

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.convert import as_structure
from ase_crysdiff.crystal.coordinates import positions_of
from ase_crysdiff.crystal.reduction import computable_cell, niggli, primitive
from ase_crysdiff.errors import InputError
from ase_crysdiff.frameworks.blocks import BuildingBlock, Framework
from ase_crysdiff.frameworks.cutting import cut

#: A framework whose blocks are taken, or molecules, each as often as the cell holds it.
BlocksLike: TypeAlias = Structure | Atoms | Iterable[Molecule | Atoms]


def building_blocks(structure: Structure | Atoms) -> list[Molecule]:
    """The rigid building blocks of a framework: metal nodes and linkers of its primitive cell.

    Atoms are bonded within 1.2 times the sum of their covalent radii (Cordero et al. 2008), 1.25
    times where one is a metal. Connected atoms that are no metals and hold carbon are linkers;
    metals and what else hangs together with them (oxygen, water, halogens) are nodes. A node
    without end, such as a rod of metals and oxygen, is cut at the bonds of its metals.

    Args:
        structure: Ordered and periodic, a structure or ASE atoms.

    Returns:
        One molecule per block, its atoms where they are in the Niggli cell, whole across its
        borders. What `StructureSampler("mofflow").sample(building_blocks=...)` takes.

    Raises:
        InputError: If it is no crystal, has no metal, or a part without metals has no end.
    """
    found = _cut(structure)
    return [
        Molecule(
            [Element.from_Z(int(z)) for z in block.species],
            centre @ found.lattice + block.positions @ rotation.T,
        )
        for block, centre, rotation in zip(
            found.blocks, found.centres, found.rotations, strict=True
        )
    ]


def blocks_of(given: Any) -> tuple[BuildingBlock, ...]:
    """Blocks in frames of their own, from what users give.

    Raises:
        InputError: If it is neither a framework nor molecules, or a block cannot be used.
    """
    if isinstance(given, Structure) or (isinstance(given, Atoms) and given.pbc.any()):
        return _cut(given).blocks
    if isinstance(given, Molecule | Atoms | str) or not isinstance(given, Iterable):
        raise InputError(
            "building_blocks takes a framework to be cut (Structure, periodic Atoms), or several "
            f"molecules in a list, each as often as the cell holds it; got {_kind(given)}."
        )
    blocks = [_block(number, one) for number, one in enumerate(given)]
    if len(blocks) < 2:
        raise InputError(
            f"A framework takes two building blocks at least, got {len(blocks)}. Name each one as "
            "often as it occurs in the cell, such as [node] * 2 + [linker] * 6."
        )
    return tuple(blocks)


def read_molecule(path: str | Path) -> Atoms:
    """A molecule from a file that ASE can read, without a cell.

    Raises:
        InputError: If it cannot be read.
    """
    import ase.io

    try:
        found = ase.io.read(path)
    except Exception as error:  # of any of the many readers
        raise InputError(
            f"{path} cannot be read as a molecule ({type(error).__name__}: {error}). Give XYZ, MOL "
            "or another file of one molecule that ASE knows."
        ) from error
    assert isinstance(found, Atoms)
    return found


def _cut(structure: Any) -> Framework:
    return cut(niggli(primitive(computable_cell(as_structure(structure)))), symmetries=False)


def _block(number: int, given: Any) -> BuildingBlock:
    """One block from a molecule."""
    if isinstance(given, BuildingBlock):
        return given
    if isinstance(given, Structure) or (isinstance(given, Atoms) and given.pbc.any()):
        raise InputError(
            f"Building block {number} is periodic; a block is a molecule that moves as one. Give a "
            "framework alone, not in a list, to have it cut into its blocks."
        )
    if isinstance(given, Atoms):
        species, positions = given.numbers, given.positions
    elif isinstance(given, Molecule):
        species, positions = _numbers(number, given), positions_of(given)
    else:
        raise InputError(
            f"Building block {number} is {_kind(given)}; give a pymatgen Molecule or ASE Atoms "
            "without a cell."
        )
    try:
        return BuildingBlock.of(
            np.asarray(species, dtype=np.int64), np.array(positions).reshape(-1, 3)
        )[0]
    except InputError as error:
        raise InputError(f"Building block {number}: {error}") from error


def _numbers(number: int, molecule: Molecule) -> list[int]:
    found = []
    for place, site in enumerate(molecule):
        element = None if not site.is_ordered else getattr(site.specie, "element", site.specie)
        if not isinstance(element, Element) or element.Z >= NUM_SPECIES:
            raise InputError(
                f"Site {place} of building block {number} holds {site.species_string}, which is no "
                f"element from 1 to {NUM_SPECIES - 1} alone."
            )
        found.append(int(element.Z))
    return found


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {value!r}" if isinstance(value, str) else type(value).__name__
