"""What `discover` returns: the ranked candidates, what was rediscovered, and how it came about."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import pandas as pd
from ase import Atoms
from pymatgen.core import Structure

from ase_crysdiff.campaigns.discovery.finds import Find, plain
from ase_crysdiff.campaigns.discovery.searching import Tally
from ase_crysdiff.campaigns.discovery.wish import Wish
from ase_crysdiff.crystal.convert import copy_of
from ase_crysdiff.data.table import summarise
from ase_crysdiff.data.writing import frame
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.pictures.notebook import crystal_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Columns of the printed table, with their headings.
_COLUMNS = {
    "formula": "formula",
    "space_group": "space group",
    "atoms": "atoms",
    "pattern_residual": "misfit",
    "energy_above_hull": "eV/atom above hull",
    "footing": "footing",
    "energy_uncertainty": "±",
    "dynamics": "vibrations",
    "origin": "from",
}
#: Longest text of a column.
_WIDEST = 44


@dataclass(frozen=True, repr=False)
class Discovery(Sequence[Structure]):
    """The candidates of a discovery, the best first; each is a `Structure` with what is known of it
    among its properties.

    Args:
        wish: What was looked for.
        candidates: The finds that were chosen, the best first.
        rediscovered: Known crystals that were found, too, the lowest first.
        funnel: Stages with the numbers of crystals that reached them, and what each means.
        tally: How crystals were lost on the way.
        settings: What the result depends on.
        hull: Of known compounds.
        notes: What must be said.
        seconds: That this call took.
        folder: Where files and report are; None if none was asked for.
    """

    wish: Wish
    candidates: tuple[Find, ...]
    rediscovered: tuple[Find, ...]
    funnel: tuple[tuple[str, int, str], ...]
    tally: Tally
    settings: Mapping[str, Any]
    hull: Hull
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    folder: Path | None = None
    _structures: list[Structure] = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        self._structures.extend(labelled(f, i) for i, f in enumerate(self.candidates))

    def __len__(self) -> int:
        return len(self.candidates)

    def __iter__(self) -> Iterator[Structure]:
        return iter(self._structures)

    @overload
    def __getitem__(self, position: int) -> Structure: ...
    @overload
    def __getitem__(self, position: slice) -> list[Structure]: ...
    def __getitem__(self, position: int | slice) -> Structure | list[Structure]:
        return self._structures[position]

    def __str__(self) -> str:
        where = "" if self.folder is None else f"; the report is {self.folder / 'report.html'}"
        return (
            f"{len(self)} candidates for {self.wish} and {len(self.rediscovered)} known crystals "
            f"found again, of {self.tally.drawn:,} draws{where}"
        )

    def __repr__(self) -> str:
        return f"Discovery({self})"

    def to_atoms(self) -> list[Atoms]:
        """ASE atoms of the candidates, with energy, forces and stress."""
        return [frame(structure) for structure in self._structures]

    def to_dataframe(self) -> pd.DataFrame:
        """A row per candidate: formula, space group, height above the hull and what it rests on,
        expected error, second opinion, vibrations, predicted properties, origin.
        """
        return table_of(self.candidates, self._structures)

    def rediscovered_dataframe(self) -> pd.DataFrame:
        """A row per known crystal that was found again, with the same columns."""
        return table_of(self.rediscovered, [f.structure for f in self.rediscovered])

    def write(self, folder: str | Path) -> Path:
        """Writes tables, CIF files, `candidates.extxyz`, `candidates.db` and `report.html`.

        Args:
            folder: Where to; made if need be.

        Raises:
            InputError: If it cannot be written.
        """
        from ase_crysdiff.campaigns.discovery.writing import write_discovery

        write_discovery(self, Path(folder))
        return Path(folder)

    def plot(self, *, columns: int = 6, limit: int = 24) -> "Figure":
        """Drawings of the candidates side by side, as `SampleSet.plot` makes them.

        Raises:
            InputError: If there are no candidates, or `columns` or `limit` is below one.
        """
        from ase_crysdiff.pictures.grid import crystal_grid

        return crystal_grid(self._structures, columns=columns, limit=limit)

    def table(self) -> str:
        """A plain text table of the candidates."""
        frame_ = self.to_dataframe()
        shown = [n for n in _COLUMNS if n in frame_.columns and frame_[n].notna().any()]
        rows = [[_text(value) for value in row] for row in frame_[shown].values.tolist()]
        rows = [[_COLUMNS[name] for name in shown], *rows]
        widths = [max(len(row[c]) for row in rows) for c in range(len(shown))]
        lines = ["  ".join(v.ljust(w) for v, w in zip(r, widths, strict=True)) for r in rows]
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        return crystal_table(self._structures, str(self))


def labelled(find: Find, position: int) -> Structure:
    """The structure of a find with its numbers among its properties.

    Args:
        find: The find.
        position: Among the candidates, from 0.
    """
    structure = find.result.labelled(position)
    told = {
        f"crysdiff_{name}": value
        for name, value in plain(find).items()
        if value is not None and value != "" and name not in ("formula", "energy_per_atom")
    }
    return copy_of(structure, {**structure.properties, **told, "crysdiff_rank": position})


def table_of(finds: Sequence[Find], structures: Sequence[Structure]) -> pd.DataFrame:
    """A row per find."""
    rows = []
    for rank, (find, structure) in enumerate(zip(finds, structures, strict=True), start=1):
        own = summarise(structure)
        told = {name: value for name, value in plain(find).items() if name != "formula"}
        rows.append({"rank": rank, **own, **told})
    return pd.DataFrame(rows, columns=None if rows else ["rank", "formula", "energy_above_hull"])


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.3f}"
    text = "" if value is None else str(value)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
