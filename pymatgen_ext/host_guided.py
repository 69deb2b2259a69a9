"""`HostGuidedGeneration`: new compounds by way of the symmetric framework that they contain."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pymatgen.core import Element, Lattice, Structure

from ase_crysdiff import arguments
from ase_crysdiff.campaigns.host_guided import steps as stages
from ase_crysdiff.campaigns.pipeline import Candidate, Pipeline, PipelineResult
from ase_crysdiff.crystal.convert import copy_of
from ase_crysdiff.crystal.volume import volume_per_atom
from ase_crysdiff.data.writing import write
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.metrics.base import MetricResult
from ase_crysdiff.metrics.sources import HullLike, hull_from
from ase_crysdiff.metrics.space_groups import symmetries, symmetry_success
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.randomness import MAX_SEED
from pymatgen_ext import parsing
from pymatgen_ext.inpainting import prepare, prepare_empty
from pymatgen_ext.samplers import StructureSampler


@dataclass(frozen=True)
class SamplerPlacer:
    """Places atoms with a sampler that fills hosts: the `Placer` that the steps ask for.

    Args:
        sampler: The sampler.
        keep_symmetry: Whether guests go to Wyckoff positions of the framework's space group, or of
            a subgroup.
    """

    sampler: StructureSampler
    keep_symmetry: bool = False

    @property
    def name(self) -> str:
        """Of the sampler."""
        return self.sampler.name

    @property
    def version(self) -> str:
        """Of the sampler's weights."""
        return self.sampler.version

    def check(self, lattice: Lattice, contents: Mapping[str, int], steps: int | None) -> None:
        """Raises what `place` would raise before it draws.

        Args:
            lattice: The cell.
            contents: Number of atoms of each element.
            steps: Of the reverse process; None takes the sampler's own.

        Raises:
            InputError: If the contents make no sense.
            IncompatibleError: If the sampler cannot place them.
        """
        prepare_empty(self.sampler.check, lattice, contents, steps=steps)

    def place(
        self,
        lattice: Lattice,
        contents: Mapping[str, int],
        number: int,
        *,
        seed: int,
        steps: int | None = None,
    ) -> Structure:
        task = prepare_empty(self.sampler.check, lattice, contents, steps=steps)
        samples = self.sampler.collect(
            task.request, [number], cell=task.cell, seed=seed, progress=False
        )
        if not len(samples):
            reasons = "; ".join(samples.report.failed.values())
            raise InputError(f"no sound crystal was drawn: {reasons}")
        return samples[0]

    def fill(
        self,
        framework: Structure,
        guests: Mapping[str, int],
        numbers: Sequence[int],
        *,
        seed: int,
        steps: int | None = None,
        repeats: int = 1,
    ) -> Mapping[int, Structure]:
        task = prepare(
            self.sampler.check,
            framework,
            guests,
            keep_symmetry=self.keep_symmetry,
            steps=steps,
            repeats=repeats,
        )
        samples = self.sampler.collect(
            task.request, numbers, cell=task.cell, seed=seed, progress=False
        )
        if not len(samples):
            reasons = "; ".join(sorted(set(samples.report.failed.values())))
            raise InputError(f"no sound filling was drawn: {reasons}")
        return {int(s.properties["crysdiff_index"]): s for s in samples}


