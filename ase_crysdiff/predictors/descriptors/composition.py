"""What a formula tells: statistics of the properties of its elements, and of their shares.

Source: Ward et al., npj Comput. Mater. 2, 16028 (2016), for the choice of statistics.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import CrystalBatch

Array = NDArray[np.float64]

_TABLE = files("ase_crysdiff.resources") / "element_table.csv"
_STATISTICS = ("mean", "deviation", "min", "max", "range", "of the most frequent")
_NORMS = (2, 3, 5, 7, 10)
_SHELLS = ("valence_s", "valence_p", "valence_d", "valence_f")


@lru_cache(maxsize=1)
def element_table() -> tuple[tuple[str, ...], Array]:
    """Names of the properties, and one row for each atomic number; elements beyond the table have
    the means of its columns.
    """
    title, *lines = _TABLE.read_text(encoding="utf-8").split()
    known = np.array([[float(x) for x in line.split(",")[1:]] for line in lines])
    table = np.tile(known.mean(0), (NUM_SPECIES, 1))
    table[1 : len(known) + 1] = known[: NUM_SPECIES - 1]
    table.setflags(write=False)
    return tuple(title.split(",")[1:]), table


def shares(crystals: CrystalBatch) -> Array:
    """The share of each element among the atoms of each crystal, shape (crystals, elements)."""
    owner = np.repeat(np.arange(len(crystals)), crystals.num_atoms.numpy())
    found = np.zeros((len(crystals), NUM_SPECIES))
    np.add.at(found, (owner, crystals.species.numpy()), 1.0)
    return found / found.sum(1, keepdims=True)


def names() -> list[str]:
    """Of the columns of `composition`."""
    properties, _ = element_table()
    found = [f"{statistic} {p}" for statistic in _STATISTICS for p in properties]
    found += ["number of elements", *(f"{p}-norm of shares" for p in _NORMS)]
    return found + [f"share of {shell}" for shell in _SHELLS]


def composition(crystals: CrystalBatch) -> Array:
    """The columns that `names` names, one row for each crystal."""
    return statistics(shares(crystals))


def statistics(share: Array) -> Array:
    """The columns that `names` names, one row for each formula.

    Args:
        share: Of each element among the atoms, shape (formulas, elements).
    """
    properties, table = element_table()
    present = share > 0
    mean = share @ table
    deviation = np.stack(
        [row @ np.abs(table - centre) for row, centre in zip(share, mean, strict=True)]
    )
    low = np.stack([table[row].min(0) for row in present])
    high = np.stack([table[row].max(0) for row in present])
    frequent = table[share.argmax(1)]
    norms = [(share**p).sum(1) ** (1 / p) for p in _NORMS]
    valence = mean[:, [properties.index(shell) for shell in _SHELLS]]
    return np.concatenate(
        [
            mean,
            deviation,
            low,
            high,
            high - low,
            frequent,
            present.sum(1, keepdims=True),
            np.stack(norms, axis=1),
            valence / valence.sum(1, keepdims=True).clip(1e-9),
        ],
        axis=1,
    )
