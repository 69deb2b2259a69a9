"""Crystals as rows of numbers for regressions that need no network of their own."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff import __version__
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.predictors.base import portions
from ase_crysdiff.predictors.descriptors import composition, elasticity, geometry, trunks
from ase_crysdiff.storage import write_bytes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """One kind of descriptors.

    Args:
        columns: Of crystals sorted by size, shape (crystals, columns).
        weights: Names of the shipped weights that it rests on.
        few: Whether each column means something of its own, so that trees can cut by it.
        decimals: That are kept; None keeps all. Trees must not cut between numbers that only
            differ by rounding: a supercell would get another value.
        usual: Whether it is read unless something else is asked for.
    """

    columns: Callable[[CrystalBatch], Array]
    weights: tuple[str, ...] = ()
    few: bool = True
    decimals: int | None = None
    usual: bool = True


BLOCKS: Mapping[str, Block] = {
    "composition": Block(composition.composition),
    "geometry": Block(lambda crystals: geometry.geometry(crystals).rows, decimals=3),
    "answers": Block(trunks.answers, (trunks.POTENTIAL, trunks.GAPS), decimals=3),
    "encoder": Block(trunks.encoder_features, (trunks.ENCODER,), few=False),
    "potential": Block(trunks.potential_features, (trunks.POTENTIAL,), few=False),
    "elasticity": Block(
        lambda crystals: elasticity.elasticity(crystals, trunks.potential()),
        (trunks.POTENTIAL,),
        decimals=2,
        usual=False,
    ),
}
#: What is read unless something else is asked for.
USUAL = tuple(name for name, block in BLOCKS.items() if block.usual)
#: What is learned from formulas alone says of a crystal's: a column of one predictor's own, which
#: trees cut by.
FORMULAS = "formulas"
#: What the plain forest of every table reads.
NEEDED = ("composition", "geometry")


@dataclass(frozen=True)
class Described:
    """Rows of numbers.

    Args:
        blocks: Columns of each kind by name, shape (crystals, columns); NaN where a network has no
            answer.
    """

    blocks: Mapping[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.blocks.values())))

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> "Described":
        """Some of the rows."""
        return Described({name: block[rows] for name, block in self.blocks.items()})

    def beside(self, name: str, columns: Array) -> "Described":
        """With columns of a kind that belongs to one predictor; trees cut by those of formulas."""
        return Described({**self.blocks, name: columns})

    @property
    def all(self) -> Array:
        """All columns."""
        return np.concatenate(list(self.blocks.values()), axis=1)

    @property
    def few(self) -> Array:
        """The columns that trees cut by."""
        few = {FORMULAS, *(name for name, block in BLOCKS.items() if block.few)}
        chosen = [block for name, block in self.blocks.items() if name in few]
        return np.concatenate(chosen, axis=1)

    @property
    def widths(self) -> list[int]:
        """Columns of each kind."""
        return [block.shape[1] for block in self.blocks.values()]

    @property
    def formula_and_density(self) -> Array:
        """What the plain forest of every table reads: statistics of the elements, volume per atom
        and density.
        """
        return np.concatenate([self.blocks["composition"], self.blocks["geometry"][:, :2]], axis=1)


def describe(crystals: CrystalBatch, blocks: Sequence[str] = USUAL) -> Described:
    """Numbers of crystals in their order.

    Args:
        crystals: In their reduced cells.
        blocks: Kinds of descriptors.
    """
    return Described({n: in_portions(crystals, partial(_columns, BLOCKS[n])) for n in blocks})


def in_portions(crystals: CrystalBatch, columns: Callable[[CrystalBatch], Array]) -> Array:
    """Columns of crystals in their order, computed for those of similar size together.

    Args:
        crystals: In their reduced cells.
        columns: Of crystals, shape (crystals, columns).
    """
    chosen = portions(crystals)
    found = [columns(crystals.select(rows)) for rows in chosen]
    return np.concatenate(found)[torch.argsort(torch.cat(chosen)).numpy()]


def _columns(block: Block, crystals: CrystalBatch) -> Array:
    found = block.columns(crystals)
    return found if block.decimals is None else np.round(found, block.decimals)


def describe_once(crystals: CrystalBatch, path: Path, blocks: Sequence[str] = USUAL) -> Described:
    """As `describe`, kept in a file; one of other crystals, other weights or another version of the
    package is made anew.

    Args:
        crystals: In their reduced cells.
        path: An `.npz` file.
        blocks: Kinds of descriptors.
    """
    told = "".join(f"{name} {digest} " for name, digest in digests(blocks).items())
    label = f"{__version__} {told}{len(crystals)} {','.join(blocks)}"
    if path.is_file():
        with np.load(path) as file:
            if str(file["of"]) == label:
                return Described({name: file[name] for name in blocks})
    found = describe(crystals, blocks)
    content = io.BytesIO()
    np.savez(content, of=np.array(label), **found.blocks)  # type: ignore[arg-type]
    write_bytes(path, content.getvalue())
    return found


def digests(blocks: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the weights that kinds of descriptors rest on, by name."""
    names = {name for block in blocks for name in BLOCKS[block].weights}
    return {n: weight_files.read_card(weight_files.find(n)).sha256 for n in sorted(names)}


def check_digests(blocks: Sequence[str], known: Mapping[str, str], name: str) -> None:
    """Refuses descriptors of other weights than a predictor has learned from.

    Args:
        blocks: Kinds of descriptors.
        known: SHA-256 of the weights by name, as the card says.
        name: Of the predictor.

    Raises:
        CheckpointError: If weights have changed.
    """
    for weights, digest in digests(blocks).items():
        if known.get(weights) != digest:
            raise CheckpointError(
                f"{name} has learned from what {weights} {known.get(weights, '')[:12]}… sees, but "
                f"that name now stands for {digest[:12]}…. Put the folder of the old weights into "
                "CRYSDIFF_WEIGHTS, or fine-tune again."
            )
