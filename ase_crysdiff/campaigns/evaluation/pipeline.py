"""`evaluate_files`: files in; tables, relaxed structures and a report out. What is done is kept,
stage by stage.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms
from pymatgen.core import Structure

from ase_crysdiff import __version__
from ase_crysdiff.campaigns.evaluation.entries import Entry, digest_of, read_entries, take_entries
from ase_crysdiff.campaigns.evaluation.relaxed import relaxed_from
from ase_crysdiff.campaigns.evaluation.relaxing import Options, as_plain, from_plain
from ase_crysdiff.campaigns.evaluation.score import NO_SMACT, check_profile, score
from ase_crysdiff.campaigns.evaluation.scored import Scored
from ase_crysdiff.campaigns.evaluation.summary import summarise
from ase_crysdiff.campaigns.evaluation.writing import write_evaluation
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.isolation import Workers, opened, workers_of
from ase_crysdiff.metrics.composition import has_smact
from ase_crysdiff.metrics.examined import NO_STRUCTURE, Examined
from ase_crysdiff.metrics.formation import energies_above_hull
from ase_crysdiff.metrics.sources import (
    SHIPPED,
    HullLike,
    ReferenceLike,
    check_references,
    hull_from,
    reference_from,
)
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.progress import tqdm
from ase_crysdiff.relaxation.engine import MAX_ATOMS, check_options
from ase_crysdiff.relaxation.grouped import groups, relax_groups
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.storage import Store

_OPEN_HULL = (
    "The hull is the open table that ships with the package: heights of the Materials Project (CC "
    "BY 4.0) at 94,248 formulas, without phases that were added after about 2021. "
    "At other formulas it is an upper bound, so stability is optimistic there."
)
_INCOMPLETE = (
    "{count} crystals lie where the hull {hull!r} lacks compounds that the shipped table knows to "
    "be lower. Their stability is not judged: shares of stable crystals are of the others."
)
_TOO_DEEP = (
    "{too_deep} crystals lie more than {deepest:g} eV/atom below the hull, where rather the "
    "potential is wrong than a crystal was overlooked. Without them {without_too_deep:.1%} are "
    "stable; the settings of S.U.N. hold its share without them, too."
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
    reference: ReferenceLike | None = SHIPPED,
    hull: HullLike | None = SHIPPED,
    potential: "PotentialLike | None" = "chgnet",
    options: Options | None = None,
    profile: str = "package",
    workers: Workers = 0,
    executor: Executor | None = None,
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
        reference: Known crystals: "shipped" for the fingerprints that come with the package, the
            path of a packed file or of anything that `sources` may hold, structures or packed
            crystals; None scores no novelty.
        hull: Formation energies of known compounds: "shipped" for the table that comes with the
            package, the path of a CSV file, a `Hull`, a mapping by formula or relaxed structures;
            None gives no energies above the hull. Not asked for without a potential.
        potential: Relaxes and gives energies: a name, a potential or an ASE calculator; None scores
            the structures as they are.
        options: How to relax.
        profile: Rule of `sun` and `msun`: "package", "miad", "flowmm", "mattergen" or "lemat".
        workers: Processes that read, relax and compare, which may hang or die at the cost of one
            crystal; 0 works in this one, without limits of time. Results do not depend on it.
        executor: Any executor of `concurrent.futures`, whose workers do so instead, without limits
            of time.
        progress: Whether to show progress bars; None shows them on a terminal.

    Returns:
        What `results.json` holds.

    Raises:
        InputError: If a source is missing, an option makes no sense or the folder holds another
            run.
        UnknownNameError: If there is no such potential or profile.
        IncompatibleError: If the profile wants known crystals and the reference is fingerprints.
        WorkerError: If processes cannot be started, or the executor is broken; what is done is
            kept.
    """
    settings = {"sources": [Path(s).name for s in sources], "inputs": digest_of(_existing(sources))}
    with opened(workers_of(workers, executor)) as crew:
        plan = _Plan(reference, hull, potential, options or Options(), profile, crew, progress)
        return plan.run(lambda: read_entries(sources, workers=crew), Path(output), settings)


