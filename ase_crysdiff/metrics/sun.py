"""Stable, unique and new: the same letters for different rules, each under its name."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ase_crysdiff.errors import InputError, UnknownNameError
from ase_crysdiff.metrics.base import MetricResult, rate
from ase_crysdiff.metrics.hull import DEEPEST
from ase_crysdiff.metrics.matching import Relation
from ase_crysdiff.metrics.stability import METASTABLE, TOLERANCE


@dataclass(frozen=True)
class Profile:
    """One reading of S.U.N. as a table of choices.

    Args:
        judged: Whether uniqueness and novelty are those of the structures as generated or as
            relaxed.
        relation: What the matcher accepts on.
        represents: Which member stands for a class: of lowest energy, the first, or the first that
            is stable enough.
        takes_unsound: Whether collapsed structures and those that did not converge count, too.
        takes_elements: Whether crystals of one element count.
        stable: Largest energy above the hull of S.U.N., eV/atom.
        metastable: Largest one of M.S.U.N., eV/atom.
        strict: Whether the energy must lie below the limit, not at it.
        tolerance: Added to the limits, eV/atom.
        metastable_excludes_stable: Whether M.S.U.N. leaves out what S.U.N. counts.
        divides_by: Whether by the requested structures or by the sound ones only; never by those
            whose hull is incomplete.
        source: Where the rule comes from, and what of it is not followed.
    """

    judged: Literal["generated", "relaxed"] = "relaxed"
    relation: Relation = "fit"
    represents: Literal["lowest", "first", "first stable"] = "lowest"
    takes_unsound: bool = False
    takes_elements: bool = False
    stable: float = 0.0
    metastable: float = METASTABLE
    strict: bool = False
    tolerance: float = 0.0
    metastable_excludes_stable: bool = False
    divides_by: Literal["requested", "sound"] = "requested"
    source: str = ""

    def accepts(self, energy: float, limit: float) -> bool:
        """Whether an energy above the hull is low enough; NaN never is."""
        return energy < limit + self.tolerance if self.strict else energy <= limit + self.tolerance


PROFILES: Mapping[str, Profile] = {
    "package": Profile(
        tolerance=TOLERANCE, source="this package: order-free, no collapsed structures, no elements"
    ),
    "miad": Profile(
        "generated",
        "fit",
        "first",
        takes_unsound=True,
        strict=True,
        source=(
            "MiAD, published script; classes are connected components instead of first come; "
            "novelty by composition"
        ),
    ),
    "flowmm": Profile(
        "relaxed",
        "rms",
        "first stable",
        takes_unsound=True,
        source=(
            "FlowMM, published script; classes are connected components; the matcher looks at "
            "equal compositions only"
        ),
    ),
    "mattergen": Profile(
        "relaxed",
        "fit",
        "first",
        takes_unsound=True,
        takes_elements=True,
        stable=0.1,
        source=(
            "MatterGen, published evaluator with its ordered matcher (its default treats similar "
            "elements as one)"
        ),
    ),
    "lemat": Profile(
        "generated",
        "fit",
        "first",
        takes_elements=True,
        metastable_excludes_stable=True,
        divides_by="sound",
        source=(
            "LeMat-GenBench; one potential instead of the mean of three, the matcher instead of "
            "hashes"
        ),
    ),
}


@dataclass(frozen=True)
class Records:
    """What all profiles are computed from, one entry per requested structure.

    Args:
        labels: Class of equal crystals; None for what was not compared.
        is_new: Whether it is in no reference.
        energy_above_hull: eV/atom; NaN where there is none.
        is_element: Whether it is of one element.
        failures: Reason by position, for structures without a trustworthy geometry or energy.
        unsound: Positions of those whose geometry is at fault.
        settings: What the entries depend on.
        unjudged: Positions of those whose hull is incomplete, without an energy: neither hits nor
            misses.
    """

    labels: Sequence[int | None]
    is_new: Sequence[bool]
    energy_above_hull: Sequence[float]
    is_element: Sequence[bool]
    failures: Mapping[int, str] = field(default_factory=dict)
    unsound: frozenset[int] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    unjudged: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.labels)


def profile_named(name: str) -> Profile:
    """The profile of a name.

    Raises:
        UnknownNameError: If there is none.
    """
    if name not in PROFILES:
        raise UnknownNameError(
            f"There is no S.U.N. profile {name!r}; there are {', '.join(PROFILES)}."
        )
    return PROFILES[name]


def sun(records: Records, profile: Profile | str = "package") -> MetricResult:
    """Share of structures that are stable, represent a class of equal crystals and are in no
    reference.

    Args:
        records: What is known of each structure.
        profile: Whose rule: "package", "miad", "flowmm", "mattergen", "lemat", or a table of
            choices.

    Raises:
        InputError: If there are no structures.
        UnknownNameError: If there is no profile of that name.
    """
    rule = profile_named(profile) if isinstance(profile, str) else profile
    return _score(records, rule, rule.stable, -math.inf)


def msun(records: Records, profile: Profile | str = "package") -> MetricResult:
    """Share of structures that are metastable, represent a class of equal crystals and are in no
    reference.

    Stable structures count, too, by all profiles but "lemat".

    Args:
        records: What is known of each structure.
        profile: Whose rule: "package", "miad", "flowmm", "mattergen", "lemat", or a table of
            choices.

    Raises:
        InputError: If there are no structures.
        UnknownNameError: If there is no profile of that name.
    """
    rule = profile_named(profile) if isinstance(profile, str) else profile
    return _score(
        records,
        rule,
        rule.metastable,
        rule.stable if rule.metastable_excludes_stable else -math.inf,
    )


def _score(records: Records, rule: Profile, limit: float, above: float) -> MetricResult:
    if not len(records):
        raise InputError("There are no structures to score.")
    taken = [
        i
        for i in range(len(records))
        if records.labels[i] is not None and (rule.takes_unsound or i not in records.unsound)
    ]
    requested = range(len(records)) if rule.divides_by == "requested" else taken
    total = len(frozenset(requested) - records.unjudged)

    def counts(i: int, elements: bool) -> bool:
        energy = records.energy_above_hull[i]
        low = rule.accepts(energy, limit) and not rule.accepts(energy, above)
        return low and records.is_new[i] and (elements or not records.is_element[i])

    chosen = _representatives(records, rule, taken, limit)
    verdicts = [
        None if i in records.unjudged else i in chosen and counts(i, rule.takes_elements)
        for i in range(len(records))
    ]
    hits = [i for i, ok in enumerate(verdicts) if ok is True]
    too_deep = sum(records.energy_above_hull[i] < -DEEPEST for i in hits)
    settings = {
        **records.settings,
        **asdict(rule),
        "deepest": DEEPEST,
        "too_deep": too_deep,
        "without_too_deep": (len(hits) - too_deep) / total if total else math.nan,
        "judged": total,
        "hull_incomplete": len(records.unjudged),
        "limit": limit,
        "with_elements": sum(counts(i, True) for i in chosen) / total if total else math.nan,
    }
    return rate(verdicts, records.failures, settings, total)


def _representatives(
    records: Records, rule: Profile, taken: Sequence[int], limit: float
) -> set[int]:
    """The member of each class that the rule looks at."""

    def rank(i: int) -> tuple[float, bool, int]:
        energy = records.energy_above_hull[i]
        if rule.represents == "lowest":
            # Among equal energies one that is known comes first, so that the order of the input
            # changes nothing.
            return (math.inf if math.isnan(energy) else energy, records.is_new[i], i)
        if rule.represents == "first stable":
            return (float(not rule.accepts(energy, limit)), False, i)
        return (0.0, False, i)

    best: dict[int, int] = {}
    for i in taken:
        label = records.labels[i]
        if label is not None and (label not in best or rank(i) < rank(best[label])):
            best[label] = i
    return set(best.values())
