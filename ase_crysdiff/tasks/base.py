"""What a task is: a property of crystals, where its table lies, and how it is split."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.data.splits import folds
from ase_crysdiff.data.transforms import transform_of
from ase_crysdiff.errors import InputError
from ase_crysdiff.progress import tqdm

Rows: TypeAlias = NDArray[np.int64]
#: Train, validation and test rows.
Fold: TypeAlias = tuple[Rows, Rows, Rows]

PUBLISHED, OFFICIAL, GROUPED = "published", "official", "grouped"
#: What splits are, for people.
SPLITS = {
    PUBLISHED: "five published partitions",
    OFFICIAL: "the official partition",
    GROUPED: "five folds, no group in two of them",
}
_FOLDS, _VALIDATION, _SEED = 5, 0.15, 0


@dataclass(frozen=True)
class Entry:
    """A row of a table, before its crystal is read.

    Args:
        name: Of the row.
        group: Rows of a group are never split.
        value: In the unit of the task.
        load: Reads the crystal.
        parts: "train", "val", "test" or nothing for each published partition.
    """

    name: str
    group: str
    value: float
    load: Callable[[], Structure]
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The table of a task.

    Args:
        task: Whose table it is.
        names: Of the rows.
        structures: Their crystals.
        values: In the unit of the task, shape (rows,).
        groups: Number of the group of each row, shape (rows,).
        parts: Of each row in each published partition; empty where there are none.
        left_out: Rows whose crystals cannot be read, and why.
    """

    task: "Task"
    names: Sequence[str]
    structures: Sequence[Structure]
    values: NDArray[np.float64]
    groups: Rows
    parts: Sequence[tuple[str, ...]]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def learned(self) -> NDArray[np.float64]:
        """The values after the transform of the task, on which errors are published."""
        return self.task.learned(self.values)

    def folds(self) -> Iterator[Fold]:
        """Positions of the rows that train, validate and test, for each partition; published ones
        leave out a few rows, grouped ones test every row once.
        """
        if self.task.splits == GROUPED:
            for split in folds(self.groups.tolist(), _FOLDS, _VALIDATION, _SEED):
                yield tuple(  # type: ignore[misc]  # of three parts
                    np.array(part, dtype=np.int64)
                    for part in (split.train, split.validation, split.test)
                )
            return
        parts = np.array(self.parts)
        for column in parts.T:
            train, val, test = (np.flatnonzero(column == p) for p in ("train", "val", "test"))
            yield train, val, test


@dataclass(frozen=True)
class Task:
    """A property of crystals and where its table lies.

    Args:
        name: Of the task.
        unit: Of the values; "1" for plain numbers.
        about: What the property is and where it comes from, in half a line.
        rows: Of the table.
        read: Gives the rows of the table from the folder of data packs.
        files: That it reads, relative to that folder.
        source: Works to cite.
        licence: Of the data.
        transform: None, "log" or "log1p" (natural): what is learned, and on which errors are given.
        splits: One of `SPLITS`.
        grouping: What a group is.
    """

    name: str
    unit: str
    about: str
    rows: int
    read: Callable[[Path], Iterable[Entry]] = field(repr=False)
    files: tuple[str, ...]
    source: str
    licence: str
    transform: str | None = None
    splits: str = GROUPED
    grouping: str = "reduced formula"

    def table(
        self,
        folder: str | Path | None = None,
        *,
        limit: int | None = None,
        seed: int = 0,
        progress: bool | None = None,
    ) -> Table:
        """Reads the table.

        Args:
            folder: Of the data packs; None takes the one that `CRYSDIFF_DATA` names.
            limit: Rows at most, drawn at random in their order; None takes all.
            seed: Of that draw.
            progress: Whether to show a progress bar; None shows one on a terminal.

        Raises:
            InputError: If the folder or a file of the task is not there.
        """
        entries = self.entries(folder)
        if limit is not None and limit < len(entries):
            chosen = np.random.default_rng(seed).choice(len(entries), limit, replace=False)
            entries = [entries[i] for i in sorted(chosen)]
        disable = None if progress is None else not progress
        structures, left_out = [], {}
        for entry in tqdm(entries, desc=self.name, unit=" rows", disable=disable):
            try:
                structures.append(entry.load())
            except InputError as error:
                left_out[entry.name] = str(error)
        entries = [entry for entry in entries if entry.name not in left_out]
        return Table(
            self,
            [e.name for e in entries],
            structures,
            np.array([e.value for e in entries], dtype=np.float64),
            np.unique([e.group for e in entries], return_inverse=True)[1].astype(np.int64),
            [e.parts for e in entries],
            left_out,
        )

    def entries(self, folder: str | Path | None = None) -> list[Entry]:
        """The rows of the table before their crystals are read, which takes longer.

        Args:
            folder: Of the data packs; None takes the one that `CRYSDIFF_DATA` names.

        Raises:
            InputError: If the folder or a file of the task is not there.
        """
        return list(self.read(self._found(folder)))

    def is_here(self, folder: str | Path | None = None) -> bool:
        """Whether all files of the task are there."""
        try:
            self._found(folder)
        except InputError:
            return False
        return True

    @property
    def num_folds(self) -> int:
        """Partitions that `Table.folds` gives."""
        return 1 if self.splits == OFFICIAL else _FOLDS

    def learned(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values after the transform."""
        return transform_of(self.transform).forward(torch.from_numpy(values)).numpy()

    @property
    def learned_unit(self) -> str:
        """The unit of errors: that of the values, or of their logarithms."""
        plain = self.unit == "1"
        return {
            None: self.unit,
            "log": "ln" if plain else f"ln({self.unit})",
            "log1p": "ln(1 + x)" if plain else f"ln(1 + x / {self.unit})",
        }[self.transform]

    def as_plain(self) -> Mapping[str, Any]:
        """What is known of it without its table, for JSON."""
        names = ("name", "unit", "transform", "rows", "splits", "grouping", "about", "source")
        return {n: getattr(self, n) for n in (*names, "licence", "files")}

    def _found(self, folder: str | Path | None) -> Path:
        from ase_crysdiff.environment import data_folder

        place = data_folder() if folder is None else Path(folder)
        if place is None:
            raise InputError(
                f"The table of {self.name} lies in the data packs. Name their folder in the "
                "environment variable CRYSDIFF_DATA, or give folder=."
            )
        missing = [file for file in self.files if not (place / file).is_file()]
        if missing:
            raise InputError(
                f"{self.name} needs {', '.join(missing)}, and the folder {place} of data packs has "
                "no such file."
            )
        return place
