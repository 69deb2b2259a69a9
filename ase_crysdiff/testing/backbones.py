"""What every backbone must satisfy: encoders of clean crystals, and those of generators, which
`make_backbone` makes one. Authors of new ones run the same checks.

Each check takes a backbone with any weights, in either number format, and raises AssertionError
with the numbers that disagree:

    for name, check in CHECKS.items():
        check(make_backbone({"name": "my-encoder"}))
"""

from collections.abc import Callable, Mapping
from copy import deepcopy

import pytest
import torch
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.crystal.reduction import batch_of, reduced_cell
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.base import Backbone, Features
from ase_crysdiff.networks.graph import MASKED, CrystalGraph, Graph, build_graph
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.testing.crystals import prototypes, rattled

#: Largest deviation over the largest feature.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
#: Largest deviation over the largest feature for cells that went through reduction, and for
#: displacements of 1e-8 Å.
LOOSE = 1e-4


def permutation(backbone: Backbone) -> None:
    """Atoms in another order have the same features in that order; the crystal has the same."""
    crystals, generator = _crystals(backbone), _generator()
    blocks = crystals.layout.blocks
    order = torch.cat(
        [
            block.atoms.start + k * block.size + torch.randperm(block.size, generator=generator)
            for block in blocks
            for k in range(block.count)
        ]
    )
    mixed = CrystalBatch(
        crystals.lattice, crystals.frac_coords[order], crystals.species[order], crystals.num_atoms
    )
    before, after = features(backbone, crystals), features(backbone, mixed)
    _equal(backbone, before.nodes[order], after.nodes, "features of atoms in another order")
    _equal(
        backbone,
        before.crystals,
        after.crystals,
        "features of crystals whose atoms are in another order",
    )


def rotation(backbone: Backbone) -> None:
    """A rotated crystal has the same features."""
    crystals = _crystals(backbone)
    _same(backbone, crystals, _turned(crystals, 1.0), "rotation")


def reflection(backbone: Backbone) -> None:
    """A mirror image has the same features."""
    crystals = _crystals(backbone)
    _same(backbone, crystals, _turned(crystals, -1.0), "reflection")


def translation(backbone: Backbone) -> None:
    """A crystal moved against its cell has the same features."""
    crystals = _crystals(backbone)
    shift = torch.rand(len(crystals), 3, generator=_generator(), dtype=crystals.lattice.dtype)
    moved = (crystals.frac_coords + shift[crystals.layout.batch_index]) % 1.0
    _same(backbone, crystals, _replaced(crystals, moved), "translation")


def image(backbone: Backbone) -> None:
    """Another periodic image of an atom in its place changes nothing."""
    crystals = _crystals(backbone)
    # Coordinates of few bits, so that adding a whole number does not round them.
    home = _replaced(crystals, torch.round(crystals.frac_coords * 2**16) / 2**16)
    cells = torch.randint(-2, 3, home.frac_coords.shape, generator=_generator())
    _same(backbone, home, _replaced(home, home.frac_coords + cells), "another image of an atom")


def supercell(backbone: Backbone) -> None:
    """A supercell has the features of the crystal: as it is, or reduced again if the backbone asks
    for canonical cells.
    """
    structures = [rattled(5)[4], prototypes()["NaCl"], prototypes()["MoS2"]]
    larger = [structure.make_supercell([2, 1, 1], in_place=False) for structure in structures]
    if backbone.needs_canonical_cell:
        one, two = (batch_of([reduced_cell(s) for s in group]) for group in (structures, larger))
    else:
        one, two = from_structures(structures), from_structures(larger)
    _equal(
        backbone,
        _unsorted(backbone, one),
        _unsorted(backbone, two),
        "features of crystals and of their supercells",
        LOOSE,
    )


def batch_independence(backbone: Backbone) -> None:
    """The features of a crystal do not depend on what else is in the batch."""
    crystals = _crystals(backbone)
    alone = [features(backbone, crystal) for crystal in crystals.split()]
    together = features(backbone, crystals)
    _equal(
        backbone,
        torch.cat([f.nodes for f in alone]),
        together.nodes,
        "features of atoms alone and in a batch",
    )
    _equal(
        backbone,
        torch.cat([f.crystals for f in alone]),
        together.crystals,
        "features of crystals alone and in a batch",
    )


def single_atom(backbone: Backbone) -> None:
    """A cell with one atom has finite features, and so has an atom far from its images."""
    found = features(backbone, _crystals(backbone, [lone_atom(3.6), lone_atom(20.0)]))
    assert bool(torch.isfinite(found.nodes).all()), (
        "features of a cell with one atom are not finite"
    )
    _equal(backbone, found.nodes, found.crystals, "features of the atom and of its crystal")


