"""Validity, uniqueness, novelty, symmetry and distributions of first draws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.base import (
    Benchmark,
    BenchmarkResult,
    DrawingOptions,
)

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.campaigns.benchmark.base import StructureSource
    from ase_crysdiff.campaigns.benchmark.run import Run
    from ase_crysdiff.metrics.base import MetricResult
    from ase_crysdiff.metrics.reference import Reference


@dataclass(frozen=True, kw_only=True)
class DenovoOptions(DrawingOptions):
    """Options of `denovo`.

    Args:
        num_samples: crystals to draw
        training: packed training crystals, for novelty and atom counts
        validation: packed crystals, for density, number of elements and space groups
        library: crystals whose prototypes count as known; default those of training
        potential: relaxes the draws, for their stability and the symmetry that they keep
        hull: table of formation energies beside a potential: a CSV file, or shipped
        known_sites: every crystal is held on the sites of a known one, drawn as templates of
            prototypes are; the sampler finds the elements
        plain: nothing is held on sites that a sampler would choose by itself
        energy_above_hull: wished, eV/atom, of a sampler that is conditioned on it, else of the
            shipped predictor, which chooses among candidates
        guidance_weight: how much that wish counts; 0 ignores it, above 1 overstates it
    """

    num_samples: int = 1000
    training: Path
    validation: Path
    library: Path | None = None
    potential: str | None = None
    hull: str = "shipped"
    known_sites: bool = False
    plain: bool = False
    energy_above_hull: float | None = None
    guidance_weight: float = 1.0
    output: Path = Path("denovo.json")


def denovo(
    options: DenovoOptions,
    sampler: "StructureSource",
    evaluate: "Callable[..., Mapping[str, MetricResult]]",
) -> BenchmarkResult:
    """Validity, uniqueness, novelty and distributions of crystals drawn without any constraint.

    Draws once per index, nothing redrawn or dropped: a draw that no user would be given counts as
    invalid. What is drawn is kept at once, so that a killed run goes on where it was.

    Args:
        options: What is asked for.
        sampler: Finds compositions itself.
        evaluate: Structures and `reference=` known crystals -> metrics by name, such as
            `pymatgen_ext.evaluate`.

    Returns:
        `results`: value, interval, failures and settings of every metric; "(training)" and
        "(validation)" name the crystals that it compares with.

    Raises:
        IncompatibleError: If the sampler cannot draw without a composition.
        InputError: If an option makes no sense, or the folder of `keep` holds a run with other
            settings.
    """
    from ase_crysdiff.campaigns.benchmark.library import (
        LIBRARY,
        prototypes_of,
        read_crystals,
        scaffolds_of_library,
    )
    from ase_crysdiff.campaigns.benchmark.run import Run, check
    from ase_crysdiff.data.packed import PackedCrystals
    from ase_crysdiff.errors import InputError
    from ase_crysdiff.isolation import WorkerPool
    from ase_crysdiff.metrics.prototypes import prototype_novelty
    from ase_crysdiff.metrics.reference import Reference
    from ase_crysdiff.predictors.guides import guided
    from ase_crysdiff.sampling.request import SampleRequest

    check(options)
    if options.plain and options.known_sites:
        raise InputError(
            "plain leaves sites open, and known_sites gives them. Leave one of them out."
        )
    training = PackedCrystals.load(options.training)
    validation = Reference(PackedCrystals.load(options.validation))
    crystals = training if options.library is None else read_crystals(options.library)
    wishes = _wishes(options)
    sites: Any = False if options.plain else None
    if options.known_sites:
        sites = scaffolds_of_library(options.num_samples, options.seed, sampler.max_atoms)
    request = guided(SampleRequest(steps=options.steps, prototype=sites, **wishes), sampler.sampler)
    sampler.check(request)
    given: dict[str, Any] = {"known_sites": options.num_samples} if options.known_sites else {}
    given |= {"plain": True} if options.plain else {}
    bench = Run.open("denovo", options, sampler, more={**wishes, **given})
    drawn = bench.draw(request, range(options.num_samples))
    structures = [accepted(drawn[i]) for i in range(options.num_samples)]
    if sampler.max_atoms is not None:  # larger training crystals were left out of the training, too
        training = training.select(training.batch.num_atoms <= sampler.max_atoms)
    hull = None if options.potential is None else options.hull
    found = evaluate(
        structures,
        reference=training,
        hull=hull,
        potential=options.potential,
        workers=options.workers,
    )
    name = (options.library or options.training).name
    with WorkerPool(options.workers) as pool:
        workers = pool if options.workers else 0
        library = prototypes_of(bench.folder, name, crystals, workers=workers)
        new = prototype_novelty(structures, library, workers=workers)
    results = {
        **{f"{name} (training)": r for name, r in found.items()},
        **_of_validation(structures, found, validation),
        "prototype_novelty (library)": new,
    }
    content = _content(bench, options, sampler, results)
    made = sum(s is not None for s in structures)
    lines = [f"{name:42} {result}" for name, result in results.items()]
    lines.append(
        f"{made} of {options.num_samples} crystals by {sampler.name} (seed {options.seed}) in "
        f"{content['seconds']} s"
    )
    lines += [f"  {n} rejected: {reason}" for reason, n in content["rejections"].items()]
    return bench.finish(content, "\n".join(lines), LIBRARY)


def _wishes(options: DenovoOptions) -> dict[str, Any]:
    """Fields of the request that the options say something of."""
    found: dict[str, Any] = {}
    if options.energy_above_hull is not None:
        found["properties"] = {"energy_above_hull": options.energy_above_hull}
    if options.guidance_weight != 1:
        found["guidance_weight"] = options.guidance_weight
    return found


def _content(
    bench: "Run",
    options: DenovoOptions,
    sampler: "StructureSource",
    results: "Mapping[str, MetricResult]",
) -> dict[str, Any]:
    """Everything that the JSON file holds."""
    import torch

    return {
        "benchmark": bench.kind,
        **bench.settings,
        "weights": sampler.version,
        "draws": options.num_samples,
        "evaluations_per_draw": bench.facts["evaluations_per_sample"],
        "rejections": bench.facts["rejections"],
        "seconds": bench.facts["seconds"]["sampling"],
        "workers": options.workers,
        "threads": torch.get_num_threads(),
        "machine": bench.facts["machine"],
        "results": {name: r.as_plain() for name, r in results.items()},
    }


def _of_validation(
    structures: "Sequence[Structure | None]",
    found: "Mapping[str, MetricResult]",
    validation: "Reference",
) -> "dict[str, MetricResult]":
    """Distances to the validation crystals: of densities, numbers of elements and space groups."""
    from ase_crysdiff.metrics.distributions import density_distance, num_elements_distance
    from ase_crysdiff.metrics.space_groups import against

    results = {
        "density_distance": density_distance(structures, validation),
        "num_elements_distance": num_elements_distance(structures, validation),
    }
    results |= {
        name: against(found[name], validation.symmetries)
        for name in ("space_groups", "space_groups_relaxed")
        if name in found
    }
    return {f"{name} (validation)": r for name, r in results.items()}


def accepted(entry: Mapping[str, Any]) -> "Structure | None":
    """A draw as a sampler would hand it out; None if it would not."""
    import torch

    from ase_crysdiff.crystal.batch import CrystalBatch
    from ase_crysdiff.crystal.convert import to_structures

    if entry["reason"] is not None:
        return None
    species = torch.tensor(entry["species"])
    crystal = CrystalBatch(
        torch.tensor(entry["lattice"])[None],
        torch.tensor(entry["frac_coords"]).reshape(-1, 3),
        species,
        torch.tensor([len(species)]),
    )
    return to_structures(crystal)[0]


BENCHMARK = Benchmark(
    denovo,
    DenovoOptions,
    "validity, uniqueness, novelty and distributions of free draws",
    ("sampler", "evaluate"),
)
