"""Reference and hull in every form that a user may give them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pymatgen.core import Structure

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.packing import pack
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.fingerprints import open_fingerprints, open_hull
from ase_crysdiff.metrics.formation import hull_of
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.metrics.reference import Known, Reference
from ase_crysdiff.potentials.base import Potential

#: Stands for the table that comes with the package.
SHIPPED = "shipped"

ReferenceLike: TypeAlias = Known | PackedCrystals | Sequence[Structure] | str | Path
HullLike: TypeAlias = Hull | str | Path | Mapping[str, float | int] | Sequence[Structure]


def reference_from(reference: ReferenceLike | Any) -> Known:
    """A set of known crystals.

    Args:
        reference: "shipped" for the fingerprints that come with the package; structures, packed
            crystals, the path of a packed file or of anything that can be packed, or an object
            that can tell whether it contains a structure, which is returned as it is.

    Raises:
        InputError: If a file is missing or cannot be read, or a structure cannot be represented.
    """
    if isinstance(reference, str) and reference == SHIPPED:
        return open_fingerprints()
    if isinstance(reference, str | Path):
        return _read(Path(reference))
    if isinstance(reference, PackedCrystals):
        return Reference(reference)
    if isinstance(reference, Known):
        return reference
    return Reference(reference)


def hull_from(hull: HullLike | Any, potential: Potential) -> Hull:
    """The hull of known compounds.

    Args:
        hull: "shipped" for the table that comes with the package; a `Hull`, the path of a CSV file
            with columns reduced_formula and hull_energy_per_atom, a mapping from formulas to
            formation energies in eV/atom, or structures relaxed with the potential, the elements
            among them, whose energies then make the hull.
        potential: Gives the energies of structures.

    Raises:
        InputError: If it is none of them or cannot be read.
    """
    if isinstance(hull, Hull):
        return hull
    if isinstance(hull, str) and hull == SHIPPED:
        return open_hull()
    if isinstance(hull, str | Path):
        return Hull.read(hull)
    if isinstance(hull, Mapping):
        return Hull(hull)
    if isinstance(hull, Sequence) and hull and all(isinstance(entry, Structure) for entry in hull):
        return hull_of(hull, potential)
    raise InputError(
        "hull is 'shipped', a Hull, the path of a CSV file, a mapping from formulas to eV/atom or "
        f"structures, not {hull!r}."
    )


def check_references(hull: Hull, potential: Potential) -> None:
    """Refuses a potential whose energies cannot be set beside a hull, before anything is relaxed.

    Args:
        hull: The hull.
        potential: Gives the energies.

    Raises:
        InputError: If the hull holds formation energies and the potential comes without energies of
            the elements.
    """
    if hull.scale == "formation" and not potential.formation_references:
        raise InputError(
            f"{potential.name} comes without reference energies of the elements, which the hull "
            f"{hull.name!r} needs. Take 'chgnet' or 'dao-p', give as hull structures that are "
            "relaxed with this potential, the elements among them, or hull=None for scores without "
            "energies above the hull."
        )


def _read(path: Path) -> Reference:
    if path.suffix == ".safetensors":
        return Reference(PackedCrystals.load(path))
    packed, _ = pack([path])
    return Reference(packed)
