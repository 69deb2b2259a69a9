"""Are crystals that every textbook shows among so many samples of their compositions?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.base import (
    Benchmark,
    BenchmarkResult,
    CompositionOptions,
)

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.campaigns.benchmark.base import StructureSource

_VERDICTS = "verdicts"
#: A form is found if the volume per atom is also right within this share.
MAX_VOLUME_ERROR = 0.2


@dataclass(frozen=True, kw_only=True)
class PanelOptions(CompositionOptions):
    """Options of `panel`.

    Args:
        training: packed training crystals: tells forms that were seen from others
    """

    training: Path | None = None
    samples: int = 20
    output: Path = Path("panel.json")


def panel(options: PanelOptions, sampler: "StructureSource") -> BenchmarkResult:
    """Which of 22 textbook crystals are found, those seen in training and others apart.

    A form is found if a sample matches by the matcher's defaults and its volume per atom is right
    within 20 %. First draws only, nothing redrawn or dropped.

    Args:
        options: What is asked for.
        sampler: Predicts structures of given compositions.

    Returns:
        `results` (number of forms and of those found: all, seen, unseen) and `forms`: for each what
        was found.

    Raises:
        IncompatibleError: If the sampler takes no composition.
        InputError: If an option makes no sense, or the folder of `keep` holds a run with other
            settings.
    """
    from ase_crysdiff.campaigns.benchmark.pairs import with_targets
    from ase_crysdiff.campaigns.benchmark.run import Run, check
    from ase_crysdiff.campaigns.benchmark.targets import Targets
    from ase_crysdiff.campaigns.benchmark.textbook import PANEL
    from ase_crysdiff.campaigns.work import work
    from ase_crysdiff.data.packed import PackedCrystals
    from ase_crysdiff.metrics.reference import Reference

    check(options)
    training, reference = None, None
    if options.training is not None:
        training = Reference(PackedCrystals.load(options.training))
        reference = {
            "file": options.training.name,
            "sha256": training.digest,
            "crystals": len(training),
        }
    targets = Targets(tuple(f.name for f in PANEL), tuple(f.structure for f in PANEL))
    bench = Run.on_targets("panel", options, sampler, targets, "textbook panel")
    tasks = with_targets(bench.predict(targets, options.samples), targets.structures)
    verdicts, failed = work(
        bench.folder, _VERDICTS, judge, tasks, workers=options.workers, timeout=options.timeout
    )
    forms = []
    for i, (form, target) in enumerate(zip(PANEL, targets.structures, strict=True)):
        errors = [verdicts[key] for key, _ in tasks[i] if verdicts.get(key) is not None]
        forms.append(
            {
                "form": form.name,
                "space_group": form.group,
                "seen_in_training": None if training is None else is_known(target, training),
                "samples_that_match": len(errors),
                "samples_that_are_found": sum(e <= MAX_VOLUME_ERROR for e in errors),
                "least_volume_error": min(errors, default=None),
            }
        )
    content = bench.content(
        options.samples,
        training=reference,
        results=found_shares(forms),
        forms=forms,
        failed_pairs=len(failed),
    )
    return bench.finish(content, _table(content), _VERDICTS)


BENCHMARK = Benchmark(panel, PanelOptions, "textbook crystals that are found", ("sampler",))


def judge(pair: "tuple[Structure | None, Structure]") -> float | None:
    """|V/V_target - 1|, volumes per atom, of a sample that matches by the matcher's defaults; None
    without a match.
    """
    from ase_crysdiff.crystal.soundness import gate
    from ase_crysdiff.metrics.matching import formula_key, match, reduced

    sample, target = pair
    if sample is None or gate(sample) is not None or formula_key(sample) != formula_key(target):
        return None
    if not match(reduced(sample), reduced(target)):
        return None
    return abs(float(sample.volume / len(sample) / (target.volume / len(target)) - 1))


def is_known(structure: "Structure", training: Any) -> bool:
    """Whether a training crystal matches by the matcher's defaults."""
    from ase_crysdiff.metrics.matching import formula_key, match, reduced

    known = training.candidates(formula_key(structure))
    return bool(known) and any(match(reduced(structure), other) for other in known)


def found_shares(forms: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """How many forms there are and how many are found: all, those seen in training, the others."""
    groups = {"all": forms}
    if any(f["seen_in_training"] is not None for f in forms):
        groups |= {
            name: [f for f in forms if f["seen_in_training"] is seen]
            for name, seen in (("seen", True), ("unseen", False))
        }
    return {
        name: {
            "forms": len(members),
            "found": sum(f["samples_that_are_found"] > 0 for f in members),
        }
        for name, members in groups.items()
    }


def _table(content: Mapping[str, Any]) -> str:
    lines = [f"{'form':18} {'group':9} {'seen':5} {'found':>7}  least volume error"]
    lines.append("-" * len(lines[0]))
    for f in content["forms"]:
        seen = {None: "?", True: "yes", False: "no"}[f["seen_in_training"]]
        error = "-" if f["least_volume_error"] is None else f"{100 * f['least_volume_error']:.1f} %"
        share = f"{f['samples_that_are_found']}/{content['samples_per_target']}"
        lines.append(f"{f['form']:18} {f['space_group']:9} {seen:5} {share:>7}  {error}")
    lines += [
        f"{name}: {r['found']} of {r['forms']} forms found"
        for name, r in content["results"].items()
    ]
    lines += [
        f"refused: {len(names)} × {reason}" for reason, names in content["refused_targets"].items()
    ]
    return "\n".join(lines)
