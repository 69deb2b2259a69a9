"""What every registered encoder must satisfy; authors of new ones run the same checks.

`checks_of` says which checks a name has to pass: encoders of denoisers those of this module and, as
backbones, those of `testing.backbones`; all others the latter only.

    for name, check in checks_of("my-encoder").items():
        check()
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.networks.base import Encoder, Features, NodeInput
from ase_crysdiff.networks.registry import encoder_names, make_backbone, make_encoder
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.testing import backbones
from ase_crysdiff.testing.crystals import random_batch

#: Invariants per crystal that the encoders under test read.
INVARIANTS = 6
#: Largest deviation over the largest feature.
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-10}
#: Largest deviation over the largest feature where coordinates grow, and with them the angles of
#: Fourier features.
_FAR = {torch.float32: 1e-3, torch.float64: 1e-10}
_SIZES = (1, 2, 2, 5, 7)


def checks_of(
    name: str, arguments: Mapping[str, Any] | None = None, dtype: torch.dtype = torch.float64
) -> dict[str, Callable[[], None]]:
    """The checks that an encoder of this name has to pass, by name, bound to untrained weights.

    Args:
        name: Registered in `ase_crysdiff.encoders`.
        arguments: Of the class; a smaller network is checked faster.
        dtype: Number format to check in.
    """
    spec = {"name": name, **(arguments or {})}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        backbone = make_backbone(spec).to(dtype)
        encoder = make_encoder(spec, INVARIANTS).to(dtype) if name in encoder_names() else None
    found: dict[str, Callable[[], None]] = {
        name: partial(check, backbone) for name, check in backbones.CHECKS.items()
    }
    if encoder is not None:
        found |= {f"denoising {name}": partial(check, encoder) for name, check in CHECKS.items()}
    return found


def widths(encoder: Encoder) -> None:
    """It returns vectors of `hidden` numbers, one per atom in the given order, one per crystal."""
    inputs = _inputs(encoder)
    found = _evaluated(encoder, inputs)
    crystals, atoms = inputs.layout.num_crystals, len(inputs.nodes)
    assert found.nodes.shape == (atoms, encoder.hidden), (
        f"features of atoms have shape {tuple(found.nodes.shape)}, expected "
        f"{(atoms, encoder.hidden)}"
    )
    assert found.crystals.shape == (crystals, encoder.hidden), (
        f"features of crystals have shape {tuple(found.crystals.shape)}, expected "
        f"{(crystals, encoder.hidden)}"
    )


def permutation(encoder: Encoder) -> None:
    """Atoms in another order have the same features in that order; the crystal has the same."""
    inputs, order = (
        _inputs(encoder),
        torch.tensor([0, 2, 1, 4, 3, 9, 5, 7, 6, 8, *range(16, 9, -1)]),
    )
    mixed = replace(inputs, nodes=inputs.nodes[order], frac_coords=inputs.frac_coords[order])
    before, after = _evaluated(encoder, inputs), _evaluated(encoder, mixed)
    _equal(encoder, before.nodes[order], after.nodes, "features of atoms in another order")
    _equal(encoder, before.crystals, after.crystals, "features of crystals in another order")


def image(encoder: Encoder) -> None:
    """Another periodic image of an atom in its place changes nothing."""
    inputs = _inputs(encoder)
    cells = torch.randint(-2, 3, inputs.frac_coords.shape, generator=_generator())
    moved = replace(inputs, frac_coords=inputs.frac_coords + cells)
    before, after = _evaluated(encoder, inputs), _evaluated(encoder, moved)
    what = "features before and after another image of an atom"
    _equal(encoder, before.nodes, after.nodes, what, _FAR)


def translation(encoder: Encoder) -> None:
    """A crystal moved against its cell has the same features."""
    inputs = _inputs(encoder)
    moved = replace(inputs, frac_coords=inputs.frac_coords + 0.25)
    before, after = _evaluated(encoder, inputs), _evaluated(encoder, moved)
    _equal(encoder, before.nodes, after.nodes, "features before and after a translation")


def orientation(encoder: Encoder) -> None:
    """A crystal turned or mirrored in space has the same features: its lattice vectors may be read,
    but not where they point.
    """
    inputs = _inputs(encoder)
    lattice = _lattice(inputs)
    turns = torch.randn(3, 3, generator=_generator(), dtype=torch.float64)
    turned = lattice.double() @ torch.linalg.qr(turns).Q
    before = _evaluated(encoder, inputs)
    after = _evaluated(encoder, replace(inputs, lattice=lambda: turned.to(lattice)))
    what = "features before and after a rotation"
    _equal(encoder, before.nodes, after.nodes, what, _FAR)
    _equal(encoder, before.crystals, after.crystals, what, _FAR)


def batch_independence(encoder: Encoder) -> None:
    """The features of a crystal do not depend on what else is in the batch."""
    inputs = _inputs(encoder)
    together, lattice = _evaluated(encoder, inputs), _lattice(inputs)
    start = 0
    for k, size in enumerate(_SIZES):
        rows = slice(start, start + size)
        layout = _batch((size,)).layout
        alone = _evaluated(
            encoder,
            NodeInput(
                inputs.nodes[rows],
                inputs.crystals[k : k + 1],
                inputs.frac_coords[rows],
                layout,
                partial(lattice.narrow, 0, k, 1),
            ),
        )
        _equal(encoder, together.nodes[rows], alone.nodes, "features of atoms alone and in a batch")
        _equal(
            encoder,
            together.crystals[k : k + 1],
            alone.crystals,
            "features of crystals alone and in a batch",
        )
        start += size


def geometry(encoder: Encoder) -> None:
    """Features depend on places and on the crystal's invariants."""
    inputs = _inputs(encoder)
    before = _evaluated(encoder, inputs).nodes
    moved = inputs.frac_coords.clone()
    moved[-1] += 0.1
    others = {
        "places": replace(inputs, frac_coords=moved),
        "invariants": replace(inputs, crystals=inputs.crystals.flip(-1)),
    }
    for what, other in others.items():
        change = float((_evaluated(encoder, other).nodes - before).abs().max())
        assert change > 1e-6 * float(before.abs().max()), f"features do not depend on {what}"