def elements(backbone: Backbone) -> None:
    """Elements 1 to 100 and the hidden one differ from each other; others are refused."""
    graph = build_graph(_crystals(backbone, [lone_atom(4.0)] * 101), backbone.neighborhood)
    found = _evaluated(backbone, graph.with_species(torch.arange(MASKED, 101))).crystals
    distances = torch.cdist(found, found).fill_diagonal_(torch.inf)
    row, column = divmod(int(distances.argmin()), len(found))
    assert distances[row, column] > 1e-3 * found.abs().max(), (
        f"elements {row} and {column} have the same features"
    )
    for number in (-1, 101):
        with pytest.raises(InputError, match=str(number)):
            _evaluated(backbone, graph.with_species(torch.full((101,), number)))


def edges(backbone: Backbone) -> None:
    """Every edge has its reverse, no edge twice; where neighbours are counted, every atom has as
    many.
    """
    crystals = _crystals(backbone, [*rattled(4), *prototypes().values(), lone_atom(20.0)])
    graph = build_graph(crystals, backbone.neighborhood)
    forward = _rows(graph.receivers, graph.senders, graph.cell_offsets)
    backward = _rows(graph.senders, graph.receivers, -graph.cell_offsets)
    assert len(forward) == len(graph.receivers), "some edges are there twice"
    assert forward == backward, f"{len(forward - backward)} edges have no reverse"
    fewest = int(torch.bincount(graph.receivers, minlength=len(crystals.species)).min())
    assert fewest >= (backbone.neighborhood.neighbors or 0), f"an atom has only {fewest} edges"
    assert graph.profile.shape[1] == backbone.neighborhood.profile
    assert bool((graph.profile.diff(dim=1) >= 0).all()), "distances of a profile do not ascend"


def gradients(backbone: Backbone) -> None:
    """Every parameter takes part, once those that begin at zero have moved."""
    backbone = _moved(backbone)
    found = backbone(build_graph(_crystals(backbone), backbone.neighborhood))
    weights = torch.randn(found.crystals.shape, generator=_generator(), dtype=found.crystals.dtype)
    backbone.zero_grad()
    ((found.crystals * weights).sum() + found.nodes.square().sum()).backward()
    trained = [(name, p.grad) for name, p in backbone.named_parameters() if p.requires_grad]
    idle = [name for name, gradient in trained if gradient is None or not bool(gradient.any())]
    backbone.zero_grad()
    assert not idle, f"no gradient reaches {idle}"


def _moved(backbone: Backbone) -> Backbone:
    """A copy in which no tensor is zero: what comes before a map that begins at zero would seem
    idle.
    """
    copy = deepcopy(backbone)
    generator = _generator()
    with torch.no_grad():
        for parameter in copy.parameters():
            if parameter.requires_grad and not bool(parameter.any()):
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return copy


def noise(backbone: Backbone) -> None:
    """Displacements of 1e-8 Å do not change which neighbours a symmetric crystal has."""
    crystals = from_structures([prototypes()[name] for name in ("Cu", "NaCl", "SrTiO3")]).to(
        dtype=torch.float64
    )
    moved = (
        crystals.frac_coords
        + 1e-8 / 4 * torch.randn(crystals.frac_coords.shape, generator=_generator()).double()
    )
    graphs = [build_graph(c, backbone.neighborhood) for c in (crystals, _replaced(crystals, moved))]
    before, after = (_evaluated(backbone, _as(graph, _dtype(backbone))) for graph in graphs)
    _equal(
        backbone,
        before.nodes,
        after.nodes,
        "features before and after displacements of 1e-8 Å",
        LOOSE,
    )


def smoothness(backbone: Backbone) -> None:
    """One that says `is_smooth` reads nothing but edges, and neither its features nor their
    derivatives jump where an edge reaches the cutoff. Others may do as they like.
    """
    if not backbone.is_smooth:
        return
    cutoff, dtype = backbone.neighborhood.cutoff, _dtype(backbone)
    assert cutoff is not None, "is_smooth needs a cutoff"
    lengths = torch.tensor([*torch.linspace(1.5, 0.9 * cutoff, 12).tolist(), 0.999 * cutoff])
    found = [_of_pair(backbone, float(length), dtype) for length in lengths]
    apart = _of_pair(backbone, None, dtype)[0]
    changes = [float((features - apart).abs().max()) for features, _ in found]
    slopes = [slope for _, slope in found]
    assert max(changes) > 0, "features do not depend on edges"
    assert changes[-1] < 1e-2 * max(changes), (
        f"features jump by {changes[-1]:.2g} at the cutoff; the largest change is "
        f"{max(changes):.2g}"
    )
    assert slopes[-1] < 2e-2 * max(slopes), (
        f"derivatives of features jump by {slopes[-1]:.2g} at the cutoff; the largest is "
        f"{max(slopes):.2g}"
    )


