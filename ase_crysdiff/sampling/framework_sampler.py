"""Frameworks from rigid building blocks: by a trained model, or by chance."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.blocks_apart import BlocksApart
from ase_crysdiff.conditions.inpainting import KnownRows
from ase_crysdiff.crystal.batch import CrystalBatch, Level
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.frameworks.batch import Blocks
from ase_crysdiff.frameworks.blocks import BuildingBlock
from ase_crysdiff.geometry.torus import wrap
from ase_crysdiff.models.card import Card, SamplingSettings
from ase_crysdiff.models.frameworks import FrameworkModel
from ase_crysdiff.randomness import CounterStream, Streams
from ase_crysdiff.sampling import loop
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.solvers import make_solver
from ase_crysdiff.sampling.tasks.assemble import Assemble
from ase_crysdiff.sampling.tasks.base import Plan


class FrameworkSampler(Sampler):
    """Assembles frameworks from blocks that are given; each cell holds all of them.

    Args:
        model: Flows of lattice, centres and rotations, and the network.
        card: Of its weights.
        device: Where to compute.
    """

    card: Card

    def __init__(self, model: FrameworkModel, card: Card, device: torch.device) -> None:
        self.model, self.card, self.device = model, card, device
        self.settings = card.sampling or SamplingSettings()
        self.solver = make_solver(self.settings)
        self.capabilities = Capabilities(
            tasks=frozenset({Assemble}),
            constraints=frozenset({"building_blocks", "lattice"}),
            known_elements=frozenset(card.elements),
            finds_species=False,
        )
        model.denoiser.to(device)

    def check(self, request: SampleRequest) -> None:
        super().check(request)
        if request.conditions:
            raise IncompatibleError(
                f"{self.name!r} moves rigid blocks and takes no conditions, which move atoms."
            )

    def evaluations(self, request: SampleRequest) -> int:
        return self.solver.evaluations(len(self._plan(request)))

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        self.check(request)
        assert isinstance(request.task, Assemble)
        cells = request.task.of(streams)
        order = sorted(range(len(cells)), key=lambda i: sum(map(len, cells[i])))
        blocks = blocks_of([cells[i] for i in order]).to(self.device)
        layout = blocks.layout()
        plan = self._plan(request)
        batch = loop.run(
            self.model,
            layout,
            blocks.context(),
            self.solver,
            plan,
            streams.take(order),
            self._conditions(request, len(cells)),
            loop.counted(request.on_step, len(plan)),
        )
        back = sorted(range(len(order)), key=order.__getitem__)
        crystals = batch.to(torch.device("cpu")).select(back)
        if request.lattice is not None and torch.linalg.det(torch.tensor(request.lattice)) < 0:
            # The cell was drawn in with all its vectors reversed, so that no block is mirrored.
            crystals = replace(crystals, frac_coords=wrap(-crystals.frac_coords))
        return Sampled(crystals, {"blocks": [described(own) for own in cells]})

    def _plan(self, request: SampleRequest) -> Plan:
        return request.task.plan(self.settings, request.steps)

    def _conditions(self, request: SampleRequest, count: int) -> list[Condition]:
        """What keeps blocks apart, as the card says, and a given lattice."""
        share = self.settings.closest_approach
        apart: list[Condition] = [] if share is None else [BlocksApart(share)]
        if request.lattice is None:
            return apart
        rows = torch.tensor(request.lattice, device=self.device, dtype=torch.float32)
        representation = self.model.joint.components["lattice"].representation
        clean = representation.encode(CrystalBatch.cells(rows[None])).expand(count, -1)
        everywhere = torch.ones(count, dtype=torch.bool, device=self.device)
        return [KnownRows("lattice", clean, everywhere), *apart]


class RandomAssembly(Sampler):
    """The row that every table of assembled frameworks needs: blocks anywhere, turned anyhow, in a
    cell of any shape that training cells have and of their mean volume per atom. What does no
    better has learnt nothing.

    Args:
        model: Its flows give places; its network is left alone.
        card: Of its weights; tells the volume.
    """

    card: Card

    def __init__(self, model: FrameworkModel, card: Card) -> None:
        self.model, self.card = model, card
        self.capabilities = Capabilities(
            tasks=frozenset({Assemble}),
            constraints=frozenset({"building_blocks"}),
            known_elements=frozenset(card.elements),
            finds_species=False,
        )

    def evaluations(self, request: SampleRequest) -> int:
        return 0

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        self.check(request)
        assert isinstance(request.task, Assemble)
        cells = request.task.of(streams)
        blocks = blocks_of(cells)
        counts = tuple(blocks.num_blocks.tolist())

        def rng(name: str, level: Level) -> CounterStream:
            rows = counts if level == "body" else (1,) * len(cells)
            return streams.rng(name, 0, rows, torch.device("cpu"), torch.float32)

        joint = self.model.joint
        state = joint.prior(rng)
        lattice = joint.components["lattice"].representation.decode(state["lattice"])
        wanted = blocks.atoms_per_crystal * float(self.card.config["volume_per_atom"])
        scale = (wanted / torch.linalg.det(lattice)) ** (1 / 3)
        crystals = blocks.placed(
            lattice * scale.view(-1, 1, 1), state["centres"], state["rotations"]
        )
        return Sampled(crystals, {"blocks": [described(own) for own in cells]})


def blocks_of(cells: Sequence[Sequence[BuildingBlock]]) -> Blocks:
    """The blocks of crystals; a network does not ask which of them are alike."""
    return Blocks.of([(blocks, range(len(blocks))) for blocks in cells])


def described(blocks: Sequence[BuildingBlock]) -> str:
    """How many blocks of which formula, such as "2 × Zn4O, 6 × C8H4O4"."""
    formulas = Counter(_formula(block) for block in blocks)
    return ", ".join(f"{count} × {formula}" for formula, count in formulas.items())


def _formula(block: BuildingBlock) -> str:
    """In Hill's order: carbon and hydrogen first, then by symbol."""
    counts = Counter(SYMBOLS[z] for z in block.species.tolist())
    first = ("C", "H") if "C" in counts else ()
    order = [s for s in first if s in counts] + sorted(set(counts) - set(first))
    return "".join(s + (str(counts[s]) if counts[s] > 1 else "") for s in order)
