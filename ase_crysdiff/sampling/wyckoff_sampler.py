"""Crystals that are symmetric by construction: a scaffold from a model, then its free numbers."""

from collections.abc import Sequence

import numpy as np
import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.models.card import Card
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.networks.scaffolds.decoding import ScaffoldDecoder
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.model_sampler import ModelSampler
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.scaffolds import chosen_scaffolds
from ase_crysdiff.sampling.symmetry_wishes import possible_units
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.decisions import hull_class
from ase_crysdiff.symmetry.scaffold import Scaffold

#: Atoms of each element of a primitive cell, by atomic number.
Counts = dict[int, int]


class WyckoffSampler(Sampler):
    """Draws a space group and occupied sites from a model, then cell and free coordinates from a
    generative model that is held on them.

    For crystals from nothing another sampler proposes what the cell contains.

    Args:
        model: The probability of scaffolds.
        card: Of its weights.
        geometry: Draws crystals on scaffolds, for given species.
        contents: Draws crystals from nothing, of which only the composition is taken.
    """

    card: Card

    def __init__(
        self, model: ScaffoldModel, card: Card, geometry: ModelSampler, contents: Sampler
    ) -> None:
        self.card, self.geometry, self.proposals = card, geometry, contents
        self.decoder = ScaffoldDecoder(model.eval())
        self.hull = hull_class(float(card.config.get("hull", "nan")))
        self.temperature = float(card.config.get("temperature", 1.0))
        self.capabilities = Capabilities(
            tasks=frozenset({DeNovo, CSP}),
            constraints=frozenset(
                {
                    "composition",
                    "formula_units",
                    "chemical_system",
                    "elements",
                    "num_atoms",
                    "space_group",
                    "prototype",
                }
            ),
            max_atoms=min(int(card.config["max_atoms"]), geometry.subject.max_atoms),
            known_elements=frozenset(card.elements) & frozenset(geometry.card.elements),
            finds_counts=True,
        )

    def evaluations(self, request: SampleRequest) -> int:
        return self.geometry.evaluations(request)

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        self.check(request)
        scaffolds = self.scaffolds(request, streams)
        kept = [i for i, scaffold in enumerate(scaffolds) if scaffold is not None]
        drawn = self.geometry.sample_on(
            [scaffold for scaffold in scaffolds if scaffold is not None],
            SampleRequest(conditions=request.conditions, steps=request.steps),
            streams.take(kept),
        )
        return _in_place(drawn, kept, len(scaffolds))

    def scaffolds(self, request: SampleRequest, streams: Streams) -> list[Scaffold | None]:
        """The scaffold of every crystal; None where no composition was found for it."""
        if request.prototypes and isinstance(request.task, CSP):
            return list(chosen_scaffolds(request, self.geometry.subject, streams))
        contents = self._contents(request, streams)
        wanted = [i for i, counts in enumerate(contents) if counts is not None]
        part = streams.take(wanted)

        def uniform(decision: int) -> Sequence[float]:
            device = torch.device("cpu")
            rng = part.rng("scaffold", decision, [1] * len(part), device, torch.float32)
            return rng.uniform(1)[:, 0].tolist()

        group = request.space_group
        found: list[Scaffold | None] = [None] * len(contents)
        if wanted:
            drawn = self.decoder.draw(
                [counts for counts in contents if counts is not None],
                uniform,
                groups=None if group is None else frozenset({group}),
                temperature=self.temperature,
                hull=self.hull,
            )
            for i, scored in zip(wanted, drawn, strict=True):
                found[i] = scored.scaffold
        return found

    def _contents(self, request: SampleRequest, streams: Streams) -> list[Counts | None]:
        """Atoms of every primitive cell."""
        task = request.task
        if not isinstance(task, CSP):
            crystals = self.proposals.sample(request, streams).crystals
            found: list[Counts | None] = []
            for crystal in crystals.split():
                numbers, counts = np.unique(crystal.species.numpy(), return_counts=True)
                found.append(dict(zip(numbers.tolist(), counts.tolist(), strict=True)) or None)
            return found
        if task.cells is not None:
            return [dict(task.cells[i % len(task.cells)]) for i in streams.indices]
        unit = task.composition or ()
        able = possible_units(request, task, self.capabilities.max_atoms or 1)
        atoms, sizes = sum(count for _, count in unit), self.card.config["sizes"]
        odds = [float(sizes.get(str(z * atoms), 0) + 1) for z in able]
        units = streams.pick("formula units", able, odds)
        return [{z: count * n for z, count in unit} for n in units]


def _in_place(drawn: Sampled, kept: Sequence[int], count: int) -> Sampled:
    """What was drawn, with empty crystals where nothing was."""
    if len(kept) == count:
        return drawn
    parts = dict(zip(kept, drawn.crystals.split(), strict=True))
    nothing = torch.zeros(0, dtype=torch.long)
    empty = CrystalBatch(
        torch.eye(3)[None], torch.zeros(0, 3), nothing, torch.zeros(1, dtype=torch.long)
    )
    rows = dict(zip(kept, range(len(kept)), strict=True))
    properties = {
        name: [values[rows[i]] if i in rows else None for i in range(count)]
        for name, values in drawn.properties.items()
    }
    return Sampled(CrystalBatch.cat([parts.get(i, empty) for i in range(count)]), properties)
