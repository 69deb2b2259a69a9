"""What every representation of a field must satisfy; authors of new ones run the same checks.

Each check takes a representation and raises AssertionError with the numbers that disagree:

    for name, check in CHECKS.items():
        check(MyRepresentation())
"""

from collections.abc import Callable, Mapping

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.representations.base import LatticeRepresentation, Representation
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.testing.crystals import prototype_batch, random_batch

#: What numbers that went through encode and decode may differ by, over the largest of them.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def declaration(representation: Representation) -> None:
    """It names a field of `CrystalBatch`, the level of its rows and how many numbers a row has."""
    batch = _batches(torch.float64)[0]
    assert hasattr(batch, representation.field), (
        f"a crystal batch has no field {representation.field!r}"
    )
    rows = {"crystal": len(batch), "atom": len(batch.species)}
    assert representation.level in rows, f"level {representation.level!r} is none of {list(rows)}"
    field = getattr(batch, representation.field)
    assert len(field) == rows[representation.level], (
        f"{representation.field} has {len(field)} rows, {rows[representation.level]} "
        f"{representation.level}s were promised"
    )
    assert representation.width >= 1, f"a row of {representation.width} numbers holds nothing"


def width(representation: Representation) -> None:
    """Rows have `width` numbers; class indices are below it."""
    for batch in _batches(torch.float64):
        value = representation.encode(batch)
        if value.is_floating_point():
            assert value.shape[1:] == (representation.width,), (
                f"rows have shape {tuple(value.shape[1:])}, not {(representation.width,)}"
            )
            assert bool(torch.isfinite(value).all()), "encoded values are not finite"
        else:
            assert value.dim() == 1, f"class indices have shape {tuple(value.shape)}"
            largest = int(value.max())
            assert largest < representation.width, (
                f"class {largest} is not below the width {representation.width}"
            )
            assert int(value.min()) >= 0, "a class index is negative"


def round_trip(representation: Representation) -> None:
    """Decoding what was encoded gives the field: a lattice up to its orientation, coordinates up
    to whole numbers; and encoding that again gives the same numbers.
    """
    for dtype, tolerance in TOLERANCE.items():
        for batch in _batches(dtype):
            value = representation.encode(batch)
            field, given = representation.decode(value), getattr(batch, representation.field)
            assert field.shape == given.shape, (
                f"decoded {representation.field} has shape {tuple(field.shape)}, not "
                f"{tuple(given.shape)}"
            )
            if field.is_floating_point():
                assert field.dtype == dtype, f"{dtype} became {field.dtype}"
            _close(_difference(representation, field, given), given, tolerance, "decoded field")
            again = representation.encode(_with(batch, representation.field, field))
            difference = again - value
            if representation.field == "frac_coords":
                difference = shortest_image(difference)
            _close(difference, value, 10 * tolerance, "values after another round trip")


def rows(representation: Representation) -> None:
    """A row depends on its own crystal only."""
    batch = _batches(torch.float64)[0]
    together = representation.encode(batch)
    alone = torch.cat([representation.encode(crystal) for crystal in batch.split()])
    _close(together - alone, together, 1e-12, "values of crystals alone and in a batch")


def unchanged_input(representation: Representation) -> None:
    """Neither the batch nor the encoded numbers are changed."""
    batch = _batches(torch.float64)[0]
    before = getattr(batch, representation.field).clone()
    value = representation.encode(batch)
    kept = value.clone()
    representation.decode(value)
    assert torch.equal(getattr(batch, representation.field), before), "the batch was changed"
    assert torch.equal(value, kept), "decoding changed the encoded values"


def invariants(representation: Representation) -> None:
    """What a network may read of a lattice does not change when the crystal is rotated."""
    if not isinstance(representation, LatticeRepresentation):
        return
    batch = _batches(torch.float64)[0]
    generator = torch.Generator().manual_seed(2)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    turned = _with(batch, "lattice", batch.lattice @ turn)
    one, other = (representation.invariants(representation.encode(b)) for b in (batch, turned))
    assert one.shape == (len(batch), representation.num_invariants), (
        f"invariants have shape {tuple(one.shape)}, {representation.num_invariants} per crystal "
        "were promised"
    )
    _close(one - other, one, 1e-9, "invariants before and after a rotation")


#: All of them by name.
CHECKS: Mapping[str, Callable[[Representation], None]] = {
    check.__name__: check
    for check in (
        declaration,
        width,
        round_trip,
        rows,
        unchanged_input,
        invariants,
    )
}


def _batches(dtype: torch.dtype) -> list[CrystalBatch]:
    generator = torch.Generator().manual_seed(1)
    found = [prototype_batch(), random_batch([1, 2, 2, 4], generator)]
    return [batch.to(dtype=dtype) for batch in found]


def _with(batch: CrystalBatch, field: str, value: Tensor) -> CrystalBatch:
    fields = {
        name: getattr(batch, name) for name in ("lattice", "frac_coords", "species", "num_atoms")
    }
    return CrystalBatch(**{**fields, field: value})


def _difference(representation: Representation, found: Tensor, given: Tensor) -> Tensor:
    """What cannot be put down to the orientation of a lattice or the image of an atom."""
    if representation.field == "lattice":
        return found @ found.mT - given @ given.mT
    return shortest_image(found - given) if representation.field == "frac_coords" else found - given


def _close(difference: Tensor, scale: Tensor, tolerance: float, what: str) -> None:
    largest = max(1.0, float(scale.double().abs().max()) ** 2)
    worst = float(difference.double().abs().max())
    assert worst <= tolerance * largest, (
        f"{what} differ by {worst:.2g}; {tolerance * largest:.2g} is allowed"
    )
