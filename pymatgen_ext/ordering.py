"""Whole atoms on the sites of a disordered crystal."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from pymatgen.core import Element, Structure

from ase_crysdiff import arguments
from ase_crysdiff.crystal.convert import as_structure
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.relaxation.ranking import rank
from ase_crysdiff.symmetry.own_cell import operations_of
from pymatgen_ext.shared_sites import (
    SharedSites,
    check_none_vanishes,
    shared_sites,
    supercell_of,
)

#: Up to so many ways to distribute the atoms are all looked at; of more, random ones.
_ALL = 20_000
#: Random ways that are tried for each one that is wanted.
_TRIES = 50
_EMPTY = 0

#: What is on each shared site, by its atomic number; 0 for nothing.
Filling = tuple[int, ...]


def orderings(
    structure: Structure | Atoms,
    supercell: int | Sequence[int] | ArrayLike | None = None,
    *,
    most: int = 20,
    potential: "PotentialLike | None" = None,
    seed: int = 0,
) -> list[Structure]:
    """Ordered crystals on the sites of a disordered one, of each set that symmetry makes equal one.

    How many atoms there are of each element follows `from_disordered`. If there are more ways to
    distribute them than can be looked at, random ones are. Ask `StructureSampler.inpaint` where the
    given sites themselves are in doubt.

    Args:
        structure: Periodic along three axes, with at least one disordered site.
        supercell: A number, three numbers or a matrix of whole numbers that multiplies the cell;
            None keeps it.
        most: How many orderings to return at most.
        potential: Name of a potential, a potential or an ASE calculator: the lowest energies of all
            that were looked at come first (`crysdiff_energy_per_atom`, eV/atom), as they are; relax
            them next.
        seed: Of random ways.

    Returns:
        Structures with the sites of the given one that are occupied, in their order.

    Raises:
        InputError: If nothing is disordered, a keyword makes no sense, or an element rounds to no
            atoms; the message then names the smallest supercell that holds all.
    """
    given = as_structure(structure)
    if given.is_ordered:
        raise InputError(f"{given.composition.formula} is ordered as it is.")
    wanted, start = arguments.positive("most", most), arguments.positive("seed", seed, 0)
    loaded = None if potential is None else as_potential(potential)
    cell = supercell_of(given, supercell)
    full, groups = shared_sites(cell)
    check_none_vanishes(cell, groups, [cell[i].specie.symbol for i in full])
    found: dict[Filling, Filling] = {}
    permutations = _permutations(cell, groups)
    looked_at = wanted if loaded is None else _ALL
    for filling in _fillings(groups, wanted, np.random.default_rng(start)):
        found.setdefault(_standard(filling, permutations), filling)
        if len(found) == looked_at:
            break
    places = [i for group in groups for i in group.sites]
    ordered = [
        _ordered(cell, dict(zip(places, filling, strict=True)), index)
        for index, filling in enumerate(found.values())
    ]
    if loaded is not None:
        ordered, _ = rank(ordered, loaded, 0.0)
    return ordered[:wanted]


def _permutations(cell: Structure, groups: Sequence[SharedSites]) -> NDArray[np.int64]:
    """What the symmetry of the average crystal does to its shared sites, shape (operations,
    sites).
    """
    places = [i for group in groups for i in group.sites]
    # A different element stands for each group, and for each element of the full sites.
    kinds = [str(site.species.element_composition) for site in cell]
    for number, group in enumerate(groups):
        for i in group.sites:
            kinds[i] = f"shared {number}"
    names = {kind: Element.from_Z(z) for z, kind in enumerate(dict.fromkeys(kinds), start=1)}
    average = Structure(cell.lattice, [names[kind] for kind in kinds], cell.frac_coords)
    moves = operations_of(average).operations.permutations[:, places]
    position = np.full(len(cell), -1)
    position[places] = np.arange(len(places))
    found: NDArray[np.int64] = np.unique(position[moves], axis=0)
    return found


def _standard(filling: Filling, permutations: NDArray[np.int64]) -> Filling:
    """The largest of the fillings that symmetry makes equal to one."""
    images = np.array(filling)[permutations]
    order = np.lexsort(images.T[::-1])
    return tuple(images[order[-1]].tolist())


def _fillings(
    groups: Sequence[SharedSites], wanted: int, draw: np.random.Generator
) -> Iterator[Filling]:
    """Ways to fill the sites, all of them if there are few."""
    contents = [_contents(group.counts(), len(group.sites)) for group in groups]
    if math.prod(_ways(content) for content in contents) <= _ALL:
        yield from _products(contents)
        return
    for _ in range(_TRIES * wanted):
        yield tuple(z for content in contents for z in draw.permutation(content).tolist())


def _contents(counts: Mapping[str, int], sites: int) -> Filling:
    numbers = [Element(symbol).Z for symbol, count in counts.items() for _ in range(count)]
    return tuple(numbers + [_EMPTY] * (sites - len(numbers)))


def _ways(content: Filling) -> int:
    return math.factorial(len(content)) // math.prod(
        math.factorial(content.count(z)) for z in set(content)
    )


def _products(contents: Sequence[Filling]) -> Iterator[Filling]:
    if not contents:
        yield ()
        return
    for first in _arrangements(contents[0]):
        for rest in _products(contents[1:]):
            yield first + rest


def _arrangements(content: Filling) -> Iterator[Filling]:
    """The different orders of a filling."""
    if not content:
        yield ()
        return
    for z in dict.fromkeys(content):
        place = content.index(z)
        for rest in _arrangements(content[:place] + content[place + 1 :]):
            yield (z, *rest)


def _ordered(cell: Structure, filling: Mapping[int, int], index: int) -> Structure:
    """The cell with whole atoms on its shared sites."""
    kept = [i for i in range(len(cell)) if filling.get(i, -1) != _EMPTY]
    ordered = Structure.from_sites([cell[i] for i in kept])
    for k, i in enumerate(kept):
        if i in filling:
            ordered.replace(k, Element.from_Z(filling[i]), properties=cell[i].properties)
    ordered.properties = {**cell.properties, "crysdiff_index": index}
    return ordered
