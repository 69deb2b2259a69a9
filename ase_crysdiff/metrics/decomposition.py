"""Decomposition energies: how a compound stands against all other phases that are known."""

from dataclasses import dataclass

from pymatgen.analysis.phase_diagram import PhaseDiagram
from pymatgen.core import Composition

from ase_crysdiff.metrics.formulas import Formula, fractions
from ase_crysdiff.metrics.hull import Hull


@dataclass(frozen=True)
class Decomposition:
    """What a compound falls apart into.

    Args:
        energy: Above (positive) or below the mixture of competing phases, eV/atom.
        products: Share of the atoms in each competing phase, by reduced formula.
        present: All phases of the chemical system that the hull holds, without those of the same
            composition.
    """

    energy: float
    products: dict[str, float]
    present: tuple[str, ...]


def decomposition(composition: Formula, energy: float, hull: Hull) -> Decomposition:
    """The decomposition energy of a compound against phases of other compositions.

    Entries of the same composition are left out, so that a compound which breaks the hull of the
    others has a negative value; elements compete with themselves. A partial hull lacks phases, and
    every phase it lacks makes the value too low: `present` tells what was compared.

    Args:
        composition: Of the compound.
        energy: eV/atom, on the scale of the hull.
        hull: Phases that are known.

    Raises:
        InputError: If the hull lacks an element.
    """
    key = fractions(composition)
    point = Composition(dict(key))
    entries = hull.diagram(frozenset(symbol for symbol, _ in key)).all_entries
    others = entries if len(key) == 1 else [e for e in entries if fractions(e.composition) != key]
    diagram = PhaseDiagram(others)
    products = {
        _formula(e.composition): float(share)
        for e, share in diagram.get_decomposition(point).items()
    }
    present = tuple(sorted({_formula(e.composition) for e in others}))
    return Decomposition(energy - float(diagram.get_hull_energy_per_atom(point)), products, present)


def _formula(composition: Composition) -> str:
    """Reduced formula of fractions."""
    return str(Composition(composition.get_integer_formula_and_factor()[0]).reduced_formula)
