"""The sampler of a model of molecules."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import torch

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.classifier_free import ClassifierFree
from ase_crysdiff.constants import GATE_DISTANCE
from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.crystal.molecule_space import axes
from ase_crysdiff.crystal.properties import declared
from ase_crysdiff.data.group_outlook import GroupOutlook, GroupWishes
from ase_crysdiff.models.card import Card
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling import loop
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.molecules.group_law import GroupLaw
from ase_crysdiff.sampling.molecules.tasks import (
    Completion,
    MoleculeOf,
    MoleculeTask,
    NewMolecule,
)
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.solvers import make_solver
from ase_crysdiff.sampling.tasks.base import ModelWithCard
from ase_crysdiff.sampling.wishes import told

#: Molecules of one size in training, below which nothing much is learnt of it.
_SELDOM = 10


class MoleculeModelSampler(Sampler):
    """Draws molecules: their atoms as the task says, their places by the model. A wish is heard by
    both, first by the draw of the groups, then by the network.

    Args:
        model: The model.
        card: Its card; says how it is used by default.
        device: Where to compute.
    """

    card: Card
    remedy: ClassVar[str] = (
        "Others are learnt from labels: crysdiff train geobfn --from geobfn --data FILE --config "
        '\'{"properties": ["homo"]}\'.'
    )

    def __init__(self, model: GenerativeModel, card: Card, device: torch.device) -> None:
        self.model, self.card, self.device = model, card, device
        self.subject = ModelWithCard(model, card)
        self.solver = make_solver(self.subject.settings)
        self.capabilities = Capabilities(
            tasks=frozenset({NewMolecule, MoleculeOf, Completion}),
            constraints=frozenset({"num_atoms", "elements", "chemical_system", "composition"}),
            max_atoms=model.state_space.max_atoms,
            known_elements=frozenset(card.elements),
            properties=declared(model.config.get("properties")),
        )
        model.denoiser.to(device)

    def doubts(self, request: SampleRequest) -> list[str]:
        known = super().doubts(request)
        formulas = request.task.formulas if isinstance(request.task, MoleculeOf) else ()
        for number in sorted({sum(n for z, n in formula if z > 1) for formula in formulas}):
            seen = self._law.with_heavy_atoms(number)
            if seen < _SELDOM:
                known.append(
                    f"{self.name} has learnt from {seen or 'no'} molecule{'s' * (seen != 1)} of "
                    f"{number} heavy atom{'s' * (number != 1)}, so that few draws may be stable. "
                    "Draw more than you need and keep the stable ones."
                )
        return known

    def evaluations(self, request: SampleRequest) -> int:
        steps = len(request.task.plan(self.subject.settings, request.steps))
        asked = 2 if request.properties and request.guidance_weight not in (0, 1) else 1
        return asked * self.solver.evaluations(steps)

    def rejection(self, crystal: CrystalBatch, request: SampleRequest) -> str | None:
        if not bool(torch.isfinite(crystal.frac_coords).all()):
            return "a position is not finite"
        distances = torch.pdist(crystal.frac_coords.double())
        if len(distances) and float(distances.min()) < GATE_DISTANCE:
            return "two atoms on each other"
        return next((r for r in (f(crystal) for f in request.filters) if r is not None), None)

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        self.check(request)
        assert isinstance(request.task, MoleculeTask)
        rows = told(request, self.capabilities.properties, streams, self.device, torch.float32)
        contents = request.task.of_law(self._law, streams, self._group_wishes(request, rows))
        assert contents.species is not None
        # In order of size, so that equally large molecules are computed together.
        order = sorted(range(len(streams)), key=lambda i: contents.sizes[i])
        back = sorted(range(len(order)), key=order.__getitem__)
        streams = streams.take(order)
        layout = Layout(tuple(contents.sizes[i] for i in order), self.device)
        species = torch.cat([contents.species[i] for i in order]).to(self.device)
        lattice = axes(len(order), torch.zeros(0, dtype=layout.dtype, device=self.device))
        context = {"species": species, "lattice": lattice}
        context |= {name: values[order] for name, values in rows.items()}
        plan = request.task.plan(self.subject.settings, request.steps)
        batch = loop.run(
            self.model,
            layout,
            context,
            self.solver,
            plan,
            streams,
            self._conditions(request, layout, species),
            loop.counted(request.on_step, len(plan)),
        )
        molecules = batch.to(torch.device("cpu")).select(back)
        if isinstance(request.task, Completion):  # which says where the origin is
            return Sampled(molecules)
        return Sampled(self.model.state_space.decode(molecules))

    @cached_property
    def _law(self) -> GroupLaw:
        return GroupLaw(self.model.config["groups"])

    @cached_property
    def _outlooks(self) -> dict[str, GroupOutlook]:
        entries = self.model.config.get("outlooks", {})
        return {name: GroupOutlook.of_plain(entry) for name, entry in entries.items()}

    def _group_wishes(
        self, request: SampleRequest, rows: Mapping[str, torch.Tensor]
    ) -> GroupWishes | None:
        if not rows:
            return None
        values = {name: own[:, 0] for name, own in rows.items()}
        return GroupWishes(self._outlooks, values, request.guidance_weight)

    def _conditions(
        self, request: SampleRequest, layout: Layout, species: torch.Tensor
    ) -> Sequence[Condition]:
        found: list[Condition] = []
        if request.properties:
            found.append(ClassifierFree(tuple(request.properties), request.guidance_weight))
        found += [c.given_species(species) for c in request.conditions]
        return [*found, *request.task.holds(self.subject, layout)]
