"""From a crystal with partially occupied sites to a host and guests."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import overload

from ase import Atoms
from numpy.typing import ArrayLike
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import as_structure
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.loading import PotentialLike
from pymatgen_ext.shared_sites import check_none_vanishes, shared_sites, supercell_of


@overload
def from_disordered(
    structure: Structure | Atoms,
    supercell: int | Sequence[int] | ArrayLike | None = None,
    *,
    orderings: None = None,
) -> tuple[Structure, dict[str, int]]: ...
@overload
def from_disordered(
    structure: Structure | Atoms,
    supercell: int | Sequence[int] | ArrayLike | None = None,
    *,
    orderings: int,
    potential: "PotentialLike | None" = None,
    seed: int = 0,
) -> list[Structure]: ...
def from_disordered(
    structure: Structure | Atoms,
    supercell: int | Sequence[int] | ArrayLike | None = None,
    *,
    orderings: int | None = None,
    potential: "PotentialLike | None" = None,
    seed: int = 0,
) -> tuple[Structure, dict[str, int]] | list[Structure]:
    """The fully occupied sites of a crystal, and how many atoms belong on the others; or whole
    atoms on all of its sites.

    Sites that are partially occupied, or shared by several elements, are taken out; their contents
    become guests. Of sites with the same occupancies there are as many guests and empty sites
    together as sites: amounts become whole by largest remainders, elements before empty sites. A
    larger cell rounds less: `host.properties["crysdiff_occupancies"]` holds for each element what
    the occupancies add up to and what was taken. With `orderings` the atoms are put on the given
    sites instead, in up to so many ways of which symmetry makes no two equal.

    Args:
        structure: Periodic along three axes, with at least one disordered and one ordered site.
            Sites that one element fills in several oxidation states are ordered.
        supercell: A number, three numbers or a matrix of whole numbers that multiplies the cell,
            as `Structure.make_supercell` takes it; None keeps the cell.
        orderings: How many ordered crystals to return at most; None returns host and guests.
        potential: Of `orderings`: a name, a potential or an ASE calculator; the lowest energies of
            all that were looked at come first (`crysdiff_energy_per_atom`, eV/atom), as they are.
        seed: Of `orderings`, where there are more than can be looked at.

    Returns:
        The host, its sites as they were given, and the guests as `StructureSampler.inpaint` takes
        them; with `orderings` a list of structures.

    Raises:
        InputError: If nothing or everything is disordered, or an element rounds to no atoms; the
            message then names the smallest supercell that holds all.
    """
    if orderings is not None:
        from pymatgen_ext.ordering import orderings as all_orderings

        return all_orderings(structure, supercell, most=orderings, potential=potential, seed=seed)
    if potential is not None:
        raise InputError("A potential is asked about orderings; say how many.")
    given = as_structure(structure)
    if given.is_ordered:
        raise InputError(
            f"{given.composition.formula} has no partially occupied site. Pass it to inpaint "
            "as it is."
        )
    cell = supercell_of(given, supercell)
    full, groups = shared_sites(cell)
    if not full:
        raise InputError(
            f"Every site of {given.composition.formula} is partially occupied or shared, so "
            "there is no host. from_disordered(structure, orderings=20) puts whole atoms on its "
            "sites; or predict the structure of its composition."
        )
    check_none_vanishes(cell, groups, [cell[i].specie.symbol for i in full])
    taken: Counter[str] = Counter()
    wanted: dict[str, float] = defaultdict(float)
    for group in groups:
        taken.update(group.counts())
        for symbol, amount in group.amounts.items():
            wanted[symbol] += amount
    host = Structure.from_sites([cell[i] for i in full])
    host.properties = {
        "crysdiff_occupancies": {
            symbol: {"occupancy": round(amount, 6), "taken": taken[symbol]}
            for symbol, amount in wanted.items()
        }
    }
    return host, {symbol: number for symbol, number in taken.items() if number}
