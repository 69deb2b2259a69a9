"""`StructureSampler`: the way from a name to structures."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from monty.json import MSONable
from numpy.typing import ArrayLike
from pymatgen.core import Lattice, Structure

from ase_crysdiff import arguments, registry
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.randomness import MAX_SEED
from ase_crysdiff.sampling.batched import Draw, SamplerSpec, draw
from ase_crysdiff.sampling.request import Sampler, SampleRequest
from ase_crysdiff.sampling.sample_set import Report, SampleSet
from ase_crysdiff.schedules.plans import UniformPlan
from pymatgen_ext import __version__, parsing
from pymatgen_ext.cells import CellMap, HostCell

if TYPE_CHECKING:
    from ase_crysdiff.potentials.loading import PotentialLike
    from pymatgen_ext.inpainting import GuestCounts
    from pymatgen_ext.masks import Mask
    from pymatgen_ext.variation import SeedCell

#: Called with every batch of draws as soon as it is done.
OnDraws = Callable[[list[Draw], list[Structure]], None]


def available_samplers() -> list[str]:
    """Names that `StructureSampler` takes, from this and all other installed packages."""
    return registry.names(registry.SAMPLERS)


class StructureSampler(MSONable):
    """Draws crystal structures from a generative model.

    Holds names and numbers only, so that it can be stored in workflows; weights are loaded at first
    use.

    Args:
        name: One of `available_samplers()`.
        weights: Folder with other weights for the model; None takes the shipped ones.
        device: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one.

    Raises:
        UnknownNameError: If no sampler has this name.
    """

    def __init__(self, name: str, weights: str | None = None, device: str = "auto") -> None:
        self.name = name
        self.weights = None if weights is None else str(weights)
        self.device = device
        self._factory = registry.load(registry.SAMPLERS, name)
        self._loaded: Sampler | None = None

    def sample(
        self,
        num_samples: int = 1,
        *,
        composition: parsing.Formula | None = None,
        formula_units: int | Iterable[int] | str = "auto",
        chemical_system: str | Iterable[str] | None = None,
        elements: str | Iterable[str] | None = None,
        num_atoms: int | None = None,
        lattice: Lattice | ArrayLike | None = None,
        conditions: Sequence[Condition] = (),
        potential: "PotentialLike | None" = None,
        distinct: bool = False,
        symprec: float | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        workers: int = 1,
        seed: int | None = None,
        redraws: int = 3,
        progress: bool | None = None,
    ) -> SampleSet:
        """Draws structures.

        The same seed and version give the same structures on the same type of machine, whatever the
        batch size and the number of workers.

        Args:
            num_samples: How many.
            composition: One formula unit exactly as written, for samplers that predict structures.
            formula_units: Formula units per cell: a number, several to choose from, or "auto".
            chemical_system: Exactly these elements, each present, such as "Li-Mn-O".
            elements: Only these elements may occur.
            num_atoms: Atoms per cell.
            lattice: A cell (Å) that is given and kept.
            conditions: Further conditions on the sampling loop, such as `EnergyGuidance`.
            potential: Name of a potential, a potential or an ASE calculator that ranks the
                structures by energy per atom, which becomes the property
                `crysdiff_energy_per_atom`. What it refuses comes last.
            distinct: Whether to keep only the best-ranked (else the first) of structures that are
                the same.
            symprec: Tolerance in Å within which structures are symmetrised, before they are ranked;
                None leaves them alone.
            steps: Steps of the reverse process; None takes the sampler's default.
            batch_size: Crystals computed together; changes speed and memory only.
            workers: Processes; each computes its own batches.
            seed: 0 to 2^63 - 1; None draws one, which the report records.
            redraws: How often an unusable crystal is drawn again before its index is given up and
                reported.
            progress: Whether to show a progress bar; None shows one on a terminal.

        Returns:
            The structures by index, or by rank. Indices that failed for good are missing here and
            named in `.report.failed`.

        Raises:
            IncompatibleError: If this sampler cannot serve the request; the message names those
                that can.
            InputError: If an argument makes no sense.
        """
        from pymatgen_ext.selection import Refinement

        request, cell = self.request(
            composition,
            formula_units,
            chemical_system,
            elements,
            num_atoms,
            lattice,
            conditions,
            steps,
        )
        refine = Refinement.of(potential, distinct, symprec, fixed_cell=cell is not None)
        count = arguments.positive("num_samples", num_samples)
        seed = secrets.randbelow(MAX_SEED) if seed is None else arguments.positive("seed", seed, 0)
        how: dict[str, Any] = {
            "redraws": redraws,
            "batch_size": batch_size,
            "workers": workers,
            "progress": progress,
        }
        return refine(self.collect(request, range(count), cell=cell, seed=seed, **how))

    def vary(
        self,
        structure: Structure,
        *,
        strength: float = 0.3,
        num_samples: int = 1,
        chemical_system: str | Iterable[str] | None = None,
        elements: str | Iterable[str] | None = None,
        num_atoms: int | None = None,
        conditions: Sequence[Condition] = (),
        potential: "PotentialLike | None" = None,
        distinct: bool = False,
        symprec: float | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        workers: int = 1,
        seed: int | None = None,
        redraws: int = 3,
        progress: bool | None = None,
    ) -> SampleSet:
        """Draws neighbours of a structure: noises it part of the way and takes the noise away
        again.

        Samplers that predict structures keep its composition and its sites' order; `miad` may
        change species and number of atoms. Cells come back in the setting and orientation of the
        given one. All other keywords are those of `sample`.

        Args:
            structure: The seed, ordered and periodic.
            strength: Time to which it is noised: near 0 gives the structure back, 1 forgets it.
            num_samples: How many.
            steps: Steps from `strength` to the end; None takes that share of the sampler's default.

        Raises:
            IncompatibleError: If this sampler cannot serve the request, with its limits.
            InputError: If an argument makes no sense.
        """
        from pymatgen_ext.selection import Refinement
        from pymatgen_ext.variation import prepare

        request, cell = prepare(
            self.check,
            structure,
            strength,
            chemical_system=chemical_system,
            elements=elements,
            num_atoms=num_atoms,
            conditions=conditions,
            steps=steps,
        )
        refine = Refinement.of(potential, distinct, symprec)
        count = arguments.positive("num_samples", num_samples)
        seed = secrets.randbelow(MAX_SEED) if seed is None else arguments.positive("seed", seed, 0)
        how: dict[str, Any] = {
            "redraws": redraws,
            "batch_size": batch_size,
            "workers": workers,
            "progress": progress,
        }
        return refine(self.collect(request, range(count), cell=cell, seed=seed, **how))

    def inpaint(
        self,
        host: Structure,
        guests: "GuestCounts",
        *,
        num_samples: int = 1,
        mask: "Mask | None" = None,
        relax_cell: bool = False,
        charge_balance: bool = False,
        jump_length: int = 10,
        repeats: int = 1,
        conditions: Sequence[Condition] = (),
        potential: "PotentialLike | None" = None,
        distinct: bool = False,
        symprec: float | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        workers: int = 1,
        seed: int | None = None,
        redraws: int = 3,
        progress: bool | None = None,
    ) -> SampleSet:
        """Places guests in a host whose atoms stay where they are. All other keywords are those of
        `sample`.

        Args:
            host: The known part of the crystal, ordered and periodic; its cell is kept.
            guests: Atoms to place: `{"Li": 3}`, or `{"Li": (0, 6)}` where the sampler decides how
                many there are.
            num_samples: How many structures.
            mask: Sites of `host` that are taken out first: element symbols, site indices, one bool
                per site, or `{"centre": fractional coordinates, "radius": Å}`.
            relax_cell: Whether the cell is let go towards the end; host atoms keep their fractional
                coordinates.
            charge_balance: Keep only structures whose charge balances by oxidation states that
                pymatgen guesses.
            jump_length: Levels that a resampling jump goes back up.
            repeats: Passes through each stretch of the plan (RePaint); 1 makes no jumps, each
                further one costs a plan.
            symprec: As in `sample`; it moves atoms of the host, too, and the cell only with
                `relax_cell`.

        Returns:
            Structures with the host's sites first, in the host's order; site property
            `crysdiff_role` is "host" or "guest".

        Raises:
            IncompatibleError: If this sampler cannot serve the request, with its limits.
            InputError: If an argument makes no sense, or there is no room for the guests.
        """
        from pymatgen_ext.inpainting import prepare
        from pymatgen_ext.selection import Refinement

        task = prepare(
            self.check,
            host,
            guests,
            mask=mask,
            relax_cell=relax_cell,
            charge_balance=charge_balance,
            jump_length=jump_length,
            repeats=repeats,
            conditions=conditions,
            steps=steps,
        )
        refine = Refinement.of(potential, distinct, symprec, fixed_cell=not relax_cell)
        count = arguments.positive("num_samples", num_samples)
        seed = secrets.randbelow(MAX_SEED) if seed is None else arguments.positive("seed", seed, 0)
        samples = self.collect(
            task.request,
            range(count),
            cell=task.cell,
            seed=seed,
            redraws=redraws,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
        return refine(SampleSet(samples.structures, replace(samples.report, notes=task.notes)))

    def collect(
        self,
        request: SampleRequest,
        indices: Iterable[int],
        *,
        seed: int,
        cell: "CellMap | HostCell | SeedCell | None" = None,
        redraws: int = 3,
        batch_size: int | None = None,
        workers: int = 1,
        progress: bool | None = None,
        on_draws: OnDraws | None = None,
    ) -> SampleSet:
        """Draws the crystals with the given indices of a run; `sample` is this with indices 0 … n -
        1.

        Args:
            request: What is asked for, parsed.
            indices: Which crystals of the run.
            seed: Of the run.
            cell: The way back to the user's cell, if one is given.
            redraws: As in `sample`.
            batch_size: As in `sample`.
            workers: As in `sample`.
            progress: As in `sample`.
            on_draws: Called after every batch with its draws and the structures among them that
                were accepted.
        """
        sampler = self._sampler()
        device = self._device()
        size = (
            arguments.positive("batch_size", batch_size)
            if batch_size is not None
            else (16 if device == "cpu" else 256)
        )
        wanted = list(indices)
        started = time.perf_counter()
        found: dict[int, Structure] = {}
        last: dict[int, str] = {}
        reasons: Counter[str] = Counter()
        usage: Counter[str] = Counter()
        redrawn = 0
        batches = draw(
            SamplerSpec(self.name, self.weights, device),
            sampler,
            request,
            seed,
            wanted,
            redraws=arguments.positive("redraws", redraws, 0),
            batch_size=size,
            workers=arguments.positive("workers", workers),
            progress=progress,
        )
        for draws in batches:
            accepted = self._structures(
                [d for d in draws if d.reason is None], seed, cell, self.version_for(request)
            )
            found |= {int(s.properties["crysdiff_index"]): s for s in accepted}
            for d in draws:
                redrawn += d.attempt > 0
                usage.update(d.usage)
                if d.reason is not None:
                    reasons[d.reason] += 1
                    last[d.index] = d.reason
            if on_draws is not None:
                on_draws(draws, accepted)
        failed = {i: last[i] for i in wanted if i not in found}
        evaluations = getattr(sampler, "evaluations", None)
        report = Report(
            sampler=self.name,
            weights=self.version_for(request),
            seed=seed,
            asked=len(wanted),
            made=len(found),
            redrawn=redrawn,
            rejections=dict(reasons),
            failed=failed,
            evaluations=None if evaluations is None else evaluations(request),
            seconds=time.perf_counter() - started,
            guidance=dict(usage),
        )
        return SampleSet([found[i] for i in sorted(found)], report)

    def request(
        self,
        composition: parsing.Formula | None = None,
        formula_units: int | Iterable[int] | str = "auto",
        chemical_system: str | Iterable[str] | None = None,
        elements: str | Iterable[str] | None = None,
        num_atoms: int | None = None,
        lattice: Lattice | ArrayLike | None = None,
        conditions: Sequence[Condition] = (),
        steps: int | None = None,
    ) -> tuple[SampleRequest, CellMap | None]:
        """The keywords of `sample`, parsed and checked against each other and against the
        sampler.
        """
        cell = None if lattice is None else CellMap.of(lattice)
        rows = (
            None
            if cell is None
            else tuple(tuple(float(x) for x in row) for row in cell.niggli.matrix)
        )
        if steps is not None:
            UniformPlan(steps)  # raises on a number of steps that no plan has
        if formula_units != "auto" and composition is None:
            raise InputError("formula_units means nothing without a composition.")
        request = SampleRequest(
            composition=None if composition is None else parsing.composition(composition),
            formula_units=parsing.formula_units(formula_units),
            chemical_system=None
            if chemical_system is None
            else parsing.elements("chemical_system", chemical_system),
            elements=None if elements is None else parsing.elements("elements", elements),
            num_atoms=None if num_atoms is None else arguments.positive("num_atoms", num_atoms),
            lattice=rows,  # type: ignore[arg-type]
            conditions=tuple(conditions),
            steps=steps,
        )
        parsing.check_consistency(request)
        self.check(request)
        return request, cell

    def check(self, request: SampleRequest) -> None:
        """Raises IncompatibleError, naming the installed samplers, if this one cannot serve a
        request.
        """
        if request.host is not None and not getattr(self._sampler(), "inpaints", False):
            raise IncompatibleError(
                f"{self.name!r} cannot fill hosts. Installed samplers: "
                f"{', '.join(available_samplers())}."
            )
        if request.start is not None and not getattr(self._sampler(), "varies", False):
            names = ", ".join(available_samplers())
            raise IncompatibleError(
                f"{self.name!r} cannot start from a structure. Installed samplers: {names}."
            )
        check = getattr(self._sampler(), "check", None)
        if check is not None:
            try:
                check(request)
            except IncompatibleError as error:
                raise IncompatibleError(
                    f"{error} Installed samplers: {', '.join(available_samplers())}."
                ) from error

    def _sampler(self) -> Sampler:
        if self._loaded is None:
            self._loaded = self._factory(self.weights, self._device())
        return self._loaded

    def _device(self) -> str:
        if self.device != "auto":
            try:
                torch.empty(0, device=self.device)
            except (RuntimeError, AssertionError) as error:
                reason = str(error).split("\n")[0]
                raise InputError(
                    f"device {self.device!r} cannot be used ({reason}). Use 'cpu', 'cuda' or "
                    "'auto'."
                ) from error
            return self.device
        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def version(self) -> str:
        """First digits of the weights' digest; empty if the sampler has no card."""
        card = getattr(self._sampler(), "card", None)
        return "" if card is None else str(card.version)

    def version_for(self, request: SampleRequest) -> str:
        """`version` for one request: a sampler may choose among several models."""
        card_for = getattr(self._sampler(), "card_for", None)
        return self.version if card_for is None else str(card_for(request).version)

    @property
    def max_atoms(self) -> int | None:
        """Largest cell that the sampler was trained on; None if it does not say."""
        model = getattr(self._sampler(), "model", None)
        return None if model is None else int(model.state_space.max_atoms)

    def _structures(
        self,
        draws: list[Draw],
        seed: int,
        cell: "CellMap | HostCell | SeedCell | None",
        version: str,
    ) -> list[Structure]:
        structures = []
        for d in draws:
            origin: Mapping[str, Any] = {
                "crysdiff_sampler": self.name,
                "crysdiff_version": __version__,
                "crysdiff_weights": version,
                "crysdiff_seed": seed,
                "crysdiff_index": d.index,
            }
            (structure,) = (
                [cell.structure(d.crystal, origin)]
                if cell is not None
                else to_structures(d.crystal, [dict(origin)])
            )
            structures.append(structure)
        return structures
