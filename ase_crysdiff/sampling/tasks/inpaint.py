"""Guests placed in a host that is given and kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from ase_crysdiff.conditions.atom_count import AtomCountPrior
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.inpainting import KnownPositions, KnownRows
from ase_crysdiff.conditions.space_group import SymmetricAs
from ase_crysdiff.conditions.species import AllowedSpecies, KnownElements
from ase_crysdiff.constants import NUM_SPECIES, VACANCY
from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.models.card import SamplingSettings
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.host import Host
from ase_crysdiff.sampling.tasks.base import Contents, Held, ModelWithCard, Task
from ase_crysdiff.schedules.plans import RepaintPlan
from ase_crysdiff.symmetry.fillings import Filling
from ase_crysdiff.symmetry.own_cell import symbol_of

if TYPE_CHECKING:
    from ase_crysdiff.sampling.capabilities import Capabilities

#: A host whose cell may relax keeps it down to this time: the cosine schedule still leaves it a
#: standard deviation of 0.45 standardised units there, several percent of a length.
CELL_RELEASE = 0.3
#: Free numbers that are tried for a start at which guests have room.
_TRIES = 32
#: Multiples of the golden ratio, and of its like in two dimensions, spread evenly over [0, 1).
_GOLDEN, _SILVER = 0.6180339887498949, 0.7548776662466927
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Inpaint(Task):
    """Guests in a host whose atoms stay where they are.

    Args:
        host: What is known of the crystal, and what is to be added.
        relax_cell: Whether the cell is let go towards the end (at `CELL_RELEASE`); host atoms keep
            their fractional coordinates.
        jump_length: Levels of the plan that a resampling jump goes back up.
        repeats: Passes through each stretch of the plan; 1 makes no jumps.
        atom_count_prior: How likely each number of atoms is in this cell, for 0, 1, ...; None
            leaves it to the model's card.
        fillings: Groups of operations of the host with Wyckoff positions for the guests, in the
            host's cell; each crystal is held on one of them, the likely ones more often. None
            keeps no symmetry.

    Raises:
        InputError: If a number makes no sense.
    """

    host: Host
    relax_cell: bool = False
    jump_length: int = 10
    repeats: int = 1
    atom_count_prior: tuple[float, ...] | None = None
    fillings: tuple[Filling, ...] | None = None
    verb: ClassVar[str] = "fill this host"
    #: Few real crystals have a shorter contact, and a host that is held does not give way to what
    #: is put on top of it.
    closest_approach: ClassVar[float | None] = 0.8

    def __post_init__(self) -> None:
        RepaintPlan(1, jump_length=self.jump_length, repeats=self.repeats)  # raises on nonsense
        if self.atom_count_prior is not None:
            AtomCountPrior(self.atom_count_prior)

    @property
    def knows_sites(self) -> bool:
        # Jumps are as long as they are in a plan of the full length.
        return self.fillings is not None and self.repeats == 1

    def check(self, name: str, capabilities: "Capabilities") -> None:
        reason = self._incompatibility(capabilities)
        if reason is not None:
            raise IncompatibleError(f"{name!r} cannot fill this host: {reason}.")

    def _incompatibility(self, capabilities: "Capabilities") -> str | None:
        host, limit = self.host, capabilities.max_atoms
        if not capabilities.finds_counts and not host.counts_are_known:
            return "it takes known numbers of guests only"
        if limit is not None and host.most_atoms > limit:
            offered = host.most_atoms - len(host.species)
            return (
                f"it holds at most {limit} atoms, here are {len(host.species)} of the host and up "
                f"to {offered} guests"
            )
        named = frozenset({*host.species, *(g.species for g in host.guests)})
        unknown = capabilities.unknown(named)
        if unknown:
            return f"it has not seen these elements in training: {', '.join(unknown)}"
        return None

    def contents(self, model: ModelWithCard, streams: Streams) -> Contents:
        count, most = len(streams), self.host.most_atoms
        if not model.generates_species:
            return Contents([most] * count, [self.host.contents] * count)
        space = model.model.state_space
        if self.host.counts_are_known or self.fillings is not None:
            return Contents([space.encoded_size(most)] * count)
        # As many rows as such crystals have in training, where few are vacant.
        sizes = model.size_histogram
        able = {n: sizes.get(n, 0) + 1.0 for n in range(max(1, self.host.least_atoms), most + 1)}
        odds: dict[int, float] = {}
        for rows, share in space.rows_odds(able).items():
            rows = min(rows, space.encoded_size(most))
            odds[rows] = odds.get(rows, 0.0) + share
        return Contents(streams.pick("numbers of rows", list(odds), list(odds.values())))

    def plan(self, settings: SamplingSettings, steps: int | None) -> RepaintPlan:
        return RepaintPlan(steps or settings.steps, settings.start, self.jump_length, self.repeats)

    def choices(self, model: ModelWithCard, layout: Layout) -> list[Condition]:
        # Elements are known, and a temperature would sharpen the numbers of atoms alone.
        hosts = [(self.host.limited(block.size), block) for block in layout.blocks]
        elements = torch.cat([h.elements(b.size).repeat(b.count) for h, b in hosts])
        allowed = torch.cat([h.allowed(b.size).repeat(b.count, 1) for h, b in hosts])
        found: list[Condition] = [
            KnownElements(elements.to(layout.device)),
            AllowedSpecies(allowed.to(layout.device)),
        ]
        weights = self.atom_count_prior or model.settings.atom_count_prior
        if not self.host.counts_are_known and weights is not None:
            found.append(AtomCountPrior(weights))
        return found

    def symmetry(self, model: ModelWithCard, layout: Layout, streams: Streams) -> Held | None:
        if self.fillings is None:
            return None
        chosen = self._chosen(streams)
        tries = streams.rng(
            "free numbers", 0, [_TRIES * max(1, f.free) for f in chosen], CPU, torch.float64
        ).uniform(1)
        parts = tries.split([_TRIES * max(1, f.free) for f in chosen])
        points, rows, allowed = [], [], []
        for filling, numbers in zip(chosen, parts, strict=True):
            guests = filling.apart(numbers.reshape(_TRIES, -1)[:, : filling.free].numpy())
            points.append(torch.from_numpy(guests))
            rows.append(self._rows(filling))
            own = torch.zeros(layout.sizes[0], NUM_SPECIES, dtype=torch.bool)
            own[:, VACANCY] = True
            own[: len(self.host.species)] = True
            own[rows[-1]] = True
            own[rows[-1], VACANCY] = False
            allowed.append(own)
        # The host's atoms are known, and come to where they are without help.
        held = SymmetricAs(
            [f.operations for f in chosen],
            torch.cat(points),
            layout,
            placed=torch.ones(sum(map(len, rows)), dtype=torch.bool),
            rows=rows,
        )
        species = [AllowedSpecies(torch.cat(allowed).to(layout.device))]
        return Held(held, species if model.generates_species else [])

    def properties(self, streams: Streams) -> Mapping[str, Sequence[str]]:
        if self.fillings is None:
            return {}
        lattice = np.array(self.host.lattice)
        chosen = self._chosen(streams)
        return {"space_group": [symbol_of(f.operations, lattice) for f in chosen]}

    def _chosen(self, streams: Streams) -> list[Filling]:
        """The filling of each crystal: evenly spread over the fillings by their weights, the
        likeliest first.
        """
        fillings = self.fillings or ()
        weights = np.array([f.weight for f in fillings])
        ends = np.exp(weights - weights.max()).cumsum()
        attempts = streams.attempts or (0,) * len(streams)
        pairs = zip(streams.indices, attempts, strict=True)
        places = [(_GOLDEN * index + _SILVER * attempt) % 1.0 for index, attempt in pairs]
        return [fillings[int(np.searchsorted(ends, p * ends[-1], "right"))] for p in places]

    def _rows(self, filling: Filling) -> list[int]:
        """Rows of the guests that a filling has."""
        rows: list[int] = []
        first = len(self.host.species)
        for guests in self.host.guests:
            rows += range(first, first + filling.counts.get(guests.species, 0))
            first += guests.most
        return rows

    def holds(self, model: ModelWithCard, layout: Layout) -> list[Condition]:
        count, own = layout.num_crystals, len(self.host.species)
        starts = (layout.num_atoms.cumsum(0) - layout.num_atoms)[layout.batch_index]
        within = torch.arange(layout.total_atoms, device=layout.device) - starts
        host = within < own
        frac = torch.tensor(self.host.frac_coords).reshape(-1, 3).to(layout.device)
        positions = torch.zeros(layout.total_atoms, 3, device=layout.device)
        positions[host] = frac[within[host]]
        given = CrystalBatch(
            torch.tensor(self.host.lattice).expand(count, -1, -1).to(layout.device),
            positions,
            torch.zeros_like(within),
            layout.num_atoms,
        ).to(layout.device, layout.dtype)
        components = model.model.joint.components
        cell = components["lattice"].representation.encode(given)
        places = components["frac_coords"].representation.encode(given)
        everywhere = torch.ones(count, dtype=torch.bool, device=layout.device)
        return [
            KnownRows("lattice", cell, everywhere, CELL_RELEASE if self.relax_cell else 0.0),
            KnownPositions("frac_coords", places, host),
        ]
