"""Structures that say more than elements: oxidation states, isotopes, and sites that several of
them share.
"""

from pymatgen.core import Composition, Element, Structure

#: Occupancies above this count as full: three thirds or six sixths with three digits.
FULL = 0.999


def ordered_by_element(structure: Structure) -> Structure:
    """The structure with one element on every site that only different oxidation states or isotopes
    of it share, such as Fe2+ and Fe3+: nothing is disordered there for what knows elements alone.

    Args:
        structure: Any; returned as it is if no site changes.
    """
    if structure.is_ordered:
        return structure
    alone = [only_element(site.species) for site in structure]
    changed = [
        element is not None and len(site.species) > 1
        for site, element in zip(structure, alone, strict=True)
    ]
    if not any(changed):
        return structure
    return Structure(
        structure.lattice,
        [e if c else site.species for site, e, c in zip(structure, alone, changed, strict=True)],
        structure.frac_coords,
        site_properties=structure.site_properties,
        labels=structure.labels,
        properties=structure.properties,
    )


def only_element(species: Composition) -> Element | None:
    """The element that fills a site alone, in whatever states; None if it does not, or is none."""
    numbers = {getattr(s, "Z", None) for s in species}
    (number,) = numbers if len(numbers) == 1 else (None,)
    if number is None or not 0 < number <= 118 or species.num_atoms <= FULL:
        return None
    return Element.from_Z(number)
