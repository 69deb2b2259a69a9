"""From listed sites and operators to all sites of the cell.

Coordinates of special positions are rounded in files (0.333 for a third), so that the operators
which should leave such a site alone move it a little. The written digits tell how much rounding
can explain; within it a site is put on the mean of its images, which is the special position.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Composition, Element, Lattice, Species, Structure

from ase_crysdiff.constants import GATE_DISTANCE
from ase_crysdiff.crystal.cif.operators import Operators
from ase_crysdiff.crystal.cif.sites import Site
from ase_crysdiff.crystal.decorations import FULL
from ase_crysdiff.errors import InputError

Floats = NDArray[np.float64]

#: Images that lie closer are one site whatever the digits, and never if they lie farther, Å.
_SAME, _APART = 0.005, 0.3
#: Sums of occupancies up to this are rounding.
_MOST = 1.01


@dataclass
class _Orbit:
    """Equivalent sites of the cell and what is on them."""

    images: Floats
    slack: float
    first: Site
    contents: dict[Element | Species, float]
    properties: list[dict[str, Any]] = field(default_factory=list)


def expand(cell: Floats, sites: Sequence[Site], operators: Operators) -> Structure:
    """The crystal that operators make of listed sites, in the order of the list within elements.

    Args:
        cell: Rows in Å, shape (3, 3).
        sites: As they are listed.
        operators: That leave the cell alone.

    Raises:
        InputError: If two sites are on the same place, or one is neither on a special position nor
            away from it.
    """
    orbits: list[_Orbit] = []
    for site in sites:
        orbit = _orbit(cell, site, operators)
        held = _holder(cell, orbit, orbits)
        if held is None:
            orbits.append(orbit)
        else:
            twice = _touch(cell, site.frac_coords, held.first.frac_coords[None], orbit.slack)
            _share(held, site, bool(twice[0]))
    structure = Structure(
        Lattice(cell),
        [_species(orbit) for orbit in orbits for _ in orbit.images],
        np.concatenate([orbit.images for orbit in orbits]),
        labels=[orbit.first.label for orbit in orbits for _ in orbit.images],
    )
    properties = [row for orbit in orbits for row in orbit.properties]
    for name in {name for row in properties for name in row}:
        structure.add_site_property(name, [row.get(name) for row in properties])
    return structure.get_sorted_structure()


def multiplicities(cell: Floats, sites: Sequence[Site], operators: Operators) -> list[int]:
    """Equivalent sites of each listed one."""
    return [len(_orbit(cell, site, operators).images) for site in sites]


def _orbit(cell: Floats, site: Site, operators: Operators) -> _Orbit:
    # An image such as x - y, y, z is off by up to twice the rounding of its site, half a unit.
    slack = min(_SAME + 1.5 * float(site.units @ np.linalg.norm(cell, axis=1)), _APART)
    own = [_turned(site, cell, operators, 0)]
    if len(operators) == 1:
        return _Orbit(_wrapped(site.frac_coords[None]), slack, site, _contents(site), own)
    images = operators.rotations @ site.frac_coords + operators.translations
    back = images - site.frac_coords
    back -= np.rint(back)
    stays = np.linalg.norm(back @ cell, axis=1) < slack
    place = site.frac_coords + back[stays].mean(0)
    images = operators.rotations @ place + operators.translations
    chosen: list[int] = []
    for i in range(len(images)):
        if not chosen or not _touch(cell, images[i], images[chosen], slack).any():
            chosen.append(i)
    found = images[chosen]
    if site.occupancy > FULL and len(found) > 1:
        near = _distances(cell, found[0], found[1:]).min()
        if near < GATE_DISTANCE:
            raise InputError(
                f"with {operators.name}, images of site {site.label} are {near:.2g} Å apart: it is "
                "neither on a special position, as far as rounding explains, nor away from it"
            )
    properties = [_turned(site, cell, operators, i) for i in chosen]
    return _Orbit(_wrapped(found), slack, site, _contents(site), properties)


def _turned(site: Site, cell: Floats, operators: Operators, i: int) -> dict[str, Any]:
    """Properties of an image; a magnetic moment is an axial vector, here along Cartesian axes."""
    moment = site.properties.get("magmom")
    if moment is None:
        return site.properties
    rotation = operators.rotations[i]
    units = cell / np.linalg.norm(cell, axis=1)[:, None]
    cartesian = np.asarray(moment) @ units
    turn = np.linalg.inv(cell) @ rotation.T @ cell  # of row vectors
    sign = round(float(np.linalg.det(rotation))) * operators.reversals[i]
    return {**site.properties, "magmom": (sign * cartesian @ turn).round(10).tolist()}


def _contents(site: Site) -> dict[Element | Species, float]:
    return {site.species: site.occupancy}


def _holder(cell: Floats, orbit: _Orbit, orbits: Sequence[_Orbit]) -> _Orbit | None:
    """The orbit before that lies on the same places."""
    if not orbits:
        return None
    firsts = np.array([other.images[0] for other in orbits])
    slack = np.array([max(other.slack, orbit.slack) for other in orbits])
    for image in orbit.images:
        near = _touch(cell, image, firsts, slack)
        if near.any():
            return orbits[int(near.argmax())]
    return None


def _share(orbit: _Orbit, site: Site, listed_twice: bool) -> None:
    """Puts what is on a site onto an orbit that lies there already.

    Lists of all atoms beside operators that make the others from the first are common; two atoms
    with the same coordinates are not.
    """
    total = sum(orbit.contents.values()) + site.occupancy
    if total > _MOST:
        same = set(orbit.contents) == {site.species}
        if same and not listed_twice and abs(orbit.contents[site.species] - site.occupancy) < 1e-3:
            return
        raise InputError(
            f"sites {orbit.first.label} and {site.label} are on the same place, and their "
            f"occupancies add up to {total:g}"
        )
    orbit.contents[site.species] = orbit.contents.get(site.species, 0.0) + site.occupancy


def _species(orbit: _Orbit) -> Element | Species | Composition:
    total = sum(orbit.contents.values())
    if len(orbit.contents) == 1 and total > FULL:
        return next(iter(orbit.contents))
    return Composition({s: n / max(total, 1.0) for s, n in orbit.contents.items()})


def _distances(cell: Floats, point: Floats, points: Floats) -> Floats:
    """From a point to the images of others that are nearest in fractional coordinates, Å.

    Args:
        cell: Rows in Å, shape (3, 3).
        point: Fractional, shape (3,).
        points: Fractional, shape (points, 3).
    """
    away = points - point
    found: Floats = np.linalg.norm((away - np.rint(away)) @ cell, axis=-1)
    return found


def _touch(cell: Floats, point: Floats, points: Floats, slack: float | Floats) -> NDArray[np.bool_]:
    """Whether points, shape (points, 3), are on the same place as one."""
    return _distances(cell, point, points) < slack


def _wrapped(frac_coords: Floats) -> Floats:
    return frac_coords % 1.0 % 1.0  # the first may round up to 1