@dataclass(frozen=True)
class HostGuidedResult(Sequence[Structure]):
    """Structures by decomposition energy, with all that led to them.

    Args:
        run: Every step's outcomes; `run.after(0)` are the first placements, `run.failures` tells
            what was lost and why.
        asked: Lattices that were tried.
        fillings: Of each framework.
        volume_per_atom: Of the first cells, Å³/atom.
        seed: Of the run, given or drawn.
    """

    run: PipelineResult
    asked: int
    fillings: int
    volume_per_atom: float
    seed: int

    @property
    def candidates(self) -> list[Candidate]:
        """Structures with their records, the best first."""
        return sorted(self.run.candidates, key=lambda c: int(c.record["rank"]))

    def __len__(self) -> int:
        return len(self.run.candidates)

    def __getitem__(self, position: Any) -> Any:
        found = [
            copy_of(
                c.structure,
                {**c.structure.properties, "crysdiff_index": c.record["rank"], **_flat(c)},
            )
            for c in self.candidates
        ]
        return found[position]

    def to_dataframe(self) -> pd.DataFrame:
        """One row per structure, the best first."""
        rows = [
            {
                "formula": c.structure.composition.reduced_formula,
                "atoms": len(c.structure),
                **_flat(c),
            }
            for c in self.candidates
        ]
        return pd.DataFrame(rows)

    def symmetric_shares(self) -> dict[str, MetricResult]:
        """Share of structures beyond P-1, of what was asked for: by way of a host, and of the
        relaxed first placements.
        """
        first = [c.structure for c in self.run.after(1)]
        guided = [c.structure for c in self.candidates]
        rows = {
            "unconditional": [*first, *[None] * (self.asked - len(first))],
            "host_guided": [*guided, *[None] * (self.asked * self.fillings - len(guided))],
        }
        return {name: symmetry_success(symmetries(row)) for name, row in rows.items()}

    def write(self, path: str | Path) -> Path:
        """Writes the structures, in the formats of `SampleSet.write`."""
        return write(list(self), {"seed": self.seed, "failures": self.run.failures}, Path(path))


