"""Structure ↔ CrystalBatch ↔ Atoms: the only converters."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from os import PathLike
from typing import Any

import numpy as np
import torch
from ase import Atoms
from pymatgen.core import Element, Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.coordinates import frac_coords_of
from ase_crysdiff.crystal.decorations import ordered_by_element
from ase_crysdiff.crystal.held_atoms import FLAGS, constraints_of, flags_of
from ase_crysdiff.errors import InputError

#: Site property of filled hosts: "host" or "guest".
ROLE = "crysdiff_role"


def check_structure(structure: Structure) -> None:
    """Refuses what no model of this package can represent.

    Raises:
        InputError: If the structure is empty, disordered, not periodic in three directions, flat or
            not finite, or holds an element above Z = 99 or a dummy species.
    """
    if len(structure) == 0:
        raise InputError("The structure has no atoms.")
    if not structure.is_ordered:
        raise InputError(
            f"{structure.composition.formula} is disordered (a site is partially occupied or "
            "shared); only ordered structures can be used. pymatgen_ext.from_disordered makes a "
            "host and guests of it, and with orderings=20 puts whole atoms on its sites."
        )
    if not all(structure.lattice.pbc):
        raise InputError(
            f"The structure is periodic along {structure.lattice.pbc} only; three directions are "
            "needed."
        )
    if not (
        np.isfinite(structure.lattice.matrix).all() and np.isfinite(structure.frac_coords).all()
    ):
        raise InputError("The lattice or a coordinate is not finite.")
    if np.linalg.matrix_rank(structure.lattice.matrix) < 3:
        raise InputError("The lattice is flat: its three vectors lie in a plane.")
    for site in structure:
        number = getattr(site.specie, "Z", None)
        if number is None or not 1 <= number < NUM_SPECIES:
            raise InputError(f"{site.specie} is no element from H (1) to Es ({NUM_SPECIES - 1}).")


def from_structures(structures: Sequence[Structure]) -> CrystalBatch:
    """A batch of ordered structures, in the given order. Oxidation states and site properties are
    dropped.

    Raises:
        InputError: If a structure cannot be represented; the message gives its position.
    """
    for position, structure in enumerate(structures):
        try:
            check_structure(structure)
        except InputError as error:
            raise InputError(f"Structure {position}: {error}") from error
    return CrystalBatch(
        torch.tensor(
            np.array([s.lattice.matrix for s in structures]).reshape(-1, 3, 3), dtype=torch.float32
        ),
        torch.tensor(
            np.concatenate([frac_coords_of(s) for s in structures] or [np.zeros((0, 3))]),
            dtype=torch.float32,
        ),
        torch.tensor([site.specie.Z for s in structures for site in s], dtype=torch.long),
        torch.tensor([len(s) for s in structures], dtype=torch.long),
    )


def from_atoms(atoms: Sequence[Atoms]) -> CrystalBatch:
    """A batch of fully periodic ASE atoms, in the given order."""
    return from_structures([atoms_to_structure(a) for a in atoms])


def atoms_to_structure(atoms: Atoms) -> Structure:
    """The pymatgen structure of fully periodic atoms, wrapped into the cell.

    Arrays become site properties and `info` becomes the structure's properties, by the names of
    pymatgen's `AseAtomsAdaptor` (initial magnetic moments are `magmom`, constraints
    `selective_dynamics`). A calculator and its results stay behind: they belong to the atoms.

    Args:
        atoms: Atoms that are periodic in three directions; not changed.

    Raises:
        InputError: If the cell is not periodic in three directions or lacks a vector.
    """
    if not atoms.pbc.all():
        raise InputError(
            f"The atoms are periodic along {atoms.pbc.tolist()} only; set atoms.pbc = True and a "
            "cell."
        )
    if atoms.cell.rank < 3:
        raise InputError(
            f"The cell of the atoms has {atoms.cell.rank} of three vectors; set atoms.cell."
        )
    bare = atoms.copy()  # leaves the calculator behind
    bare.info = {
        k: v.tolist() if isinstance(v, np.ndarray | np.generic) else v for k, v in bare.info.items()
    }
    flags = flags_of(bare)
    bare.set_constraint()
    structure: Structure = AseAtomsAdaptor.get_structure(bare, to_unit_cell=True)
    if flags is not None:
        structure.add_site_property(FLAGS, flags)
    return structure


def as_structure(entry: Any) -> Structure:
    """A structure as it is, or that of ASE atoms; sites that only oxidation states or isotopes of
    one element share have that element.

    Args:
        entry: What a user has given as one crystal.

    Raises:
        InputError: If it is neither, or the atoms are not periodic in three directions.
    """
    structure = atoms_to_structure(entry) if isinstance(entry, Atoms) else entry
    if not isinstance(structure, Structure):
        raise InputError(f"Expected a pymatgen Structure or ASE Atoms, got {type(entry).__name__}.")
    return ordered_by_element(structure)


def entries_of(crystals: Structure | Atoms | Iterable[Any]) -> list[Any]:
    """The entries of a list of crystals; one crystal by itself is a list of one.

    Raises:
        InputError: If it is the name of a file, or nothing that has entries.
    """
    if isinstance(crystals, str | bytes | PathLike):
        raise InputError(
            f"Expected structures or ASE atoms, got the name {str(crystals)!r}. Read the file "
            "first, with read_structure(path), or with read_records(path) if it holds several "
            "crystals, from ase_crysdiff.data.readers."
        )
    if not isinstance(crystals, Iterable):
        raise InputError(f"Expected structures or ASE atoms, got {type(crystals).__name__}.")
    return [crystals] if isinstance(crystals, Structure | Atoms) else list(crystals)


def copy_of(structure: Structure, properties: Mapping[str, Any] | None = None) -> Structure:
    """A copy that shares nothing with the structure. `Structure.copy` shares the dictionary of
    properties, and writes into it what is given for the copy.

    Args:
        structure: What is copied.
        properties: Of the copy; None takes those of the structure.
    """
    copied: Structure = structure.copy()
    copied.properties = deepcopy(dict(structure.properties if properties is None else properties))
    return copied


def structure_to_atoms(structure: Structure) -> Atoms:
    """ASE atoms with the structure's properties in `info` and its site properties as arrays.

    The names are those of pymatgen's `AseAtomsAdaptor`. Site properties that are unknown for some
    sites, or no numbers or words, have no place in an array and are left out; so are oxidation
    states that only some sites have, and what has the name of a quantity (`magmom`, `tags`) and is
    none.

    Args:
        structure: An ordered structure.
    """
    known = {n: v for n, v in structure.site_properties.items() if has_place(n, v)}
    flags = known.pop(FLAGS, None)  # not every pymatgen can turn all of them into constraints
    plain = Structure(
        structure.lattice,
        [Element.from_Z(site.specie.Z) for site in structure],
        frac_coords_of(structure),
        site_properties=known,
        properties=deepcopy(structure.properties),  # which old versions of pymatgen hand on
    )
    atoms = AseAtomsAdaptor.get_atoms(plain, msonable=False)
    if flags is not None:
        atoms.set_constraint(constraints_of(np.asarray(flags, dtype=bool)))
    states = [getattr(site.specie, "oxi_state", None) for site in structure]
    if _is_array(states):
        atoms.set_array("oxi_states", np.array(states, dtype=float))
    spins = [getattr(site.specie, "spin", None) for site in structure]
    if any(spins) and not atoms.has("initial_magmoms"):
        atoms.set_initial_magnetic_moments([spin or 0.0 for spin in spins])
    return atoms


#: Kinds of numbers, and numbers for each site, of the arrays that ASE computes with.
_QUANTITIES: dict[str, tuple[str, set[tuple[int, ...]]]] = {
    "magmom": ("bif", {(), (3,)}),
    "final_magmom": ("bif", {(), (3,)}),
    "charge": ("bif", {()}),
    "final_charge": ("bif", {()}),
    "masses": ("bif", {()}),
    "momenta": ("bif", {(3,)}),
    "tags": ("bi", {()}),
    FLAGS: ("b", {(3,)}),
}


def has_place(name: str, values: Sequence[Any]) -> bool:
    """Whether ASE can keep a site property as an array of that name."""
    if name in ("numbers", "positions") or not _is_array(values):
        return False
    array = np.array(values)
    kinds, shapes = _QUANTITIES.get(name, (array.dtype.kind, {array.shape[1:]}))
    return array.dtype.kind in kinds and array.shape[1:] in shapes


def _is_array(values: Sequence[Any]) -> bool:
    """Whether ASE can keep one entry per site: numbers, vectors of numbers, or words."""
    try:
        array = np.array(values)
    except ValueError:  # ragged
        return False
    return array.size > 0 and (
        (array.dtype.kind in "bif" and array.ndim <= 2)
        or (array.dtype.kind == "U" and array.ndim == 1)
    )


def to_structures(
    batch: CrystalBatch, properties: Sequence[dict[str, Any]] | None = None
) -> list[Structure]:
    """Structures in the standard orientation, right-handed, atoms sorted by Mendeleev number.

    Args:
        batch: Crystals without vacancies; an empty one is an error.
        properties: `Structure.properties` of each.
    """
    structures = []
    crystals = zip(
        batch.lattice,
        batch.frac_coords.split(batch.num_atoms.tolist()),
        batch.species.split(batch.num_atoms.tolist()),
        strict=True,
    )
    for position, (lattice, frac_coords, species) in enumerate(crystals):
        matrix = Lattice(lattice.double().cpu().numpy())
        # Fractional coordinates are kept; the handedness of the vectors is lost on purpose, as in
        # training.
        standard = Lattice.from_parameters(*matrix.parameters)
        structure = Structure(
            standard,
            [Element.from_Z(int(z)) for z in species],
            frac_coords.double().cpu().numpy() % 1.0,
            properties=None if properties is None else properties[position],
        )
        structures.append(structure.get_sorted_structure(key=lambda site: site.specie.mendeleev_no))
    return structures