def evaluate_structures(
    structures: Structure | Atoms | Iterable[Any],
    output: str | Path,
    *,
    reference: ReferenceLike | None = SHIPPED,
    hull: HullLike | None = SHIPPED,
    potential: "PotentialLike | None" = "chgnet",
    options: Options | None = None,
    profile: str = "package",
    workers: Workers = 0,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Scores structures in memory into a folder; called again after an interruption it goes on, and
    ends with the same files.

    The folder gets `report.html`, `results.json`, `table.csv` with a row for each structure, and
    `relaxed/` with CIF files and `crystals.extxyz`. What cannot be used is listed with its reason
    and costs nothing else.

    Args:
        structures: One entry per requested structure, a structure or ASE atoms; None for one that
            could not be made. Whatever else is among them is lost with its reason.
        output: The folder.
        reference: Known crystals: "shipped" for the fingerprints that come with the package, the
            path of a packed file or of anything that can be packed, structures or packed crystals;
            None scores no novelty.
        hull: Formation energies of known compounds: "shipped" for the table that comes with the
            package, the path of a CSV file, a `Hull`, a mapping by formula or relaxed structures;
            None gives no energies above the hull. Not asked for without a potential.
        potential: Relaxes and gives energies: a name, a potential or an ASE calculator; None scores
            the structures as they are.
        options: How to relax.
        profile: Rule of `sun` and `msun`: "package", "miad", "flowmm", "mattergen" or "lemat".
        workers: Processes that relax and compare, which may hang or die at the cost of one crystal;
            0 works in this one, without limits of time. Results do not depend on it.
        executor: Any executor of `concurrent.futures`, whose workers do so instead, without limits
            of time.
        progress: Whether to show progress bars; None shows them on a terminal.

    Returns:
        What `results.json` holds.

    Raises:
        InputError: If an option makes no sense or the folder holds another run.
        UnknownNameError: If there is no such potential or profile.
        IncompatibleError: If the profile wants known crystals and the reference is fingerprints.
    """
    entries = take_entries(structures)
    settings = {"sources": [f"{len(entries)} structures"], "inputs": _digest(entries)}
    with opened(workers_of(workers, executor)) as crew:
        plan = _Plan(reference, hull, potential, options or Options(), profile, crew, progress)
        return plan.run(lambda: entries, Path(output), settings)


@dataclass(frozen=True)
class _Plan:
    """How crystals are evaluated, whatever they come from: the arguments of `evaluate_files` but
    its sources.
    """

    reference: ReferenceLike | None
    hull: HullLike | None
    potential: "PotentialLike | None"
    options: Options
    profile: str
    workers: Workers
    progress: bool | None

    @own_state()
    def run(
        self, read: Callable[[], list[Entry]], output: Path, inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Reads, relaxes, scores and writes what is not there yet.

        Args:
            read: Gives the crystals; called if their stage is not done.
            output: The folder.
            inputs: What tells the crystals from others.
        """
        # Everything that can be refused is refused before the first crystal is read.
        check_options(self.options.fmax, self.options.steps, self.options.optimizer, MAX_ATOMS)
        known = None if self.reference is None else reference_from(self.reference)
        check_profile(self.profile, None if self.potential is None else known)
        resolved = None if self.potential is None else as_potential(self.potential)
        heights = None
        if resolved is not None and self.hull is not None:
            heights = hull_from(self.hull, resolved)
            check_references(heights, resolved)
        settings: dict[str, Any] = {
            **inputs,
            "potential": None if resolved is None else resolved.name,
            **(self.options.as_dict() if resolved is not None else {}),
            "profile": self.profile,
            "reference": None if known is None else known.name,
            "reference_sha256": None if known is None else known.digest[:16],
            "hull_sha256": None if heights is None else heights.digest[:16],
            "version": __version__,
        }
        Store(output, settings)
        stages = Store(output / "stages")
        entries = [
            Entry.from_dict(e)
            for e in stages.made_once("entries", lambda: [e.as_dict() for e in read()])
        ]
        # Entries with a structure have passed the gate.
        lost = {e.index: NO_STRUCTURE for e in entries if e.structure is None}
        given = Examined([e.structure for e in entries], lost)
        relaxations: dict[int, RelaxResult] = {}
        relaxed = energies = None
        if resolved is not None:
            relaxations = self._relaxed(entries, stages)
            limits = {"potential": resolved.name, **self.options.as_dict()}
            relaxed = relaxed_from(given, relaxations, limits)
            if heights is not None:
                energies = energies_above_hull(relaxed.structures, resolved, heights)
        results = score(
            given,
            relaxed=relaxed,
            energies=energies,
            reference=known,
            profile=self.profile,
            workers=self.workers,
        )
        scored = Scored(entries, relaxations, relaxed, energies, results, known)
        noted = {
            _OPEN_HULL: heights is not None and _is_shipped(self.hull),
            _OPEN_REFERENCE: _is_shipped(self.reference),
            NO_SMACT: not has_smact(),
        }
        notes = [note for note, applies in noted.items() if applies]
        if heights is not None and energies is not None and energies.incomplete:
            notes.append(_INCOMPLETE.format(count=len(energies.incomplete), hull=heights.name))
        if (stable := results.get("stability")) is not None and stable.settings["too_deep"]:
            notes.append(_TOO_DEEP.format(**stable.settings))
        hull = (
            {}
            if heights is None
            else {"name": heights.name, "entries": len(heights), "sha256": heights.digest}
        )
        return write_evaluation(scored, summarise(scored, settings, hull, notes), output)

    def _relaxed(self, entries: Sequence[Entry], stages: Store) -> dict[int, RelaxResult]:
        """Results by index, group by group from the stages or computed now."""
        assert self.potential is not None
        structures = {e.index: e.structure for e in entries if e.structure is not None}
        members = groups(structures)
        how = {**self.options.as_dict(), "max_atoms": MAX_ATOMS}
        names = [f"relaxed-{n:04d}" for n in range(len(members))]
        missing = {n: m for n, m in enumerate(members) if not stages.has(names[n])}
        done = len(structures) - sum(map(len, missing.values()))
        bar = tqdm(
            total=len(structures),
            initial=done,
            desc="relax",
            unit=" crystals",
            disable=None if self.progress is None else not self.progress,
        )
        with bar:
            for n, results in relax_groups(
                missing, structures, self.potential, how, workers=self.workers
            ):
                plain = [as_plain(i, r) for i, r in zip(members[n], results, strict=True)]
                stages.keep(names[n], plain)
                bar.update(len(results))
        return dict(sorted(from_plain(v) for name in names for v in stages.find(name)))


def _is_shipped(source: object) -> bool:
    return isinstance(source, str) and source == SHIPPED


def _existing(sources: Sequence[str | Path]) -> list[Path]:
    missing = [str(s) for s in sources if not Path(s).exists()]
    if missing:
        raise InputError(
            f"{', '.join(missing)} does not exist."
            if len(missing) == 1
            else f"{', '.join(missing)} do not exist."
        )
    return [Path(s) for s in sources]


def _digest(entries: Sequence[Entry]) -> str:
    text = json.dumps([e.as_dict() for e in entries], default=float)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
