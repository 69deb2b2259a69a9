"""Pictures of the hull of a chemical system, with candidates beside the known compounds.

Geometry is that of pymatgen's `PDPlotter`; marks and names are set here, since its own pictures
label every entry of a table by its fractions, one over the other.
"""

from collections.abc import Collection, Sequence

from pymatgen.core import Composition

from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.report.binary_hull import binary_hull
from ase_crysdiff.report.gibbs_triangle import gibbs_triangle
from ase_crysdiff.report.height_chart import height_chart
from ase_crysdiff.report.hull_marks import HullPicture, HullPoint


def phase_diagram(
    hull: Hull, elements: Collection[str], points: Sequence[HullPoint] = ()
) -> HullPicture | None:
    """The hull of two or three elements: formation energies over the composition with the convex
    hull, and heights above it below; or the Gibbs triangle with tie lines between stable compounds.

    Four elements make a tetrahedron, whose flat picture hides most of what is inside, and more have
    no picture at all; one element has a single point. For these see `height_chart`.

    Args:
        hull: Known compounds.
        elements: Symbols of the chemical system.
        points: Candidates; they do not enter the hull. Those of other elements are left out.

    Returns:
        The picture; None for one element and for more than three.

    Raises:
        InputError: If the hull lacks one of the elements.
    """
    system = frozenset(elements)
    if len(system) not in (2, 3):
        return None
    inside = [p for p in points if {e.symbol for e in Composition(p.formula)} <= system]
    inside.sort(key=lambda p: -p.height)  # the best above the others
    diagram = hull.diagram(system)
    return (binary_hull if len(system) == 2 else gibbs_triangle)(hull, diagram, inside)


def hull_pictures(
    hull: Hull, elements: Collection[str], points: Sequence[HullPoint] = ()
) -> list[HullPicture]:
    """All pictures of a chemical system that say something: its phase diagram, if it has one on
    paper, and the heights of the candidates by formula, if there are any.

    Args:
        hull: Known compounds.
        elements: Symbols of the chemical system; of all systems, where there are several.
        points: Candidates.

    Raises:
        InputError: If the hull lacks one of the elements.
    """
    if len(frozenset(elements)) < 2:
        return []
    found = phase_diagram(hull, elements, points), height_chart(hull, points)
    return [picture for picture in found if picture is not None]