#: All of them by name.
CHECKS: Mapping[str, Callable[[Backbone], None]] = {
    check.__name__: check
    for check in (
        permutation,
        rotation,
        reflection,
        translation,
        image,
        supercell,
        batch_independence,
        single_atom,
        elements,
        edges,
        gradients,
        noise,
        smoothness,
    )
}


def features(backbone: Backbone, crystals: CrystalBatch) -> Features:
    """Features without gradients."""
    return _evaluated(backbone, build_graph(crystals, backbone.neighborhood))


def _evaluated(backbone: Backbone, graph: CrystalGraph) -> Features:
    backbone.eval()
    with torch.no_grad():
        found: Features = backbone(graph)
    return found


def _of_pair(backbone: Backbone, length: float | None, dtype: torch.dtype) -> tuple[Tensor, float]:
    """Features of a copper and an oxygen atom with an edge of this length, or none; and how fast
    they change with it.
    """
    ends = torch.tensor([0, 1] if length is not None else [], dtype=torch.long)
    vectors = torch.tensor([[length or 0.0, 0.0, 0.0], [-(length or 0.0), 0.0, 0.0]], dtype=dtype)
    vectors = vectors[: len(ends)].requires_grad_(True)
    graph = Graph(
        torch.tensor([29, 8]),
        torch.zeros(2, dtype=torch.long),
        1,
        ends,
        ends.flip(0),
        torch.zeros(len(ends), 3, dtype=torch.long),
        vectors,
    )
    try:
        found = backbone.eval()(graph).nodes
    except AttributeError as error:
        raise AssertionError(f"is_smooth promises to read a plain Graph: {error}") from error
    weights = torch.randn(found.shape, generator=_generator()).to(dtype)
    (gradient,) = torch.autograd.grad((found * weights).sum(), vectors, allow_unused=True)
    slope = float(gradient.abs().amax()) if len(ends) and gradient is not None else 0.0
    return found.detach(), slope


def _unsorted(backbone: Backbone, crystals: CrystalBatch) -> Tensor:
    """Features of crystals in the order given."""
    ordered, order = crystals.to(dtype=_dtype(backbone)).sorted()
    return features(backbone, ordered).crystals[torch.argsort(order)]


def _same(backbone: Backbone, one: CrystalBatch, other: CrystalBatch, what: str) -> None:
    before, after = features(backbone, one), features(backbone, other)
    _equal(backbone, before.nodes, after.nodes, f"features of atoms before and after {what}")
    _equal(
        backbone, before.crystals, after.crystals, f"features of crystals before and after {what}"
    )


def _equal(
    backbone: Backbone, one: Tensor, other: Tensor, what: str, tolerance: float | None = None
) -> None:
    scale, worst = float(one.abs().max()), float((one - other).abs().max())
    limit = tolerance or TOLERANCE[_dtype(backbone)]
    assert worst <= limit * scale, (
        f"{what} differ by {worst:.2g}, the largest being {scale:.2g}; {limit:g} of it is allowed"
    )


def _crystals(backbone: Backbone, structures: list[Structure] | None = None) -> CrystalBatch:
    """Sorted crystals without symmetry, in the number format of the backbone."""
    return (
        from_structures(rattled(8) if structures is None else structures)
        .sorted()[0]
        .to(dtype=_dtype(backbone))
    )


def lone_atom(constant: float) -> Structure:
    """One copper atom in a cubic cell of this edge, Å."""
    return Structure(Lattice.cubic(constant), ["Cu"], [[0.1, 0.2, 0.3]])


def _turned(crystals: CrystalBatch, sign: float) -> CrystalBatch:
    """The crystals rotated at random, and mirrored if the sign is negative."""
    matrix, _ = torch.linalg.qr(torch.randn(3, 3, generator=_generator(), dtype=torch.float64))
    matrix = matrix * torch.sign(torch.linalg.det(matrix)) * sign
    lattice = (crystals.lattice.double() @ matrix).to(crystals.lattice.dtype)
    return CrystalBatch(lattice, crystals.frac_coords, crystals.species, crystals.num_atoms)


def _replaced(crystals: CrystalBatch, frac_coords: Tensor) -> CrystalBatch:
    return CrystalBatch(crystals.lattice, frac_coords, crystals.species, crystals.num_atoms)


def _as(graph: CrystalGraph, dtype: torch.dtype) -> CrystalGraph:
    return CrystalGraph.of(graph.crystals.to(dtype=dtype), graph.pairs, graph.profile.to(dtype))


def _rows(first: Tensor, second: Tensor, shifts: Tensor) -> set[tuple[int, ...]]:
    return {tuple(row) for row in torch.cat([first[:, None], second[:, None], shifts], 1).tolist()}


def _dtype(backbone: Backbone) -> torch.dtype:
    return next(backbone.parameters()).dtype


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
