"""`evaluate_files`: files in; tables, relaxed structures and a report out. What is done is kept,
stage by stage.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pymatgen.core import Structure
from tqdm import tqdm

from ase_crysdiff import __version__
from ase_crysdiff.campaigns.evaluation.entries import Entry, digest_of, read_entries, take_entries
from ase_crysdiff.campaigns.evaluation.relaxed import relaxed_from
from ase_crysdiff.campaigns.evaluation.relaxing import (
    Options,
    as_plain,
    from_plain,
    groups,
    relax_groups,
)
from ase_crysdiff.campaigns.evaluation.scored import Scored
from ase_crysdiff.campaigns.evaluation.summary import summarise, table
from ase_crysdiff.data.folder import CrystalFolder
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.packing import pack
from ase_crysdiff.data.writing import write
from ase_crysdiff.metrics.composition import has_smact
from ase_crysdiff.metrics.fingerprints import open_fingerprints, open_hull
from ase_crysdiff.metrics.formation import energies_above_hull
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.sun import profile_named
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.relaxation.engine import MAX_ATOMS, check_options
from ase_crysdiff.relaxation.structures import RelaxResult
from ase_crysdiff.report.page import html_report
from ase_crysdiff.storage import Store, ensure_writable, write_text
from pymatgen_ext.evaluation import NO_SMACT, score

_OPEN_HULL = (
    "The hull is the open table that ships with the package: heights of the Materials Project (CC "
    "BY 4.0) at 17,222 formulas. "
    "It is partial. At other formulas it is an upper bound, so stability is optimistic there."
)
_OPEN_REFERENCE = (
    "Novelty is judged by hashed fingerprints of the open training pool that ship with the "
    "package, not by comparing "
    "structures: an estimate, against a partial list of known crystals."
)


def evaluate_files(
    sources: Sequence[str | Path],
    output: str | Path,
    *,
    reference: str | Path | None = None,
    hull: str | Path | None = None,
    potential: "PotentialLike | None" = "chgnet",
    options: Options | None = None,
    profile: str = "package",
    workers: int = 1,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Scores files into a folder; called again after an interruption it goes on, and ends with the
    same files.

    The folder gets `report.html`, `results.json`, `table.csv` with a row for each requested
    crystal, and `relaxed/` with CIF files and `crystals.extxyz`. What cannot be read or used is
    listed with its reason and costs nothing else.

    Args:
        sources: CIF, POSCAR, extended XYZ, ASE databases, tables with a cif column, and folders of
            those.
        output: The folder.
        reference: Known crystals, packed or in any form that `sources` may have; None takes the
            shipped fingerprints.
        hull: CSV file of a hull; None takes the shipped one.
        potential: Relaxes and gives energies: a name, a potential or an ASE calculator; None scores
            the structures as they are.
        options: How to relax.
        profile: Rule of `sun` and `msun`, as in `evaluate`.
        workers: Processes that read, relax and compare; results do not depend on it.
        progress: Whether to show progress bars; None shows them on a terminal.

    Returns:
        What `results.json` holds.

    Raises:
        InputError: If a source is missing, an option makes no sense or the folder holds another
            run.
        UnknownNameError: If there is no such potential or profile.
    """
    settings = {"sources": [Path(s).name for s in sources], "inputs": digest_of(_existing(sources))}
    return _run(
        lambda: read_entries(sources, workers=workers),
        Path(output),
        settings,
        reference,
        hull,
        potential,
        options or Options(),
        profile,
        workers,
        progress,
    )


def evaluate_structures(
    structures: Sequence[Structure | None],
    output: str | Path,
    *,
    reference: str | Path | None = None,
    hull: str | Path | None = None,
    potential: "PotentialLike | None" = "chgnet",
    options: Options | None = None,
    profile: str = "package",
    workers: int = 1,
    progress: bool | None = None,
) -> dict[str, Any]:
    """The same for structures in memory; None stands for one that could not be made. Arguments as
    in `evaluate_files`.
    """
    entries = take_entries(structures)
    digest = _digest(entries)
    settings = {"sources": [f"{len(entries)} structures"], "inputs": digest}
    return _run(
        lambda: entries,
        Path(output),
        settings,
        reference,
        hull,
        potential,
        options or Options(),
        profile,
        workers,
        progress,
    )