def gradients(encoder: Encoder) -> None:
    """Every parameter takes part."""
    found = encoder(_inputs(encoder))
    weights = torch.randn(found.crystals.shape, generator=_generator()).to(found.crystals.dtype)
    encoder.zero_grad()
    ((found.crystals * weights).sum() + found.nodes.square().sum()).backward()
    idle = [
        name
        for name, p in encoder.named_parameters()
        if p.requires_grad and (p.grad is None or not bool(p.grad.any()))
    ]
    encoder.zero_grad()
    assert not idle, f"no gradient reaches {idle}"


#: All of them by name.
CHECKS: Mapping[str, Callable[[Encoder], None]] = {
    check.__name__: check
    for check in (
        widths,
        permutation,
        image,
        translation,
        orientation,
        batch_independence,
        geometry,
        gradients,
    )
}


def _batch(sizes: tuple[int, ...]) -> CrystalBatch:
    return random_batch(list(sizes), _generator())


def _inputs(encoder: Encoder) -> NodeInput:
    """Random node vectors and invariants on random crystals; coordinates of few bits, so that
    adding whole numbers and quarters does not round them.
    """
    batch, generator = _batch(_SIZES), _generator()
    dtype = next(encoder.parameters()).dtype
    nodes = torch.randn(len(batch.species), encoder.hidden, generator=generator).to(dtype)
    invariants = torch.randn(len(_SIZES), INVARIANTS, generator=generator).to(dtype)
    frac_coords = (torch.round(batch.frac_coords * 2**12) / 2**12).to(dtype)
    lattice = batch.lattice.to(dtype)
    return NodeInput(nodes, invariants, frac_coords, batch.layout, lambda: lattice)


def _lattice(inputs: NodeInput) -> Tensor:
    assert inputs.lattice is not None
    return inputs.lattice()


def _evaluated(encoder: Encoder, inputs: NodeInput) -> Features:
    encoder.eval()
    with torch.no_grad():
        found: Features = encoder(inputs)
    return found


def _equal(
    encoder: Encoder,
    one: Tensor,
    other: Tensor,
    what: str,
    tolerance: Mapping[torch.dtype, float] = TOLERANCE,
) -> None:
    scale, worst = float(one.abs().max()), float((one - other).abs().max())
    limit = tolerance[next(encoder.parameters()).dtype]
    assert worst <= limit * scale, (
        f"{what} differ by {worst:.2g}, the largest being {scale:.2g}; {limit:g} of it is allowed"
    )


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
