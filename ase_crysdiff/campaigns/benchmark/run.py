"""What every benchmark that draws shares: a folder that remembers, draws, and facts for the
result.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymatgen.core import Structure

from ase_crysdiff import __version__
from ase_crysdiff.arguments import positive
from ase_crysdiff.campaigns.benchmark.base import (
    BenchmarkResult,
    CompositionOptions,
    DrawingOptions,
)
from ase_crysdiff.campaigns.benchmark.given import Told
from ase_crysdiff.campaigns.benchmark.machine import machine
from ase_crysdiff.campaigns.benchmark.predictions import (
    draw_missing,
    entries_of_targets,
    is_ranked,
    requests_for,
    structure_of,
)
from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.devices import resolve
from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import MAX_SEED
from ase_crysdiff.sampling.batched import SamplerSpec
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.storage import Store, ensure_writable, write_text

if TYPE_CHECKING:
    from ase_crysdiff.campaigns.benchmark.base import StructureSource

#: The journal of the draws.
DRAWS = "draws"

_LEAST = {
    "samples": 1,
    "num_samples": 1,
    "limit": 1,
    "seed": 0,
    "steps": 1,
    "batch_size": 1,
    "workers": 0,
}


def check(options: DrawingOptions) -> None:
    """Refuses nonsense, and a place that cannot be written, before weights or targets are read.

    Raises:
        InputError: If there is any.
    """
    for name, least in _LEAST.items():
        if getattr(options, name, None) is not None:
            positive(name.replace("_", "-"), getattr(options, name), least)
    if options.seed > MAX_SEED:
        raise InputError(f"seed must be at most 2^63 - 1, got {options.seed}.")
    timeout = getattr(options, "timeout", 1.0)
    if not timeout > 0:
        raise InputError(f"timeout must be above 0 seconds, got {timeout:g}.")
    ensure_writable(options.output.parent)


@dataclass
class Run:
    """A sampler, what is asked of it and the folder that remembers.

    Args:
        kind: Name of the benchmark.
        options: Of the benchmark.
        spec: How worker processes find the sampler.
        sampler: The sampler that the spec names, loaded.
        settings: Everything that the draws depend on.
        folder: Of the journals.
        facts: What the draws had to do with, for the result.
        journals: Names of the journals of the draws.
    """

    kind: str
    options: DrawingOptions
    spec: SamplerSpec
    sampler: Sampler
    settings: dict[str, Any]
    folder: Store
    facts: dict[str, Any] = field(default_factory=dict)
    journals: list[str] = field(default_factory=list)

    @staticmethod
    def open(
        kind: str,
        options: DrawingOptions,
        structures: "StructureSource",
        targets: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> "Run":
        """Loads the sampler and opens the folder: that of `keep`, or one beside the output.

        Args:
            kind: Name of the benchmark.
            options: Of the benchmark, checked.
            structures: Names the sampler, its weights and the device.
            targets: Names what the sampler is measured on.
            more: Further settings that the journals depend on.

        Raises:
            InputError: If the device cannot be used, or the folder holds a run with other settings.
        """
        spec = _spec(structures)
        return Run._of(kind, options, spec, spec.load(), targets, more)

    @staticmethod
    def on_targets(
        kind: str,
        options: DrawingOptions,
        structures: "StructureSource",
        targets: Targets,
        source: str,
        more: Mapping[str, Any] | None = None,
    ) -> "Run":
        """A run on cells whose contents the sampler is given.

        Args:
            kind: Name of the benchmark.
            options: Of the benchmark, checked.
            structures: Names the sampler, its weights and the device.
            targets: The cells.
            source: Where the targets come from.
            more: Further settings that the journals depend on.

        Raises:
            IncompatibleError: If the sampler takes no composition.
            InputError: If the device cannot be used, a setting makes no sense, or the folder holds
                a run with other settings.
        """
        spec = _spec(structures)
        sampler = spec.load()
        asked, _ = requests_for(sampler, targets, options.steps, wishes=_wishes(options))
        sampler.evaluations(
            asked[0].request
        )  # refuses steps that no plan has, before anything is written
        return Run._of(kind, options, spec, sampler, targets.described(source), more)

    @staticmethod
    def _of(
        kind: str,
        options: DrawingOptions,
        spec: SamplerSpec,
        sampler: Sampler,
        targets: Mapping[str, Any] | None,
        more: Mapping[str, Any] | None,
    ) -> "Run":
        card, steps = sampler.card, options.steps
        tuned = None if card is None else card.sampling
        settings = {
            "sampler": spec.name,
            "weights_sha256": None if card is None else card.sha256,
            **({} if targets is None else {"targets": dict(targets)}),
            "seed": options.seed,
            "steps": steps if steps is not None or tuned is None else tuned.steps,
            "sampling": None if tuned is None else tuned.as_dict(),
            "version": __version__,
            **_wishes(options),
            **(more or {}),
        }
        folder = Store(options.keep or options.output.with_suffix(".parts"), settings)
        return Run(kind, options, spec, sampler, settings, folder)

    @property
    def batch_size(self) -> int:
        """Crystals computed together."""
        return self.options.batch_size or (64 if self.spec.device == "cpu" else 512)

    def draw(
        self, request: SampleRequest, wanted: Sequence[int], journal: str = DRAWS
    ) -> dict[int, dict[str, Any]]:
        """First draws, nothing redrawn or dropped, from the journal or computed now.

        Args:
            request: What is asked of the sampler.
            wanted: Their indices.
            journal: Name of their journal.

        Returns:
            The journal's entry of every draw, by index.
        """
        drawn = self._drawn(request, wanted, journal)
        self._note(request, list(drawn.values()))
        return drawn

    def predict(
        self,
        targets: Targets,
        samples: int | Sequence[int],
        journal: str = DRAWS,
        conditions: tuple[Condition, ...] = (),
        told: Sequence[Told | None] | None = None,
    ) -> list[list[Structure | None]]:
        """First draws for every target, nothing redrawn or dropped.

        Whether they are ranked candidates is among the facts, as `ranked`.

        Args:
            targets: Cells whose contents the sampler is given.
            samples: For each target: one number, or one for each.
            journal: Name of the journal of the draws.
            conditions: On the sampling loop.
            told: What the sampler is told of each target; None tells the composition.

        Returns:
            For every target its samples; None only for a target that the sampler cannot serve.

        Raises:
            SamplingError: If the sampler ranks, and not one target after the other.
        """
        asked, refused = requests_for(
            self.sampler, targets, self.options.steps, conditions, told, _wishes(self.options)
        )
        counts = [samples] * len(targets.names) if isinstance(samples, int) else samples
        rows: list[list[Structure | None]] = [[None] * count for count in counts]
        ranked, entries = False, []
        for one in asked:
            name = journal + one.label
            drawn = self._drawn(one.request, one.indices(counts), name)
            found = entries_of_targets(drawn, one)
            ranked |= is_ranked(found.values())
            entries += list(drawn.values())
            for target, row in found.items():
                rows[target] = [structure_of(entry) for entry in row]
        self._note(asked[0].request, entries)
        self.facts |= {"ranked": ranked, "refused_targets": refused}
        return rows

    def _drawn(
        self, request: SampleRequest, wanted: Sequence[int], journal: str
    ) -> dict[int, dict[str, Any]]:
        self.journals.append(journal)
        keys = "index", "reason", "lattice", "frac_coords", "species", "seconds"
        return draw_missing(
            self.folder.journal(journal, *keys),
            self.spec,
            self.sampler,
            request,
            seed=self.options.seed,
            wanted=wanted,
            batch_size=self.batch_size,
            workers=self.options.workers,
        )

    def _note(self, request: SampleRequest, drawn: Sequence[Mapping[str, Any]]) -> None:
        """Keeps what draws had to do with."""
        seconds = sum(d["seconds"] for d in drawn)
        reasons = Counter(d["reason"] for d in drawn if d["reason"] is not None)
        self.facts = {
            "evaluations_per_sample": self.sampler.evaluations(request),
            "rejections": dict(reasons),
            "seconds": {
                "sampling": round(seconds, 2),
                "per_sample": round(seconds / len(drawn), 5) if drawn else None,
            },
            "workers": self.options.workers,
            "batch_size": self.batch_size,
            "machine": machine(self.spec.device),
        }

    def content(self, samples: int, **numbers: Any) -> dict[str, Any]:
        """The result: settings, facts of the draws, numbers."""
        return {
            "benchmark": self.kind,
            **self.settings,
            "samples_per_target": samples,
            **self.facts,
            **numbers,
        }

    def finish(self, content: Mapping[str, Any], text: str, *journals: str) -> BenchmarkResult:
        """Writes the result and removes journals that nobody wants to keep.

        Args:
            content: Settings, facts and numbers.
            text: A table for people.
            journals: Names of the run's journals beside those of the draws.
        """
        result = written(content, text, self.options.output)
        if self.options.keep is None:
            self.folder.remove(*self.journals, *journals)
        return result


def written(content: Mapping[str, Any], text: str, path: Path) -> BenchmarkResult:
    """Writes the JSON file of a result.

    Args:
        content: Numbers and what they depend on.
        text: A table for people.
        path: The file.

    Returns:
        The result with its content as the file holds it: keys are text, tuples are lists.
    """
    plain = json.dumps(content, indent=1)
    write_text(path, plain + "\n")
    return BenchmarkResult(json.loads(plain), text, path)


def _wishes(options: DrawingOptions) -> dict[str, Any]:
    """Fields of the requests for compositions that the options say something of."""
    if not isinstance(options, CompositionOptions):
        return {}
    wishes = {"known": False} if options.unknown else {}
    return wishes | ({"prototype": False} if options.plain else {})


def _spec(structures: "StructureSource") -> SamplerSpec:
    return SamplerSpec(structures.name, structures.weights, resolve(structures.device))
