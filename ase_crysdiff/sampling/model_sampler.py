"""From a request to the loop: sizes, context and conditions of a generative model."""

from collections.abc import Sequence

import torch

from ase_crysdiff.conditions.atom_count import AtomCountOdds
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.closest_approach import ClosestApproach
from ase_crysdiff.conditions.known import KnownComponent
from ase_crysdiff.conditions.species import AllowedSpecies, KnownElements, RequiredSpecies
from ase_crysdiff.conditions.start import StartFrom
from ase_crysdiff.conditions.temperature import Temperature
from ase_crysdiff.constants import NUM_SPECIES, TRAINED_STEPS, VACANCY
from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.models.card import Card
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.networks.base import Context
from ase_crysdiff.randomness import StreamDraws, Streams
from ase_crysdiff.sampling import loop
from ase_crysdiff.sampling.host import GUEST_DISTANCE
from ase_crysdiff.sampling.request import SampleRequest, Start
from ase_crysdiff.sampling.solvers import make_solver
from ase_crysdiff.sampling.solvers.base import Solver
from ase_crysdiff.schedules.plans import RepaintPlan, UniformPlan
from ase_crysdiff.shapes import Int, Tensor


class ModelSampler:
    """Draws crystals from a trained model.

    Args:
        model: The model.
        card: Its card; gives the default steps and corrector sizes.
        device: Where to compute.
    """

    def __init__(self, model: GenerativeModel, card: Card, device: torch.device) -> None:
        self.model, self.card, self.device = model, card, device
        model.denoiser.to(device)
        model.denoiser.encoder.tabulate()

    #: Whether requests with a host are served.
    inpaints = True

    #: Whether requests with a start are served.
    varies = True

    @property
    def finds_species(self) -> bool:
        """Whether species are generated; else a composition must be given."""
        return "species" in self.model.joint.components

    def sample(self, request: SampleRequest, streams: Streams) -> CrystalBatch:
        """One crystal per stream, in order."""
        self.check(request)
        sizes, species = self._contents(request, streams)
        order = sorted(range(len(streams)), key=lambda i: sizes[i])
        layout = Layout(tuple(sizes[i] for i in order), self.device)
        context: Context = {}
        if species is not None:
            context = {"species": torch.cat([species[i] for i in order]).to(self.device)}
        plan, solver = self._plan(request), self._solver()
        done = 0

        def count(t: float, state: object) -> None:
            nonlocal done
            done += 1
            if request.on_step is not None:
                request.on_step(done / len(plan))

        held = [] if request.host is None else request.host.conditions(self.model.joint, layout)
        given = context.get("species")
        wished = (
            request.conditions
            if given is None
            else tuple(c.given_species(given) for c in request.conditions)
        )
        started = self._start(request, layout, streams.take(order))
        conditions = (*started, *self._conditions(request, layout, given), *wished, *held)
        batch = loop.run(
            self.model, layout, context, solver, plan, streams.take(order), conditions, count
        )
        back = sorted(range(len(order)), key=order.__getitem__)
        return batch.to(torch.device("cpu")).select(back)

    def evaluations(self, request: SampleRequest) -> int:
        """Network evaluations per draw."""
        steps = sum(s < t for t, s in self._plan(request))
        return self._solver().evaluations(steps) if steps else 0

    def _plan(self, request: SampleRequest) -> UniformPlan | RepaintPlan:
        steps, start = int(self.card.sampling["steps"]), self.card.sampling.get("start")
        if request.start is not None:
            start = self._start_time(request.start)
            steps = max(1, round(steps * start))
        steps = request.steps or steps
        if request.host is not None:
            return RepaintPlan(steps, start, request.host.jump_length, request.host.repeats)
        return UniformPlan(steps, start)

    def _solver(self) -> Solver:
        return make_solver(self.card.sampling)

    def check(self, request: SampleRequest) -> None:
        """Raises IncompatibleError or InputError if this model cannot serve a request."""
        space, name = self.model.state_space, self.card.name
        if request.start is not None:
            self._check_start(request.start)
        if request.host is not None:
            obstacle = request.host.obstacle(
                space.max_atoms, self.card.elements, space.has_vacancies
            )
            if obstacle is not None:
                raise IncompatibleError(f"{name!r} cannot fill this host: {obstacle}.")
            return
        compositions = request.compositions or (
            () if request.composition is None else (request.composition,)
        )
        if self.finds_species and compositions:
            raise IncompatibleError(
                f"{name!r} finds the composition itself and takes no composition. Use "
                "chemical_system= or elements=, or a "
                "sampler for given compositions (dao-g-flow)."
            )
        if not self.finds_species:
            if not compositions and request.start is None:
                raise IncompatibleError(
                    f"{name!r} predicts the structure of a given composition: pass "
                    "composition='SrTiO3', or use a sampler "
                    "that finds compositions (miad)."
                )
            given = [n for n in ("chemical_system", "elements") if getattr(request, n) is not None]
            if given:
                raise IncompatibleError(
                    f"{name!r} takes a composition, which leaves nothing for {' and '.join(given)} "
                    "to decide."
                )
        if request.num_atoms is not None and request.num_atoms > space.max_atoms:
            raise InputError(
                f"{name!r} was trained on cells of 1 to {space.max_atoms} atoms, num_atoms is "
                f"{request.num_atoms}."
            )
        wanted = (request.chemical_system or frozenset()) | (request.elements or frozenset())
        unknown = wanted - set(self.card.elements)
        unknown |= {z for composition in compositions for z, _ in composition} - set(
            self.card.elements
        )
        if unknown:
            raise InputError(
                f"{name!r} has not seen the elements with atomic numbers {sorted(unknown)} in "
                "training."
            )
        largest = max((sum(count for _, count in c) for c in request.compositions or ()), default=0)
        if largest > space.max_atoms:
            raise InputError(
                f"A composition has {largest} atoms; {name!r} holds at most {space.max_atoms}."
            )

    def _check_start(self, start: Start) -> None:
        count, species = len(start.crystal.species), set(start.crystal.species.tolist())
        limit, name = self.model.state_space.max_atoms, self.card.name
        if count > limit:
            raise IncompatibleError(
                f"The structure has {count} atoms per cell; {name!r} holds at most {limit}. Give "
                "its primitive cell if that is "
                "smaller, or use a sampler for larger cells."
            )
        if species - set(self.card.elements):
            unknown = sorted(species - set(self.card.elements))
            raise InputError(
                f"{name!r} has not seen the elements with atomic numbers {unknown} in training."
            )

    def _start(self, request: SampleRequest, layout: Layout, streams: Streams) -> list[Condition]:
        """The condition that puts the first state where the plan begins."""
        if request.start is None:
            return []

        def draws(name: str, level: str) -> StreamDraws:
            return streams.draws(
                name, 0, layout.rows_per_crystal(level), layout.device, layout.dtype
            )

        return [
            StartFrom(
                request.start.crystal,
                self._start_time(request.start),
                self.model.state_space,
                draws,
            )
        ]

    def _start_time(self, start: Start) -> float:
        """On the grid of the trained steps, and no later than where a plan of the card begins."""
        latest = self.card.sampling.get("start")
        return (
            round(min(start.time, 0.99 if latest is None else latest) * TRAINED_STEPS)
            / TRAINED_STEPS
        )

    def _contents(
        self, request: SampleRequest, streams: Streams
    ) -> tuple[list[int], list[Int[Tensor, " atoms"]] | None]:
        """Rows of every crystal, and its species if they are given."""
        if request.host is not None and not self.finds_species:
            return [request.host.most_atoms] * len(streams), [request.host.contents] * len(streams)
        if request.start is not None and not self.finds_species:
            kept = request.start.crystal.species
            return [len(kept)] * len(streams), [kept] * len(streams)
        if request.compositions is not None:
            cells = [
                _atoms(request.compositions[i % len(request.compositions)]) for i in streams.indices
            ]
            return [len(s) for s in cells], cells
        if request.composition is None:
            return [
                self.model.state_space.encoded_size(n) for n in self._num_atoms(request, streams)
            ], None
        unit = _atoms(request.composition)
        choices, odds = self._formula_units(request, len(unit))
        species = [unit.repeat(n) for n in streams.pick("formula units", choices, odds)]
        return [len(s) for s in species], species

    def _num_atoms(self, request: SampleRequest, streams: Streams) -> list[int]:
        """Atoms that every crystal may have at most where they are found while sampling, else that
        it has.
        """
        if request.host is not None:
            return [request.host.most_atoms] * len(streams)
        if request.start is not None:
            return [len(request.start.crystal.species)] * len(streams)
        if request.num_atoms is not None:
            return [request.num_atoms] * len(streams)
        if self.model.state_space.has_vacancies:
            return [self.model.state_space.max_atoms] * len(streams)
        sizes = {
            int(n): float(c)
            for n, c in self.model.config["sizes"].items()
            if int(n) <= self.model.state_space.max_atoms
        }
        return streams.pick("numbers of atoms", list(sizes), list(sizes.values()))

    def _formula_units(self, request: SampleRequest, unit: int) -> tuple[list[int], list[float]]:
        """Possible formula units per cell and their odds."""
        limit = self.model.state_space.max_atoms
        sizes = {int(n): c for n, c in self.model.config["sizes"].items()}
        if request.num_atoms is not None:
            if request.num_atoms % unit:
                raise InputError(
                    f"num_atoms={request.num_atoms} is no multiple of the {unit} atoms of the "
                    "formula unit."
                )
            return [request.num_atoms // unit], [1.0]
        if request.formula_units is not None:
            largest = max(request.formula_units) * unit
            if largest > limit:
                raise InputError(
                    f"{max(request.formula_units)} formula units are {largest} atoms; "
                    f"{self.card.name!r} holds at most {limit}."
                )
            return list(request.formula_units), [
                float(sizes.get(z * unit, 0) + 1) for z in request.formula_units
            ]
        if unit > limit:
            raise InputError(
                f"The composition has {unit} atoms; {self.card.name!r} holds at most {limit}."
            )
        choices = [z for z in range(1, limit // unit + 1) if sizes.get(z * unit)] or [1]
        return choices, [float(sizes.get(z * unit, 1)) for z in choices]

    def _conditions(
        self, request: SampleRequest, layout: Layout, species: Tensor | None
    ) -> Sequence[Condition]:
        conditions: list[Condition] = []
        if self.finds_species:
            sampling = self.card.sampling
            if request.host is None:
                spared = tuple(sampling.get("species_spared", ()))
                conditions.append(
                    Temperature("species", sampling.get("species_temperature", 1.0), spared)
                )
            else:  # elements are known, and a temperature would sharpen the numbers of atoms alone
                elements = request.host.elements(layout.sizes[0]).repeat(layout.num_crystals)
                conditions.append(KnownElements(elements.to(self.device)))
            conditions.append(AllowedSpecies(self._allowed(request, layout)))
            odds = self._count_odds(request)
            if odds is not None:
                conditions.append(AtomCountOdds(odds))
            if request.chemical_system is not None:
                conditions.append(RequiredSpecies(tuple(sorted(request.chemical_system))))
        if request.lattice is not None:
            representation = self.model.joint.components["lattice"].representation
            lattice = torch.tensor(request.lattice, device=self.device, dtype=torch.float32)
            given = CrystalBatch(
                lattice[None],
                lattice.new_zeros(0, 3),
                lattice.new_zeros(0).long(),
                lattice.new_zeros(1).long(),
            )
            clean = representation.encode(given).expand(layout.num_crystals, -1)
            conditions.append(KnownComponent("lattice", clean))
        # Guests come into a host that cannot give way, so they are kept at a physical distance even
        # where the card asks for none.
        apart = self.card.sampling.get(
            "closest_approach", None if request.host is None else {"fraction": GUEST_DISTANCE}
        )
        if apart is not None:
            conditions.append(ClosestApproach(**apart, species=species))
        return conditions

    def _count_odds(self, request: SampleRequest) -> Sequence[float] | None:
        """How likely each number of atoms is, where the request leaves it free."""
        card: Sequence[float] | None = self.card.sampling.get("atom_count_odds")
        if request.host is None:
            return None if request.num_atoms is not None else card
        return None if request.host.counts_are_known else request.host.count_odds or card

    def _allowed(self, request: SampleRequest, layout: Layout) -> Tensor:
        """Classes that every row may take. With a number of atoms given, the first slots are atoms
        and the rest are not.
        """
        if request.host is not None:
            return (
                request.host.allowed(layout.sizes[0]).repeat(layout.num_crystals, 1).to(self.device)
            )
        elements = set(self.card.elements)
        for limit in (request.chemical_system, request.elements):
            elements &= elements if limit is None else limit
        if not elements:
            raise InputError("No element satisfies both chemical_system and elements.")
        if not self.model.state_space.has_vacancies:
            allowed = torch.zeros(NUM_SPECIES, dtype=torch.bool)
            allowed[sorted(elements)] = True
            return allowed.repeat(sum(layout.sizes), 1).to(self.device)
        size = layout.sizes[0]
        allowed = torch.zeros(size, NUM_SPECIES, dtype=torch.bool)
        allowed[:, sorted(elements)] = True
        allowed[:, VACANCY] = True
        if request.num_atoms is not None:
            allowed[: request.num_atoms, VACANCY] = False
            allowed[request.num_atoms :] = False
            allowed[request.num_atoms :, VACANCY] = True
        return allowed.repeat(layout.num_crystals, 1).to(self.device)


def _atoms(composition: tuple[tuple[int, int], ...]) -> Int[Tensor, " atoms"]:
    """The atomic number of each atom."""
    return torch.tensor([z for z, count in composition for _ in range(count)], dtype=torch.long)
