"""Which rows train, which stop the training, and which are looked at once at the end."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.data.energy_crystals import compositions
from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Int, Tensor

Rows = tuple[int, ...]


@dataclass(frozen=True)
class Split:
    """Positions of rows, each ascending; no row is in two parts.

    Args:
        train: What the weights are fitted to.
        validation: What stops the training, chooses the weights and calibrates the uncertainty.
        test: What nothing was chosen by.
    """

    train: Rows
    validation: Rows
    test: Rows

    def digests(self, names: Sequence[str]) -> dict[str, str]:
        """SHA-256 over the sorted names of each part: a card states what a model saw without
        listing it.
        """
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {part: digest([names[i] for i in rows]) for part, rows in parts.items()}


def digest(names: Sequence[str]) -> str:
    """SHA-256 of a set of names."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def by_shares(groups: Sequence[int], validation: float, test: float, seed: int) -> Split:
    """Whole groups, in random order, into test and validation until their shares are reached; the
    rest trains.

    Args:
        groups: Number of the group of every row; rows of a group stay together.
        validation: Share of the rows, in (0, 1).
        test: Share of the rows, in [0, 1).
        seed: Of the order.

    Raises:
        InputError: If a part that was asked for would be empty.
    """
    if not (0 < validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise InputError(
            f"Shares of validation ({validation}) and test ({test}) must be positive and leave "
            "rows to train on."
        )
    members = _shuffled(groups, seed)
    wanted = {
        "test": round(test * len(groups)),
        "validation": max(1, round(validation * len(groups))),
    }
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    empty = [p for p in ("test", "validation", "train") if wanted.get(p, 1)]
    for number, rows in enumerate(members):
        if len(members) - number <= len(
            empty
        ):  # few groups, one of which may hold most rows: the largest trains
            for part, group in zip(empty, sorted(members[number:], key=len), strict=False):
                parts[part] += group
            break
        part = next((p for p, count in wanted.items() if len(parts[p]) < count), "train")
        parts[part] += rows
        empty = [p for p in empty if not parts[p]]
    empty = [p for p in empty if not parts[p]]
    if empty:
        raise InputError(
            f"{len(groups)} rows in {len(members)} groups leave nothing for {', '.join(empty)}. "
            "Give more rows or "
            "another way to split."
        )
    return Split(*(tuple(sorted(parts[p])) for p in ("train", "validation", "test")))


def folds(groups: Sequence[int], count: int, validation: float, seed: int) -> list[Split]:
    """Cross-validation: every row is in the test part of one fold; each fold keeps a validation
    share of its other rows.

    Args:
        groups: Number of the group of every row; rows of a group stay together.
        count: Number of folds.
        validation: Share of the rows that a fold does not test on.
        seed: Of the order.

    Raises:
        InputError: If there are fewer groups than folds.
    """
    members = _shuffled(groups, seed)
    if not 2 <= count <= len(members):
        raise InputError(
            f"{len(members)} groups of rows cannot be split into {count} folds; 2 to "
            f"{len(members)} are possible."
        )
    tests: list[list[int]] = [[] for _ in range(count)]
    for rows in members:
        min(tests, key=len).extend(rows)
    splits = []
    for number, test in enumerate(tests):
        others = np.setdiff1d(np.arange(len(groups)), test)
        inner = by_shares([groups[i] for i in others], validation, 0.0, seed + number + 1)
        train, held_out = (
            tuple(others[list(part)].tolist()) for part in (inner.train, inner.validation)
        )
        splits.append(Split(train, held_out, tuple(sorted(test))))
    return splits


def groups_of(crystals: CrystalBatch, kind: str) -> list[int]:
    """The group of every crystal, for `by_shares` and `folds`.

    Args:
        crystals: The rows.
        kind: `random` (each for itself), `composition` (the same reduced formula) or
            `chemical-system` (the same elements).

    Raises:
        InputError: If the kind is not known.
    """
    if kind not in KINDS:
        raise InputError(f"A split is one of {', '.join(KINDS)}, not {kind!r}.")
    return KINDS[kind](crystals).tolist()


def _each(crystals: CrystalBatch) -> Int[Tensor, " crystals"]:
    return torch.arange(len(crystals))


def _compositions(crystals: CrystalBatch) -> Int[Tensor, " crystals"]:
    return compositions(crystals.species, crystals.num_atoms)


def _systems(crystals: CrystalBatch) -> Int[Tensor, " crystals"]:
    present = torch.zeros(len(crystals), NUM_SPECIES, dtype=torch.bool)
    present[
        torch.repeat_interleave(torch.arange(len(crystals)), crystals.num_atoms), crystals.species
    ] = True
    found: Tensor = torch.unique(present, dim=0, return_inverse=True)[1]
    return found


KINDS: dict[str, Callable[[CrystalBatch], Tensor]] = {
    "random": _each,
    "composition": _compositions,
    "chemical-system": _systems,
}


def _shuffled(groups: Sequence[int], seed: int) -> list[list[int]]:
    """The rows of each group, groups in random order."""
    rows: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    found = list(rows.values())
    return [found[i] for i in np.random.default_rng(seed).permutation(len(found))]
