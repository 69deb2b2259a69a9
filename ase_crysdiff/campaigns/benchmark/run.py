"""What every benchmark of structure prediction shares: options, a folder that remembers, draws, and
facts for the result.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff import __version__
from ase_crysdiff.arguments import positive
from ase_crysdiff.campaigns.benchmark.machine import machine
from ase_crysdiff.campaigns.benchmark.predictions import draw_missing, request_for, to_predictions
from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.campaigns.state import RunFolder
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import MAX_SEED
from ase_crysdiff.sampling.batched import SamplerSpec
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.storage import ensure_writable, write_text

#: The journal of the draws.
DRAWS = "draws"


def check(options: argparse.Namespace) -> None:
    """Refuses nonsense, and a place that cannot be written, before weights or targets are read.

    Raises:
        InputError: If there is any.
    """
    least = {"samples": 1, "limit": 1, "seed": 0, "steps": 1, "batch_size": 1, "workers": 1}
    for name, smallest in least.items():
        if getattr(options, name, None) is not None:
            positive(name.replace("_", "-"), getattr(options, name), smallest)
    if options.seed > MAX_SEED:
        raise InputError(f"seed must be at most 2^63 - 1, got {options.seed}.")
    if not options.timeout > 0:
        raise InputError(f"timeout must be above 0 seconds, got {options.timeout:g}.")
    ensure_writable(options.output.parent)


@dataclass
class Run:
    """A sampler, what is asked of it and the folder that remembers.

    Args:
        kind: Of benchmark.
        options: As typed.
        targets: Cells whose contents the sampler is given.
        spec: How worker processes find the sampler.
        sampler: The same, loaded.
        settings: Everything that the draws depend on.
        folder: Of the journals.
        facts: What the draws had to do with, for the result.
    """

    kind: str
    options: argparse.Namespace
    targets: Targets
    spec: SamplerSpec
    sampler: Sampler
    settings: dict[str, Any]
    folder: RunFolder
    facts: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def open(
        kind: str,
        options: argparse.Namespace,
        targets: Targets,
        source: str,
        more: Mapping[str, Any] | None = None,
    ) -> "Run":
        """Loads the sampler and opens the folder: that of `--keep`, or one beside the output.

        Args:
            kind: Of benchmark.
            options: As typed, checked.
            targets: Cells whose contents the sampler is given.
            source: Where the targets come from.
            more: Further settings that the journals depend on.

        Raises:
            InputError: If the device cannot be used, or the folder holds a run with other settings.
        """
        spec = SamplerSpec(options.sampler, options.weights, usable_device(options.device))
        sampler = spec.load()
        request, _, _ = request_for(sampler, targets, options.steps)
        _evaluations(sampler, request)  # refuses steps that no plan has, before anything is written
        card = getattr(sampler, "card", None)
        settings = {
            "sampler": options.sampler,
            "weights_sha256": None if card is None else card.sha256,
            "targets": {"file": source, "count": len(targets.names), "sha256": targets.digest},
            "seed": options.seed,
            "steps": options.steps
            if options.steps is not None or card is None
            else card.sampling["steps"],
            "sampling": None if card is None else dict(card.sampling),
            "version": __version__,
            **(more or {}),
        }
        folder = RunFolder(options.keep or options.output.with_suffix(".parts"), settings)
        return Run(kind, options, targets, spec, sampler, settings, folder)

    def draw(
        self, samples: int, journal: str = DRAWS, conditions: tuple[Condition, ...] = ()
    ) -> list[list[Structure | None]]:
        """First draws for every target, nothing redrawn or dropped; a target that the sampler
        cannot serve has None only.
        """
        options, device = self.options, self.spec.device
        request, served, refused = request_for(
            self.sampler, self.targets, options.steps, conditions
        )
        batch_size = options.batch_size or (64 if device == "cpu" else 512)
        drawn = draw_missing(
            self.folder.journal(
                journal, "index", "reason", "lattice", "frac_coords", "species", "seconds"
            ),
            self.spec,
            self.sampler,
            request,
            seed=options.seed,
            count=samples * len(served),
            batch_size=batch_size,
            workers=options.workers,
        )
        seconds = sum(d["seconds"] for d in drawn.values())
        self.facts = {
            "evaluations_per_sample": _evaluations(self.sampler, request),
            "refused_targets": refused,
            "rejections": dict(
                Counter(d["reason"] for d in drawn.values() if d["reason"] is not None)
            ),
            "seconds": {
                "sampling": round(seconds, 2),
                "per_sample": round(seconds / len(drawn), 5) if drawn else None,
            },
            "workers": options.workers,
            "batch_size": batch_size,
            "machine": machine(device),
        }
        return to_predictions(drawn, self.targets, served, samples)

    def content(self, samples: int, **numbers: Any) -> dict[str, Any]:
        """The result: settings, facts of the draws, numbers."""
        return {
            "benchmark": self.kind,
            **self.settings,
            "samples_per_target": samples,
            **self.facts,
            **numbers,
        }

    def finish(self, content: Mapping[str, Any], text: str, *journals: str) -> int:
        """Writes the result, removes journals that nobody wants to keep, prints."""
        write_text(self.options.output, json.dumps(content, indent=1) + "\n")
        if self.options.keep is None:
            self.folder.remove(*journals)
        print(text)
        print(f"Written to {self.options.output}")
        return 0


def _evaluations(sampler: Sampler, request: SampleRequest) -> int | None:
    """Evaluations of the network per sample; None if the sampler does not say."""
    return sampler.evaluations(request) if hasattr(sampler, "evaluations") else None


def usable_device(name: str) -> str:
    """The device of that name; "auto" is a GPU where there is one.

    Raises:
        InputError: If it cannot be used.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {name!r} cannot be used ({str(error).splitlines()[0]}). Use cpu, cuda or auto."
        ) from error
    return name
