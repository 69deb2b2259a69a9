"""A folder of samples that remembers what is done, so that an interrupted run goes on where it
was.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.data.folder import CrystalFolder
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.sample_set import Report, SampleSet
from ase_crysdiff.storage import Store


class SampleFolder(CrystalFolder):
    """Samples on disk: crystals with the seed and the settings that they came from.

    Args:
        store: The folder, opened; its facts hold the seed.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.seed = int(store.facts["seed"])

    @classmethod
    def open(
        cls, path: Path, settings: Mapping[str, Any], seed: int | None, new_seed: Callable[[], int]
    ) -> "SampleFolder":
        """The folder of a new run, or of the same run as before.

        Args:
            path: The folder; made if need be.
            settings: What the crystals depend on, beside seed and index.
            seed: As asked; None takes that of the run in the folder, else a new one.
            new_seed: Draws a seed.

        Raises:
            InputError: If it cannot be written, or holds a run with other settings.
        """
        old = Store.record(path)
        try:
            known = int(old["seed"]) if old else None
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(
                f"{path / Store.RECORD} is damaged ({error!r}). Choose another output folder, or "
                "empty this one."
            ) from error
        if seed is None:
            seed = new_seed() if known is None else known
        return cls(Store(path, settings, {"seed": seed}))

    @staticmethod
    def failures(path: Path) -> dict[int, str]:
        """Reasons of the draws that gave no crystal, by index; nothing for a folder of another
        kind.
        """
        try:
            failed = json.loads((path / Store.RECORD).read_text(encoding="utf-8"))["last_run"][
                "failed"
            ]
            return {int(index): str(reason) for index, reason in failed.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def on_draws(self, draws: Sequence[object], accepted: Sequence[Structure]) -> None:
        """Keeps what a batch of draws has brought; the callback of a sampler that collects.

        Args:
            draws: Not looked at.
            accepted: Crystals whose property `crysdiff_index` says which they are.
        """
        self.add(accepted)

    def finish(self, indices: Iterable[int], report: Report) -> SampleSet:
        """Writes the file of all crystals and the report; returns the crystals with these indices.

        Args:
            indices: Which crystals were asked for now.
            report: Of what was drawn now.
        """
        wanted = set(indices)
        structures = [s for i, s in sorted(self.done.items()) if i in wanted]
        samples = SampleSet(structures, replace(report, asked=len(wanted), made=len(structures)))
        if structures:
            samples.write(self.path / self.XYZ)
        self.store.note(last_run=vars(report))
        return samples
