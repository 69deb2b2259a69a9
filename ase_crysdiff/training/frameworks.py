"""Training of the network that assembles frameworks: noise at a random time, and the network tells
lattice, places and rotations of the blocks from it.
"""

from collections.abc import Callable

import torch
from scipy.optimize import linear_sum_assignment

from ase_crysdiff.crystal.batch import Layout, Level
from ase_crysdiff.frameworks.batch import FrameworkBatch
from ase_crysdiff.geometry import rotations as turning
from ase_crysdiff.geometry.segments import segment_index, segment_starts
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.models.frameworks import FrameworkModel
from ase_crysdiff.networks.frameworks.assembler import Estimates
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.shapes import Float, Int, Tensor
from ase_crysdiff.training.times import stratified_times

#: Times below it weigh no more: the velocity there is the error over the time.
SMALLEST_TIME = 0.1
#: Å; errors of places are counted in it.
_LENGTH = 10.0
#: One error of this size weighs no more than it does at it.
_CLAMP = 5.0


class AssemblyObjective:
    """Errors of lattice, places and rotations, over the time as errors of velocities are.

    Noise is dealt out so that ways are short: like blocks share theirs out by the shortest ways in
    all, and each turns to the nearest of the rotations that look the same. The law of crystals does
    not change by that, since like blocks and like rotations are the same crystal.

    Args:
        model: Processes and loss weights. The network is passed to `loss`.

    Source: Kim et al. 2025 (MOFFlow), section 4.3; Tong et al. 2024 for the dealing out of noise.
    """

    def __init__(self, model: FrameworkModel) -> None:
        self.model = model

    def loss(
        self,
        network: Callable[..., Estimates],
        batch: FrameworkBatch,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts; root mean square errors of places and of atoms by rotations, Å.

        Args:
            network: The network of the model, possibly wrapped.
            batch: Frameworks in order of their atoms.
            generator: Source of times and noise.
        """
        joint, blocks = self.model.joint, batch.blocks
        layout = blocks.layout()

        def rng(name: str, level: Level) -> GeneratorStream:
            return GeneratorStream(layout.rows(level), generator, layout.dtype)

        noise = joint.prior(rng)
        clean = joint.encode(batch)
        dealt = dealt_out(clean["centres"], noise["centres"], batch)
        noise = {
            "lattice": noise["lattice"],
            "centres": noise["centres"][dealt],
            "rotations": noise["rotations"][dealt],
        }
        clean["rotations"] = nearest_equivalents(batch, noise["rotations"])
        t = stratified_times(layout.num_crystals, generator).to(layout.dtype)
        state = {
            name: flow.between(clean[name], noise[name], layout.broadcast(t, level))[0]
            for name, (flow, level) in joint.flows.items()
        }
        found = network(state, t, blocks.context(), layout)
        errors = self._errors(found, state, clean, batch, layout)
        weight = t.clamp_min(SMALLEST_TIME).square()
        crystal = layout.index("body")
        power = (1 - t).square() + t.square()
        parts = {
            "lattice": (errors["lattice"] * power / t.clamp_min(SMALLEST_TIME).square()).mean(),
            **{
                name: (errors[name] / _LENGTH**2 / weight[crystal]).clamp_max(_CLAMP).mean()
                for name in ("centres", "rotations")
            },
        }
        total = sum(joint.components[name].loss_weight * part for name, part in parts.items())
        assert isinstance(total, Tensor)
        logged = {name: part.detach() for name, part in parts.items()}
        logged["shift_rmse"] = errors["centres"].detach().mean().sqrt()
        logged["turn_rmse"] = errors["rotations"].detach().mean().sqrt()
        return total, logged

    def _errors(
        self,
        found: Estimates,
        state: dict[str, Tensor],
        clean: dict[str, Tensor],
        batch: FrameworkBatch,
        layout: Layout,
    ) -> dict[str, Tensor]:
        """Mean squares: of the numbers of lattices, of places, and of atoms by rotations, Å²."""
        blocks, crystal = batch.blocks, layout.index("body")
        representation = self.model.joint.components["lattice"].representation
        cells = representation.decode(state["lattice"])[crystal]
        way = shortest_image(clean["centres"] - state["centres"])
        counts = blocks.num_blocks.to(way.dtype).unsqueeze(-1)
        mean = way.new_zeros(len(counts), 3).index_add(0, crystal, way) / counts
        wanted = ((way - mean[crystal]).unsqueeze(-1) * cells).sum(-2)
        turned = found.rotations - turning.to_matrix(clean["rotations"])
        body = segment_index(blocks.block_atoms)
        moved = (turned[body] * blocks.block_positions.unsqueeze(-2)).sum(-1).square().sum(-1)
        sums = moved.new_zeros(len(crystal)).index_add(0, body, moved)
        return {
            "lattice": (found.lattice - clean["lattice"]).square().mean(-1),
            "centres": (found.shifts - wanted).square().sum(-1),
            "rotations": sums / blocks.block_atoms,
        }


def dealt_out(
    clean: Float[Tensor, "bodies 3"], noise: Float[Tensor, "bodies 3"], batch: FrameworkBatch
) -> Int[Tensor, " bodies"]:
    """Which noise each block gets: among like blocks of a crystal the sum of the squared shortest
    fractional differences to the data is least.

    Args:
        clean: Fractional coordinates of the centres.
        noise: Places that are to be dealt out.
        batch: Says which blocks are alike.
    """
    owner = segment_index(batch.blocks.num_blocks)
    kinds = batch.blocks.block_kinds + segment_starts(batch.blocks.num_blocks)[owner]
    dealt = torch.arange(len(kinds), device=kinds.device)
    order = torch.argsort(kinds, stable=True)
    _, counts = torch.unique_consecutive(kinds[order], return_counts=True)
    for rows in order.split(counts.tolist()):
        if len(rows) > 1:
            away = shortest_image(clean[rows].unsqueeze(1) - noise[rows].unsqueeze(0))
            _, chosen = linear_sum_assignment(away.square().sum(-1).cpu().numpy())
            dealt[rows] = rows[torch.from_numpy(chosen).to(rows.device)]
    return dealt


def nearest_equivalents(
    batch: FrameworkBatch, noise: Float[Tensor, "bodies 4"]
) -> Float[Tensor, "bodies 4"]:
    """The rotation of each block, followed by that of its symmetries which comes nearest to the
    noise.
    """
    body = segment_index(batch.num_symmetries)
    all_ways = turning.multiply(batch.rotations[body], batch.symmetries)
    nearness = (all_ways * noise[body]).sum(-1).abs()
    best = nearness.new_full((len(noise),), -1.0).scatter_reduce(0, body, nearness, "amax")
    rows = torch.arange(len(body), device=body.device)
    first = torch.full_like(batch.num_symmetries, len(body)).scatter_reduce(
        0, body, torch.where(nearness >= best[body], rows, len(body)), "amin"
    )
    return turning.canonical(all_ways[first])