def _run(
    read: Callable[[], list[Entry]],
    output: Path,
    inputs: Mapping[str, Any],
    reference: str | Path | None,
    hull: str | Path | None,
    potential: "PotentialLike | None",
    options: Options,
    profile: str,
    workers: int,
    progress: bool | None,
) -> dict[str, Any]:
    # Everything that can be refused is refused before the first crystal is read.
    check_options(options.fmax, options.steps, options.optimizer, MAX_ATOMS)
    profile_named(profile)
    known = open_fingerprints() if reference is None else read_reference(Path(reference))
    resolved = None if potential is None else as_potential(potential)
    heights = None if resolved is None else open_hull() if hull is None else Hull.read(hull)
    settings: dict[str, Any] = {
        **inputs,
        "potential": None if resolved is None else resolved.name,
        **(options.as_dict() if resolved is not None else {}),
        "profile": profile,
        "reference": known.name,
        "reference_sha256": known.digest[:16],
        "hull_sha256": None if heights is None else heights.digest[:16],
        "version": __version__,
    }
    Store(output, settings)
    stages = Stages(output / "stages")
    entries = [
        Entry.from_dict(e) for e in stages.kept("entries", lambda: [e.as_dict() for e in read()])
    ]
    given = [e.structure for e in entries]
    relaxations: dict[int, RelaxResult] = {}
    relaxed = energies = None
    if resolved is not None and heights is not None:
        named = potential if isinstance(potential, str) else resolved
        relaxations = _relaxed(entries, named, options, stages, workers, progress)
        limits = {"potential": resolved.name, **options.as_dict()}
        relaxed = relaxed_from(given, relaxations, limits)
        energies = energies_above_hull(relaxed.structures, resolved, heights)
    results = score(
        given, relaxed=relaxed, energies=energies, reference=known, profile=profile, workers=workers
    )
    scored = Scored(entries, relaxations, relaxed, energies, results, known)
    noted = {
        _OPEN_HULL: hull is None and heights is not None,
        _OPEN_REFERENCE: reference is None,
        NO_SMACT: not has_smact(),
    }
    notes = [note for note, applies in noted.items() if applies]
    described = (
        {}
        if heights is None
        else {"name": heights.name, "entries": len(heights), "sha256": heights.digest}
    )
    return _written(scored, summarise(scored, settings, described, notes), output)


class Stages:
    """Results of finished stages, one file each: there whole or not at all.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        ensure_writable(path)
        self.path = path

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """What the stage has found, from its file if there is one."""
        file = self.path / f"{name}.json"
        if not file.exists():
            self.keep(name, make())
        return json.loads(file.read_text())

    def keep(self, name: str, found: Any) -> None:
        """Writes what a stage has found."""
        write_text(self.path / f"{name}.json", json.dumps(found, default=float))

    def has(self, name: str) -> bool:
        """Whether the stage is done."""
        return (self.path / f"{name}.json").exists()


def read_reference(path: Path) -> Reference:
    """Known crystals from a packed file, or from anything that can be packed."""
    if path.suffix == ".safetensors":
        return Reference(PackedCrystals.load(path))
    packed, _ = pack([path])
    return Reference(packed)


def _relaxed(
    entries: Sequence[Entry],
    potential: PotentialLike,
    options: Options,
    stages: Stages,
    workers: int,
    progress: bool | None,
) -> dict[int, RelaxResult]:
    structures = {e.index: e.structure for e in entries if e.structure is not None}
    members = groups(structures)
    missing = {n: m for n, m in enumerate(members) if not stages.has(f"relaxed-{n:04d}")}
    done = len(structures) - sum(map(len, missing.values()))
    bar = tqdm(
        total=len(structures),
        initial=done,
        desc="relax",
        unit=" crystals",
        disable=None if progress is None else not progress,
    )
    with bar:
        for n, results in relax_groups(missing, structures, potential, options, workers=workers):
            stages.keep(
                f"relaxed-{n:04d}",
                [as_plain(i, r) for i, r in zip(members[n], results, strict=True)],
            )
            bar.update(len(results))
    kept = [values for n in range(len(members)) for values in stages.kept(f"relaxed-{n:04d}", list)]
    return dict(sorted(map(from_plain, kept)))


def _written(scored: Scored, results: dict[str, Any], output: Path) -> dict[str, Any]:
    """Writes all files, the report last: where there is a report, there is everything."""
    text = json.dumps(results, indent=1)
    write_text(output / "results.json", text + "\n")
    results = json.loads(text)
    rows = table(scored)
    columns = {name: None for row in rows for name in row}
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(output / "table.csv", lines.getvalue())
    if scored.relaxed is not None:
        final = [
            s.copy(
                properties={
                    "crysdiff_index": i,
                    "crysdiff_source": scored.entries[i].name,
                    **_numbers(rows[i]),
                }
            )
            for i, s in enumerate(scored.relaxed.structures)
            if s is not None
        ]
        write(final, {}, output / "relaxed")
        if final:
            write(final, {}, output / "relaxed" / CrystalFolder.XYZ)
    write_text(output / "report.html", html_report(results))
    return results


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the file of relaxed crystals says of each."""
    wanted = {
        "energy_per_atom": "crysdiff_energy_per_atom",
        "energy_above_hull": "crysdiff_energy_above_hull",
    }
    numbers = {new: row[old] for old, new in wanted.items() if row.get(old, "") != ""}
    return {**numbers, "crysdiff_remark": row["reason"]}


def _existing(sources: Sequence[str | Path]) -> list[Path]:
    from ase_crysdiff.errors import InputError

    missing = [str(s) for s in sources if not Path(s).exists()]
    if missing:
        raise InputError(
            f"{', '.join(missing)} does not exist."
            if len(missing) == 1
            else f"{', '.join(missing)} do not exist."
        )
    return [Path(s) for s in sources]


def _digest(entries: Sequence[Entry]) -> str:
    import hashlib

    return hashlib.sha256(
        json.dumps([e.as_dict() for e in entries], default=float).encode()
    ).hexdigest()[:16]
