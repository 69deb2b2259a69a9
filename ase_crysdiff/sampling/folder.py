"""A folder of samples that remembers what is done, so that an interrupted run goes on where it
was.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.data.writing import write_cif
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.batched import Draw
from ase_crysdiff.sampling.sample_set import Report, SampleSet
from ase_crysdiff.storage import ensure_writable, write_text

log = logging.getLogger(__name__)


class SampleFolder:
    """Crystals on disk, one line each in a journal that survives a kill at any moment.

    Args:
        path: The folder.
        seed: Of the run.
        settings: What the crystals depend on, beside seed and index.
    """

    XYZ = "crystals.extxyz"
    _RUN, _JOURNAL = "run.json", "journal.jsonl"

    def __init__(self, path: Path, seed: int, settings: Mapping[str, Any]) -> None:
        self.path, self.seed, self.settings = path, seed, settings
        self.done: dict[int, Structure] = self._read_journal()

    @classmethod
    def open(
        cls, path: Path, settings: Mapping[str, Any], seed: int | None, new_seed: Callable[[], int]
    ) -> "SampleFolder":
        """The folder of a new run, or of the same run as before.

        Args:
            path: The folder; made if need be.
            settings: What the crystals depend on.
            seed: As asked; None takes that of the run in the folder, else a new one.
            new_seed: Draws a seed.

        Raises:
            InputError: If it cannot be written, or holds a run with other settings.
        """
        ensure_writable(path)
        wanted = json.loads(json.dumps(dict(settings), default=str))
        record = path / cls._RUN
        if record.exists():
            try:
                old = json.loads(record.read_text())
                old_seed, old_settings = int(old["seed"]), old["settings"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{record} is damaged ({error!r}). Choose another output folder, or empty this "
                    "one."
                ) from error
            changed = [k for k in {*wanted, *old_settings} if wanted.get(k) != old_settings.get(k)]
            if seed is not None and seed != old_seed:
                changed.append("seed")
            if changed:
                raise InputError(
                    f"{path} holds a run with other settings ({', '.join(sorted(changed))} "
                    "differ). Choose another output "
                    "folder, or give the same options to continue that run."
                )
            return cls(path, old_seed, wanted)
        folder = cls(path, new_seed() if seed is None else seed, wanted)
        write_text(record, json.dumps({"seed": folder.seed, "settings": wanted}, indent=1) + "\n")
        return folder

    @classmethod
    def failures(cls, path: Path) -> dict[int, str]:
        """Reasons of the draws that gave no crystal, by index; nothing for a folder of another
        kind.
        """
        try:
            failed = json.loads((path / cls._RUN).read_text())["last_run"]["failed"]
            return {int(index): str(reason) for index, reason in failed.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def add(self, draws: list[Draw], accepted: list[Structure]) -> None:
        """Writes what a batch of draws has brought: CIF files first, then the lines that declare
        them done.
        """
        for structure in accepted:
            write_cif(structure, self.path)
        lines = [
            json.dumps({"index": _index(s), "structure": s.as_dict()}, default=_plain)
            for s in accepted
        ]
        with (self.path / self._JOURNAL).open("a") as journal:
            journal.writelines(line + "\n" for line in lines)
            journal.flush()
            os.fsync(journal.fileno())
        self.done |= {_index(s): s for s in accepted}

    def finish(self, num_samples: int, report: Report) -> SampleSet:
        """Writes the file of all crystals and the report; returns the crystals with an index below
        `num_samples`.
        """
        structures = [s for i, s in sorted(self.done.items()) if i < num_samples]
        samples = SampleSet(structures, replace(report, asked=num_samples, made=len(structures)))
        if structures:
            samples.write(self.path / self.XYZ)
        content = {"seed": self.seed, "settings": self.settings, "last_run": vars(report)}
        write_text(self.path / self._RUN, json.dumps(content, indent=1, default=str) + "\n")
        return samples

    def _read_journal(self) -> dict[int, Structure]:
        path = self.path / self._JOURNAL
        done: dict[int, Structure] = {}
        if not path.exists():
            return done
        content = path.read_bytes()
        whole = content[
            : content.rfind(b"\n") + 1
        ]  # a line that a kill has torn off is drawn again
        if len(whole) < len(content):
            with path.open("rb+") as journal:
                journal.truncate(len(whole))
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
                done[int(entry["index"])] = Structure.from_dict(entry["structure"])
            except (
                ValueError,
                KeyError,
                TypeError,
            ):  # a damaged line costs one draw, which will be the same
                log.warning("%s has a damaged line; its crystal is drawn again.", path)
        return done


def _index(structure: Structure) -> int:
    return int(structure.properties["crysdiff_index"])


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
