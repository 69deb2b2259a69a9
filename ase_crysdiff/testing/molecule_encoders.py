"""What every encoder of molecules must satisfy; authors of new ones run the same checks.

for name, check in CHECKS.items():
check(MyEncoder(**MyEncoder.small).double())
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from ase_crysdiff.networks.molecules.base import MoleculeEncoder, MoleculeInput
from ase_crysdiff.networks.molecules.groups import Groups
from ase_crysdiff.shapes import Tensor

#: Acetamide and its like, group by group: C, CH3, NH2, O.
SPECIES = (6, 6, 1, 1, 1, 7, 1, 1, 8)
#: The same groups in another order.
REORDERED = (5, 6, 7, 8, 0, 1, 2, 3, 4)
COUNT = 3
TOLERANCE = 1e-9


def shapes(encoder: MoleculeEncoder) -> None:
    """It returns vectors of `hidden` numbers and moves of three, one of each per atom."""
    nodes, moves = _evaluated(encoder, _inputs(encoder))
    size = len(SPECIES)
    assert nodes.shape == (COUNT, size, encoder.hidden), f"node vectors have {nodes.shape}"
    assert moves.shape == (COUNT, size, 3), f"moves have {moves.shape}"


def rotation(encoder: MoleculeEncoder) -> None:
    """Moves turn with the molecule, also through a mirror; node vectors do not change."""
    inputs = _inputs(encoder)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=_generator(), dtype=torch.float64)).Q
    for mirror in (1.0, -1.0):
        turned = replace(
            inputs,
            seen=mirror * inputs.seen @ turn,
            believed=mirror * inputs.believed @ turn,
        )
        nodes, moves = _evaluated(encoder, inputs)
        other_nodes, other_moves = _evaluated(encoder, turned)
        _equal(nodes, other_nodes, "node vectors before and after a rotation")
        _equal(mirror * moves @ turn, other_moves, "moves before and after a rotation")


def translation(encoder: MoleculeEncoder) -> None:
    """A molecule elsewhere in space has the same moves and node vectors."""
    inputs = _inputs(encoder)
    moved = replace(inputs, seen=inputs.seen + 3.0, believed=inputs.believed + 2.5)
    for one, other in zip(_evaluated(encoder, inputs), _evaluated(encoder, moved), strict=True):
        _equal(one, other, "what it returns before and after a translation")


def permutation(encoder: MoleculeEncoder) -> None:
    """Groups in another order have the same moves and node vectors in that order."""
    inputs, order = _inputs(encoder), list(REORDERED)
    mixed = replace(
        inputs,
        nodes=inputs.nodes[:, order],
        seen=inputs.seen[:, order],
        believed=inputs.believed[:, order],
        groups=_groups([SPECIES[i] for i in order]),
    )
    for one, other in zip(_evaluated(encoder, inputs), _evaluated(encoder, mixed), strict=True):
        _equal(one[:, order], other, "what it returns for groups in another order")


def batch_independence(encoder: MoleculeEncoder) -> None:
    """What it returns for a molecule does not depend on what else is in the batch."""
    inputs = _inputs(encoder)
    alone = MoleculeInput(
        inputs.nodes[1:2],
        inputs.seen[1:2],
        inputs.believed[1:2],
        inputs.deviation[1:2],
        Groups.of(torch.tensor([SPECIES])),
    )
    for one, other in zip(_evaluated(encoder, inputs), _evaluated(encoder, alone), strict=True):
        _equal(one[1:2], other, "what it returns alone and in a batch")


def groups_count(encoder: MoleculeEncoder) -> None:
    """It reads which atoms belong together: the same places with other groups move otherwise."""
    inputs = _inputs(encoder)
    other = replace(inputs, groups=_groups([6, 1, 6, 1, 1, 7, 1, 1, 8]))
    one, another = _evaluated(encoder, inputs)[1], _evaluated(encoder, other)[1]
    assert not torch.allclose(one, another), "moves do not depend on the groups"


def nothing_known(encoder: MoleculeEncoder) -> None:
    """Atoms on one point, as all are before anything is observed, have finite moves and
    gradients.
    """
    inputs = _inputs(encoder)
    start = replace(inputs, seen=0 * inputs.seen, believed=0 * inputs.believed)
    _, moves = encoder(start)
    assert bool(torch.isfinite(moves).all()), "moves of atoms on one point are not finite"
    gradients = torch.autograd.grad(moves.sum(), list(encoder.parameters()), allow_unused=True)
    sound = all(bool(torch.isfinite(g).all()) for g in gradients if g is not None)
    assert sound, "gradients at atoms on one point are not finite"


CHECKS: Mapping[str, Callable[[MoleculeEncoder], None]] = {
    check.__name__: check
    for check in (
        shapes,
        rotation,
        translation,
        permutation,
        batch_independence,
        groups_count,
        nothing_known,
    )
}


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _groups(species: list[int]) -> Groups:
    return Groups.of(torch.tensor([species] * COUNT))


def _inputs(encoder: MoleculeEncoder) -> MoleculeInput:
    """Random molecules, and weights that are all at work."""
    generator, shape = _generator(), (COUNT, len(SPECIES))
    with torch.no_grad():
        for parameter in encoder.parameters():
            if not bool(parameter.any()):  # what begins at zero would hide the rest
                parameter.normal_(std=0.1, generator=generator)

    def draw(*width: int) -> Tensor:
        return torch.randn(*shape, *width, generator=generator, dtype=torch.float64)

    believed = draw(3)
    deviation = torch.full((COUNT, 1, 1), 0.3, dtype=torch.float64)
    groups = _groups(list(SPECIES))
    return MoleculeInput(draw(encoder.hidden), 1.2 * believed, believed, deviation, groups)


def _evaluated(encoder: MoleculeEncoder, inputs: MoleculeInput) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        nodes, moves = encoder(inputs)
    return nodes, moves


def _equal(one: Tensor, other: Tensor, what: str) -> None:
    error = float((one - other).abs().max() / one.abs().max().clamp_min(1e-12))
    assert error < TOLERANCE, f"{what} differ by {error:.1e} of the largest"
