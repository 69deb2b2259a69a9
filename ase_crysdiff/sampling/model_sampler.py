"""From a request to the loop: a generative model as a sampler."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.classifier_free import ClassifierFree
from ase_crysdiff.conditions.closest_approach import ClosestApproach
from ase_crysdiff.conditions.different_species import DifferentSpecies
from ase_crysdiff.conditions.inpainting import KnownRows
from ase_crysdiff.conditions.population import steering_of
from ase_crysdiff.conditions.space_group import SymmetricAs
from ase_crysdiff.crystal.batch import CrystalBatch, Layout, Level
from ase_crysdiff.crystal.properties import declared
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Card, SamplingSettings
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.processes.joint import JointProcess
from ase_crysdiff.randomness import CounterStream, Streams
from ase_crysdiff.sampling import loop
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.known_sites import KnownSites
from ase_crysdiff.sampling.proposals import Proposals
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.scaffolds import first_rows_occupied, named
from ase_crysdiff.sampling.sites import SiteChooser, Sites
from ase_crysdiff.sampling.solvers import make_solver
from ase_crysdiff.sampling.solvers.base import Solver
from ase_crysdiff.sampling.steered import particles
from ase_crysdiff.sampling.tasks.base import (
    Contents,
    Held,
    Matrix,
    ModelWithCard,
    Plan,
)
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.tasks.inpaint import Inpaint
from ase_crysdiff.sampling.tasks.vary import Vary
from ase_crysdiff.sampling.wishes import told

#: Shortest distance of atoms on symmetric sites, as a share of the sum of their covalent radii,
#: where the card of a model asks for none: images of one atom that start next to a symmetry element
#: get the same push from a network, and would end on each other.
SYMMETRIC_APPROACH = 0.75


class ModelSampler(Sampler):
    """Draws crystals from a trained model. It knows no task: each brings what the loop needs.

    Args:
        model: The model.
        card: Its card; says how it is used by default.
        device: Where to compute.
        proposals: Gives what proposes scaffolds for compositions, at first use; None for the plain
            method, which leaves the symmetry open.
        known_sites: Gives the sites of known crystals, which new ones take, at first use; None for
            the plain method.
    """

    card: Card

    def __init__(
        self,
        model: GenerativeModel,
        card: Card,
        device: torch.device,
        proposals: Callable[[], Proposals] | None = None,
        known_sites: Callable[[], KnownSites] | None = None,
    ) -> None:
        self.model, self.card, self.device = model, card, device
        self.subject = ModelWithCard(model, card)
        self.sites = SiteChooser(self.subject, proposals, known_sites)
        _check_components(self.subject.settings, model.joint)
        self.solver: Solver = make_solver(self.subject.settings)
        self.capabilities = _capabilities(self.subject, self.sites.has_library)
        model.denoiser.to(device)
        model.denoiser.encoder.tabulate()

    def steers(self, request: SampleRequest) -> bool:
        return True

    def evaluations(self, request: SampleRequest) -> int:
        return self.evaluations_on(self.sites.chooses(request), request)

    def evaluations_on(self, sites: bool, request: SampleRequest) -> int:
        """Network evaluations per crystal, held on given sites or not."""
        steps = sum(s < t for t, s in self._plan(sites, request))
        asked = 2 if request.properties and request.guidance_weight not in (0, 1) else 1
        steering = steering_of(request.conditions)
        asked *= 1 if steering is None else steering.population
        return asked * self.solver.evaluations(steps) if steps else 0

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        self.check(request)
        return self.sample_on(self.sites.choose(request, streams), request, streams)

    def sample_on(self, sites: Sites | None, request: SampleRequest, streams: Streams) -> Sampled:
        """Draws crystals on given sites, whoever chose them.

        Args:
            sites: Of one crystal for each stream; None leaves the symmetry open.
            request: What else is asked for, checked.
            streams: Random numbers.
        """
        subject = replace(self.subject, volume=request.volume)
        contents = (
            request.task.contents(subject, streams) if sites is None else self._contents(sites)
        )
        said, steering = request.task.properties(streams), steering_of(request.conditions)
        count = 1 if steering is None else steering.population
        if steering is not None:  # candidates for one crystal differ by their noise alone
            streams = particles(streams, steering)
            contents = contents.repeated(count)
            sites = sites and replace(sites, scaffolds=_repeated(sites.scaffolds, count))
        # In order of size, so that equally large crystals are computed together.
        order = sorted(range(len(streams)), key=lambda i: contents.sizes[i])
        streams = streams.take(order)
        layout = Layout(tuple(contents.sizes[i] for i in order), self.device)
        context: dict[str, torch.Tensor] = {}
        if contents.species is not None:
            species = torch.cat([contents.species[i] for i in order])
            context = {"species": species.to(self.device)}
        context |= told(request, self.capabilities.properties, streams, self.device, layout.dtype)
        plan = self._plan(sites is not None, request)
        conditions = self._conditions(request, layout, context, streams, sites is not None)
        held = request.task.symmetry(self.subject, layout, streams)
        if sites is not None:
            scaffolds = [sites.scaffolds[i] for i in order]
            held = self._held(replace(sites, scaffolds=scaffolds), layout, streams, request)
        if held is not None:  # first, so that all others see symmetric estimates, and last
            conditions = [held.symmetry, *conditions, *held.others, held.symmetry]
        if steering is not None:  # last, since it looks at what all the others have made
            conditions = [c for c in conditions if c is not steering] + [steering]
        if request.properties:  # nearest to the network, of which it is two answers in one
            names = tuple(request.properties)
            conditions = [ClassifierFree(names, request.guidance_weight), *conditions]
        batch = loop.run(
            self.model,
            layout,
            context,
            self.solver,
            plan,
            streams,
            conditions,
            loop.counted(request.on_step, len(plan)),
        )
        back = sorted(range(len(order)), key=order.__getitem__)[::count]
        crystals = batch.to(torch.device("cpu")).select(back)
        if sites is None:
            return Sampled(self.model.state_space.decode(crystals), said)
        return Sampled(*named(sites.scaffolds[::count], crystals))

    def _plan(self, sites: bool, request: SampleRequest) -> Plan:
        """The times that are visited. On sites the card may ask for fewer, but not where conditions
        of the request act at each of them.
        """
        task, settings = request.task, self.subject.settings
        if (sites or task.knows_sites) and not request.conditions:
            settings = settings.on_sites
        return task.plan(settings, request.steps)

    def _contents(self, sites: Sites) -> Contents:
        """Rows of crystals on scaffolds, site after site."""
        scaffolds = sites.scaffolds
        if not self.subject.generates_species:
            species = [torch.from_numpy(s.species) for s in scaffolds]
            return Contents([len(s) for s in species], species)
        size = self.model.state_space.encoded_size
        return Contents([s.num_atoms if sites.vacant else size(s.num_atoms) for s in scaffolds])

    def _held(self, sites: Sites, layout: Layout, streams: Streams, request: SampleRequest) -> Held:
        """What holds crystals on the sites of scaffolds, makes rows atoms or vacancies, and keeps
        the elements of a prototype apart.
        """
        scaffolds = sites.scaffolds
        layout = replace(layout, freedoms=tuple(s.free for s in scaffolds))
        tied, counts = self.subject.generates_species, [s.num_atoms for s in scaffolds]

        def rng(name: str, level: Level) -> CounterStream:
            rows = layout.rows_per_crystal(level)
            return streams.rng(name, 0, rows, layout.device, layout.dtype)

        held = SymmetricAs.scaffolds(scaffolds, layout, rng, tied)
        others: list[Condition] = []
        if tied and not sites.vacant:
            others.append(first_rows_occupied(layout, counts))
        if tied and request.prototypes:
            others.append(DifferentSpecies.of(scaffolds, layout))
        return Held(held, others)

    def _conditions(
        self,
        request: SampleRequest,
        layout: Layout,
        context: Mapping[str, torch.Tensor],
        streams: Streams,
        symmetric: bool,
    ) -> list[Condition]:
        """All conditions, in the order in which they wrap the denoiser: the last has the last word.

        Start, choice of species, distances, those of the request, and what is given and kept.
        """
        task, subject = request.task, self.subject
        conditions = task.starts(subject, layout, streams)
        if subject.generates_species:
            conditions += task.choices(subject, layout)
        share = subject.settings.closest_approach or task.closest_approach
        if share is None and symmetric:
            share = SYMMETRIC_APPROACH
        if share is not None:
            conditions.append(ClosestApproach(share))
        conditions += request.conditions
        if "species" in context:
            conditions = [c.given_species(context["species"]) for c in conditions]
        if request.lattice is not None:
            conditions.append(self._given_lattice(request.lattice, layout))
        return [*conditions, *task.holds(subject, layout)]

    def _given_lattice(self, lattice: Matrix, layout: Layout) -> Condition:
        rows = torch.tensor(lattice, device=layout.device, dtype=layout.dtype)
        cell = CrystalBatch.cells(rows[None])
        clean = self.model.joint.components["lattice"].representation.encode(cell)
        count = layout.num_crystals
        everywhere = torch.ones(count, dtype=torch.bool, device=layout.device)
        return KnownRows("lattice", clean.expand(count, -1), everywhere)


def _repeated(rows: Sequence[Any], count: int) -> list[Any]:
    """Each of them several times, one after the other."""
    return [row for row in rows for _ in range(count)]


def _check_components(settings: SamplingSettings, joint: JointProcess) -> None:
    """Settings by component must be of components that there are.

    Raises:
        InputError: If one is not.
    """
    for setting in ("corrections", "velocity_annealing"):
        unknown = sorted(set(getattr(settings, setting)) - set(joint.components))
        if unknown:
            raise InputError(
                f"{setting} of {unknown}: the model has no such component; it has "
                f"{sorted(joint.components)}."
            )


def _capabilities(subject: ModelWithCard, library: bool) -> Capabilities:
    """What a generative model can be asked for, with a library of known crystals or without."""
    finds_species = subject.generates_species
    both = ("num_atoms", "lattice", "space_group", "prototype")
    element_constraints: Sequence[str] = ("chemical_system", "elements", *both)
    composition_constraints = ("composition", "formula_units", *both, *["known"] * library)
    return Capabilities(
        tasks=frozenset({DeNovo, CSP, Inpaint, Vary}),
        constraints=frozenset(element_constraints if finds_species else composition_constraints),
        max_atoms=subject.max_atoms,
        known_elements=frozenset(subject.card.elements),
        finds_species=finds_species,
        finds_counts=subject.model.state_space.has_vacancies,
        properties=declared(subject.model.config.get("properties")),
    )
