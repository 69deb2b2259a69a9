"""What every predictor of a property must satisfy; authors of new ones run the same checks.

Each check takes a predictor and raises AssertionError with the numbers that disagree:

    for name, check in CHECKS.items():
        check(load_predictor("my-predictor"))

It must know sodium and chlorine, and at least three of the elements of `testing.crystals`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.predictors.base import Predictor
from ase_crysdiff.predictors.structures import predict_structures
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.testing.crystals import prototypes, rattled

#: Values of one crystal in several guises agree to this fraction of the largest value, or of one.
TOLERANCE = 1e-3


def says_what(predictor: Predictor) -> None:
    """Name, property, unit and elements are on the card and on the predictor."""
    assert predictor.target.strip(), "a predictor names its property (target)"
    assert predictor.unit.strip(), "a predictor names the unit of its values; '1' if there is none"
    assert predictor.elements, "a predictor names the elements that it knows"
    assert predictor.card.name.strip(), "the card of a predictor has a name"


def values(predictor: Predictor) -> None:
    """One finite number per crystal in double precision; uncertainties are positive or NaN."""
    crystals = from_structures(_structures(predictor))
    found = predictor.predict(crystals)
    for name in ("values", "uncertainty"):
        value = getattr(found, name)
        assert value.shape == (len(crystals),), f"{name} has shape {tuple(value.shape)}"
        assert value.dtype == torch.float64, f"{name} has dtype {value.dtype}, not float64"
        assert not value.requires_grad, f"{name} is not detached"
    assert bool(torch.isfinite(found.values).all()), f"some values are missing: {found.failures}"
    known = found.uncertainty[~found.uncertainty.isnan()]
    assert bool((known > 0).all()), f"uncertainties are not positive: {known.tolist()}"
    assert float(found.values.std()) > 0, "all crystals have the same value"


def order(predictor: Predictor) -> None:
    """Values come in the order of the crystals."""
    structures = _structures(predictor)
    back = list(reversed(range(len(structures))))
    one = predict_structures(predictor, structures, False).values
    other = predict_structures(predictor, [structures[k] for k in back], False).values
    _close(one[back], other, "values of crystals in another order")


def batch_independence(predictor: Predictor) -> None:
    """The value of a crystal does not depend on what else is asked."""
    structures = _structures(predictor)
    together = predict_structures(predictor, structures, False).values
    alone = torch.cat([predict_structures(predictor, [s], False).values for s in structures])
    _close(together, alone, "values of crystals alone and together")


def supercell(predictor: Predictor) -> None:
    """A supercell, a rotated crystal and one with another origin have the value of the crystal."""
    structures = _structures(predictor)
    one = predict_structures(predictor, structures, False).values
    for what, change in {"supercells": _doubled, "rotations": _turned, "origins": _moved}.items():
        other = predict_structures(predictor, [change(s) for s in structures], False).values
        _close(one, other, f"values of crystals and of their {what}")


def refusals(predictor: Predictor) -> None:
    """What cannot be predicted is NaN with a reason at its position, and the others are as good as
    without it.
    """
    good = _structures(predictor)[0]
    disordered = Structure(Lattice.cubic(4.0), [{"Na": 0.5, "Cl": 0.5}], [[0, 0, 0]])
    overlapping = Structure(Lattice.cubic(4.0), ["Na", "Cl"], [[0, 0, 0], [0, 0, 0.01]])
    bad: list[Any] = [None, disordered, overlapping]
    unknown = sorted(set(range(1, 95)) - predictor.elements)
    if unknown:
        bad.append(Structure(Lattice.cubic(4.0), [unknown[0]], [[0, 0, 0]]))
    found = predict_structures(predictor, [good, *bad, good], False)
    expected = [False, *[True] * len(bad), False]
    assert found.values.isnan().tolist() == expected, (
        f"values are {found.values.tolist()}, expected NaN for all but the first and the last"
    )
    assert sorted(found.failures) == list(range(1, len(bad) + 1)), (
        f"there are reasons for {sorted(found.failures)}, expected one for every NaN"
    )
    assert all(reason.strip() for reason in found.failures.values()), "a reason is empty"
    alone = predict_structures(predictor, [good], False).values
    _close(alone.expand(2), found.values[[0, -1]], "values with and without bad structures")


def unchanged_input(predictor: Predictor) -> None:
    """Structures and batches are as they were."""
    structures = _structures(predictor)
    before = [s.copy() for s in structures]
    predict_structures(predictor, structures, False)
    assert structures == before, "a structure was changed"
    crystals = from_structures(structures)
    kept = {
        name: getattr(crystals, name).clone()
        for name in ("lattice", "frac_coords", "species", "num_atoms")
    }
    predictor.predict(crystals)
    for name, value in kept.items():
        assert torch.equal(getattr(crystals, name), value), f"{name} of the batch was changed"


#: All of them by name.
CHECKS: Mapping[str, Callable[[Predictor], None]] = {
    check.__name__: check
    for check in (
        says_what,
        values,
        order,
        batch_independence,
        supercell,
        refusals,
        unchanged_input,
    )
}


def _structures(predictor: Predictor) -> Sequence[Structure]:
    """Distorted crystals of elements that the predictor knows, of several sizes."""
    moved = dict(zip(prototypes(), rattled(5, deviation=0.01), strict=True))
    del moved["chain"]
    known = [s for s in moved.values() if {site.specie.Z for site in s} <= predictor.elements]
    assert len(known) >= 2, f"{predictor.card.name} knows too few of {[s.formula for s in known]}"
    return known


def _doubled(structure: Structure) -> Structure:
    return structure.make_supercell([[1, 1, 0], [-1, 1, 0], [0, 0, 1]], in_place=False)


def _turned(structure: Structure) -> Structure:
    angle = 0.7
    turn = [
        [math.cos(angle), math.sin(angle), 0],
        [-math.sin(angle), math.cos(angle), 0],
        [0, 0, 1],
    ]
    lattice = Lattice(structure.lattice.matrix @ turn)
    return Structure(lattice, structure.species, structure.frac_coords)


def _moved(structure: Structure) -> Structure:
    return Structure(structure.lattice, structure.species, structure.frac_coords + 0.37)


def _close(one: Float[Tensor, " n"], other: Float[Tensor, " n"], what: str) -> None:
    limit = TOLERANCE * max(1.0, float(one.abs().max()))
    worst = float((one - other).abs().max())
    assert worst <= limit, f"{what} differ by {worst:.3g}; {limit:.3g} is allowed"