@dataclass(frozen=True)
class HostGuidedGeneration:
    """Searches for compounds of a composition: finds frameworks first, symmetrises them, then fills
    them.

    Random lattices at a volume -> all atoms placed -> relaxed -> guests taken out -> framework
    symmetrised -> guests placed anew -> symmetrised where they nearly are -> relaxed -> symmetrised
    within a small tolerance -> decomposition energy -> ranked. The steps are those of
    `ase_crysdiff.campaigns.host_guided.steps`.

    Source: CHGGen (Materials Horizons 2025). Its network is replaced by samplers that ship; the
    lattice types include the centred ones; frameworks keep their number of atoms instead of being
    reduced to a primitive cell.

    Args:
        composition: Contents of the cell, exactly as written: "Li10Si4" is a cell of 14 atoms.
        candidates: Lattices to try.
        sampler: Name of a sampler that fills hosts; places all atoms first, and the guests later.
        potential: Name of a potential ("chgnet", "dao-p"), a potential or an ASE calculator.
        volume_per_atom: Å³/atom, for example of a related crystal; None takes a regression on
            published crystals.
        guests: Elements to be taken out, such as "Li"; None takes the element whose coordination
            numbers vary most.
        fillings: Fillings of each framework.
        keep_symmetry: Whether guests go to Wyckoff positions of the framework's space group, or of
            a subgroup; CHGGen places them anywhere.
        hull: Competing phases: "shipped" for the table that comes with the package, a `Hull`, the
            path of a CSV file (columns reduced_formula and hull_energy_per_atom), a mapping by
            formula or structures relaxed with the potential; None ranks by energy per atom.
        ladder: Tolerances (Å, degrees) for frameworks.
        filling_ladder: Tolerances (Å, degrees) for filled frameworks; an empty one leaves them as
            they were drawn.
        symprec: Tolerance of the last symmetrisation, Å.
        fmax: Of the relaxations, eV/Å.
        steps: Of the sampler; None takes its default.
        weights: Folder with other weights of the sampler; None takes those of its name.
        device: Of the sampler: "cpu", "cuda", or "auto" for a GPU where there is one.

    Raises:
        InputError: If an argument makes no sense.
    """

    composition: parsing.Formula
    candidates: int = 40
    sampler: str = "chggen"
    potential: PotentialLike = "chgnet"
    volume_per_atom: float | None = None
    guests: str | Sequence[str] | None = None
    fillings: int = 3
    keep_symmetry: bool = True
    hull: HullLike | None = None
    ladder: tuple[tuple[float, float], ...] = stages.LADDER
    filling_ladder: tuple[tuple[float, float], ...] = stages.LADDER[:5]
    symprec: float = 0.1
    fmax: float = 0.1
    steps: int | None = None
    weights: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if len(self.contents) < 2:
            raise InputError(
                f"{self.composition!r} has one element; a host and guests need two. Use "
                "StructureSampler.sample."
            )
        arguments.positive("candidates", self.candidates)
        arguments.positive("fillings", self.fillings)
        arguments.symprec(self.symprec)
        if self.volume_per_atom is not None and not self.volume_per_atom > 0:
            raise InputError(f"volume_per_atom must be above 0 Å³, got {self.volume_per_atom!r}.")
        chosen = set(self.guest_symbols or ())
        if not chosen <= set(self.contents) or chosen == set(self.contents):
            raise InputError(
                f"guests {sorted(chosen)} must be some, not all, of the elements "
                f"{sorted(self.contents)}."
            )

    @property
    def contents(self) -> dict[str, int]:
        """Atoms of each element in the cell."""
        return {Element.from_Z(z).symbol: n for z, n in parsing.composition(self.composition)}

    @property
    def guest_symbols(self) -> tuple[str, ...] | None:
        """Elements to be taken out, if they are given."""
        if self.guests is None:
            return None
        return tuple(
            sorted(Element.from_Z(z).symbol for z in parsing.elements("guests", self.guests))
        )

    def pipeline(self, seed: int) -> Pipeline:
        """The steps, to be used or changed."""
        sampler = StructureSampler(self.sampler, self.weights, self.device)
        placer = SamplerPlacer(sampler, self.keep_symmetry)
        potential = as_potential(self.potential)
        hull = None if self.hull is None else hull_from(self.hull, potential)
        return Pipeline(
            (
                stages.SampleCoordinates(placer, self.contents, seed, self.steps),
                stages.Relax(potential, self.fmax),
                stages.RemoveGuests(self.guest_symbols),
                stages.SymmetriseFramework(self.ladder),
                stages.FillFramework(placer, self.fillings, seed, self.steps),
                stages.SymmetriseFilling(self.filling_ladder),
                stages.Relax(potential, self.fmax),
                stages.Refine(self.symprec),
                stages.Decompose(potential, hull),
                stages.Rank(),
            )
        )

    @own_state()
    def run(
        self,
        folder: str | Path | None = None,
        seed: int | None = None,
        progress: bool | None = None,
    ) -> HostGuidedResult:
        """Runs all steps.

        Args:
            folder: Keeps every intermediate; the same call goes on where an interrupted one was.
                None keeps them in memory.
            seed: Of all random numbers; None draws one. Give one to make a run in a folder go on.
            progress: Whether to show progress bars; None shows them on a terminal.

        Raises:
            InputError: If no volume is known for the composition, or the folder cannot be written.
            IncompatibleError: If the sampler cannot place so many atoms.
        """
        chosen = (
            secrets.randbelow(MAX_SEED) if seed is None else arguments.positive("seed", seed, 0)
        )
        volume = self.volume_per_atom or volume_per_atom(self.contents)
        cells = stages.lattice_candidates(
            self.candidates, volume * sum(self.contents.values()), chosen
        )
        pipeline = self.pipeline(chosen)
        first = pipeline.steps[0]
        assert isinstance(first, stages.SampleCoordinates)
        assert isinstance(first.placer, SamplerPlacer)
        # Refused before anything is written.
        first.placer.check(cells[0].structure.lattice, self.contents, self.steps)
        result = pipeline.run(cells, folder, progress)
        return HostGuidedResult(result, self.candidates, self.fillings, volume, chosen)


def _flat(candidate: Candidate) -> dict[str, Any]:
    """The record with nested entries as text, for tables and files."""
    record = {f"crysdiff_{k}": v for k, v in candidate.record.items() if v is not None}
    return {
        k: v if isinstance(v, str | int | float | bool) else _text(v) for k, v in record.items()
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{k}: {v:.4g}" if isinstance(v, float) else f"{k}: {v}" for k, v in value.items()
        )
    return ", ".join(map(str, value))
