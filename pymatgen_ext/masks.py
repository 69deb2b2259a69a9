"""Which sites of a structure are to be generated anew."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from pymatgen.core import Element, Structure

from ase_crysdiff.errors import InputError
from pymatgen_ext import parsing

#: Site indices, one truth value per site, element symbols, or `{"centre": fractional coordinates,
#: "radius": Å}`.
Mask: TypeAlias = str | Mapping[str, Any] | Iterable[Any]


def masked_sites(structure: Structure, mask: Mask) -> list[int]:
    """Positions of the sites that a mask selects.

    Args:
        structure: The structure.
        mask: Element symbols ("Li", "Li-Na", ["Li", "Na"]), site indices, one bool per site, or a
            sphere `{"centre": (x, y, z), "radius": r}` with the centre in fractional coordinates
            and the radius in Å.

    Raises:
        InputError: If it cannot be read, selects nothing or everything, or names a site or element
            that is not there.
    """
    if isinstance(mask, Mapping):
        chosen = _sphere(structure, mask)
    elif isinstance(mask, str):
        chosen = _elements(structure, mask)
    else:
        entries = list(mask)
        if entries and all(isinstance(e, bool | np.bool_) for e in entries):
            if len(entries) != len(structure):
                raise InputError(
                    f"mask has {len(entries)} truth values for {len(structure)} sites."
                )
            chosen = [i for i, e in enumerate(entries) if e]
        elif entries and all(isinstance(e, int | np.integer) for e in entries):
            wrong = [int(e) for e in entries if not 0 <= e < len(structure)]
            if wrong:
                raise InputError(
                    f"mask names the sites {wrong}; the structure has sites 0 to "
                    f"{len(structure) - 1}."
                )
            chosen = sorted({int(e) for e in entries})
        else:
            chosen = _elements(structure, entries) if entries else []
    if not chosen:
        raise InputError(
            "mask selects no site, so nothing would be generated. Leave it out to add guests to "
            "the whole host."
        )
    if len(chosen) == len(structure):
        raise InputError(
            "mask selects every site, so no host is left. Use sample(lattice=...) to fill an empty "
            "cell."
        )
    return chosen


def _elements(structure: Structure, value: str | Iterable[Any]) -> list[int]:
    wanted = parsing.elements("mask", value)
    absent = wanted - {int(site.specie.Z) for site in structure}
    if absent:
        symbols = ", ".join(Element.from_Z(z).symbol for z in sorted(absent))
        raise InputError(f"mask names elements that the structure does not have: {symbols}.")
    return [i for i, site in enumerate(structure) if int(site.specie.Z) in wanted]


def _sphere(structure: Structure, value: Mapping[str, Any]) -> list[int]:
    try:
        centre = np.array(value["centre"], dtype=float)
        radius = float(value["radius"])
        fits = (
            set(value) == {"centre", "radius"}
            and centre.shape == (3,)
            and np.isfinite(centre).all()
            and radius > 0
        )
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError(
            f"A sphere is {{'centre': three fractional coordinates, 'radius': Å above 0}}, got "
            f"{dict(value)!r}."
        )
    distances = structure.lattice.get_all_distances(centre[None], structure.frac_coords)[0]
    return np.flatnonzero(distances <= radius).tolist()
