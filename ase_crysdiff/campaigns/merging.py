"""`merge`: folders that each hold a part of one run, as the folder of the whole run."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.data.folder import CrystalFolder, asked_of, runs
from ase_crysdiff.data.writing import write
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.folder import SampleFolder
from ase_crysdiff.sampling.sample_set import Report
from ase_crysdiff.storage import Journal, Store, differences

log = logging.getLogger(__name__)

#: Crystals that are written between two lines of the journal.
_TOGETHER = 64


@dataclass(frozen=True)
class Merged:
    """What became of folders that were merged.

    Args:
        structures: All crystals, by their number.
        missing: Numbers of the crystals that a folder was asked for, and neither holds nor gave up,
            by folder; under an empty text those that no folder was asked for, although there are
            higher numbers.
        failed: Why there is no crystal, by number.
        output: The folder of all.
    """

    structures: Sequence[Structure]
    missing: Mapping[str, Sequence[int]]
    failed: Mapping[int, str]
    output: Path

    def gaps(self) -> list[str]:
        """What is missing, in words, a sentence for each folder."""
        told = []
        for folder, numbers in self.missing.items():
            which = ", ".join(_range(run) for run in runs(numbers))
            told.append(
                f"{folder} lacks {len(numbers)} of the crystals that it was asked for ({which}). "
                "Give its command again, then this one."
                if folder
                else f"No folder was asked for {len(numbers)} crystals before others ({which})."
            )
        return told

    def __str__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        missing = sum(map(len, self.missing.values()))
        return (
            f"{len(self.structures)} crystals merged{failed}, "
            f"{missing or 'none'} missing, in {self.output}"
        )


@dataclass(frozen=True)
class _Part:
    """A folder, read and not touched: another process may still be writing to it."""

    path: Path
    record: Mapping[str, Any]
    entries: Mapping[int, Any] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "_Part":
        """What a folder holds.

        Raises:
            InputError: If it holds no run, or its record is damaged.
        """
        record = Store.record(path)
        if not record:
            raise InputError(
                f"{path} holds no run. Give folders that crysdiff sample, inpaint, vary or relax "
                "has written."
            )
        file = path / f"{CrystalFolder.JOURNAL}.jsonl"
        found = Journal(file, CrystalFolder.KEYS).decoded(
            lambda e: (int(e["index"]), e["structure"], Structure.from_dict(e["structure"])),
            repair=False,
        )
        return cls(path, record, {i: (plain, structure) for i, plain, structure in found})

    @property
    def is_drawn(self) -> bool:
        """Whether a sampler has made it, so that it has a seed."""
        return "seed" in self.record

    @property
    def run(self) -> dict[str, Any]:
        """What all parts of a run have in common."""
        return {**self.record["settings"], "seed": self.record.get("seed")}

    @property
    def failed(self) -> dict[int, str]:
        """Why it has no crystal, by number."""
        if self.is_drawn:
            return SampleFolder.failures(self.path)
        return {int(i): str(why) for i, why in self.record.get("failed", {}).items()}


def merge(folders: Sequence[str | Path], output: str | Path) -> Merged:
    """Merges folders of one run: crystals that were drawn with the same settings and the same seed,
    or relaxed with the same settings from the same files.

    The output is what the whole run would have left, so the same command goes on in it. Folders
    that are not finished give what they have; merging again adds the rest.

    Args:
        folders: Of the parts; they are not changed.
        output: Of the whole; may hold some of it already.

    Raises:
        InputError: If a folder holds no run, or another run than the first one, of which the
            message names each difference; or if two of them do not agree on a crystal.
    """
    parts = [_Part.read(Path(folder)) for folder in folders]
    if not parts:
        raise InputError("There are no folders to merge.")
    target, first = Path(output), parts[0]
    there = [_Part.read(target)] if Store.record(target) else []
    for part in (*parts[1:], *there):
        _check(first, part)
    found = _united([*there, *parts])  # refused before the output is touched
    seed = {"seed": first.record["seed"]} if first.is_drawn else None
    store = Store(target, first.record["settings"], seed)
    whole = SampleFolder(store) if first.is_drawn else CrystalFolder(store)
    new = [s for i, s in sorted(found.items()) if i not in whole.done]
    for k in range(0, len(new), _TOGETHER):
        whole.add(new[k : k + _TOGETHER])
    failed = {i: why for part in parts for i, why in part.failed.items() if i not in whole.done}
    failed = dict(sorted(failed.items()))
    asked = set().union(*(asked_of(part.record) for part in parts))
    whole.ask(asked | set(found))
    _finish(whole, parts, failed)
    structures = [whole.done[i] for i in sorted(whole.done)]
    missing = dict(_missing(parts, {*whole.done, *failed}))
    gap = set(range(max(asked, default=-1) + 1)) - asked - whole.done.keys()
    if gap:
        missing[""] = sorted(gap)
    return Merged(structures, missing, failed, target)


def _check(first: _Part, other: _Part) -> None:
    """Refuses a folder of another run.

    Raises:
        InputError: If it is one.
    """
    found = differences(first.run, other.run, "{name} is {one} in the first, {other} in the other")
    if found:
        raise InputError(
            f"{first.path} and {other.path} hold different runs: {'; '.join(found)}. Merge folders "
            "that were made with the same options and the same --seed."
        )


def _united(parts: Sequence[_Part]) -> dict[int, Structure]:
    """The crystals of all.

    Raises:
        InputError: If two of them do not agree on one.
    """
    found: dict[int, tuple[Any, Structure, Path]] = {}
    for part in parts:
        for i, (plain, structure) in part.entries.items():
            if i in found and found[i][0] != plain:
                raise InputError(
                    f"Crystal {i} is not the same in {found[i][2]} and {part.path}, although "
                    "settings and seed are: machines or versions that round differently have made "
                    "them. Leave one of these folders out."
                )
            found.setdefault(i, (plain, structure, part.path))
    return {i: structure for i, (_, structure, _) in found.items()}


def _missing(parts: Iterable[_Part], known: set[int]) -> Iterator[tuple[str, list[int]]]:
    """What each folder was asked for, and nobody has."""
    for part in parts:
        if gone := sorted(asked_of(part.record) - known):
            yield str(part.path), gone


def _finish(whole: CrystalFolder, parts: Sequence[_Part], failed: Mapping[int, str]) -> None:
    """Writes the common files, and into the record what became of the parts."""
    if isinstance(whole, SampleFolder):
        whole.finish(whole.done, _report(whole, parts, failed))
        return
    structures = [whole.done[i] for i in sorted(whole.done)]
    if structures:
        write(structures, {}, whole.path / CrystalFolder.XYZ)
        write(structures, {}, whole.path / "table.csv")
    whole.store.note(failed=failed)


def _report(whole: SampleFolder, parts: Sequence[_Part], failed: Mapping[int, str]) -> Report:
    """The reports of all parts that have one, as one."""
    told = [Report.from_dict(p.record["last_run"]) for p in parts if "last_run" in p.record]
    settings = whole.store.settings
    name, weights = str(settings.get("sampler", "")), str(settings.get("weights", ""))
    report = told[0] if told else Report(name, weights, whole.seed, 0, 0, 0)
    for one in told[1:]:
        report += one
    asked, made = len(asked_of(whole.store.facts)), len(whole.done)
    return replace(report, asked=asked, made=made, failed=dict(failed))


def _range(run: range) -> str:
    return str(run.start) if len(run) == 1 else f"{run.start}-{run.stop - 1}"
