"""Names beside the points of pictures of hulls, and the words that are said of them."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from pymatgen.analysis.phase_diagram import PDEntry
from pymatgen.core import Composition

from ase_crysdiff.pictures.typography import formula_text, number
from ase_crysdiff.report.figures import mark
from ase_crysdiff.report.hull_marks import INK, HullPoint

#: Known compounds and candidates are drawn up to this height above the hull, eV/atom.
HIGHEST = 0.3
#: Formulas of candidates that are named, the best first.
_NAMED = 12


class Names:
    """Names beside points, each where it covers neither a point nor another name.

    Args:
        axes: Where to, with its final limits.
        size: Of the letters, pixels.
    """

    def __init__(self, axes: Axes, size: float = 11.0) -> None:
        self._axes, self._size = axes, size
        self._taken: list[tuple[float, float, float, float]] = []

    def keep_clear(self, x: float, y: float, reach: float = 4.0) -> None:
        """No name will cover this point."""
        u, v = self._pixels(x, y)
        self._taken.append((u - reach, v - reach, u + reach, v + reach))

    def add(
        self, x: float, y: float, text: str, toward: Sequence[tuple[float, float]], kind: str
    ) -> bool:
        """A name at the first free place.

        Args:
            x: Of the point, in data coordinates.
            y: Likewise.
            text: The name.
            toward: Directions from the point to try, in pixels, y upward.
            kind: Class of the text; that of candidates, "phase ours", is bold.

        Returns:
            Whether there was room.
        """
        u, v = self._pixels(x, y)
        width, height = 0.58 * self._size * len(text), self._size
        for dx, dy in toward:
            align = "left" if dx > 2 else "right" if dx < -2 else "center"
            left = u + dx - {"left": 0.0, "right": width, "center": width / 2}[align]
            box = left, v + dy - height / 2, left + width, v + dy + height / 2
            if not any(_overlap(box, other) for other in self._taken):
                self._taken.append(box)
                found = self._axes.annotate(
                    text, (x, y), xytext=(dx, dy - 0.36 * self._size), textcoords="offset points",
                    ha=align, va="baseline", fontsize=self._size, color=INK, zorder=5,
                    weight="bold" if "ours" in kind else "normal",
                )  # fmt: skip
                mark(found, kind)
                return True
        return False

    def _pixels(self, x: float, y: float) -> tuple[float, float]:
        u, v = self._axes.transData.transform((x, y))
        return float(u), float(v)


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def name_candidates(
    names: Names,
    places: Mapping[str, tuple[float, float]],
    toward: Sequence[tuple[float, float]],
) -> None:
    """Names the best candidates.

    Args:
        names: What is named already.
        places: Of the candidates by formula, the best last.
        toward: Directions to try.
    """
    for formula, (x, y) in list(places.items())[: -_NAMED - 1 : -1]:
        names.add(x, y, formula_text(formula), toward, "phase ours")


def formula_of(entry: PDEntry) -> str:
    """Reduced formula of an entry, whose amounts are fractions."""
    return str(Composition(entry.composition.get_integer_formula_and_factor()[0]).reduced_formula)


def reduced(candidate: HullPoint) -> str:
    """Reduced formula of a candidate."""
    return str(Composition(candidate.formula).reduced_formula)


def known_tip(entry: PDEntry, height: float, energy: float | None = None) -> str:
    """What shows under the pointer of a known compound.

    Args:
        entry: The compound.
        height: Above the hull, eV/atom.
        energy: Formation energy, eV/atom, if it is to be said.
    """
    what = "stable" if height <= 0 else f"{number(1000 * height)} meV/atom above the hull"
    of = "" if energy is None else f", formation energy {number(energy)} eV/atom"
    return f"{formula_text(formula_of(entry))}, known, {what}{of}"


def counted(points: Sequence[HullPoint]) -> str:
    """How many candidates there are, in words."""
    return f"{len(points)} candidate{'' if len(points) == 1 else 's'}"


def high_remark(points: Sequence[HullPoint]) -> str:
    """How many candidates lie beyond the picture; empty for none."""
    high = [p for p in points if p.height > HIGHEST]
    lie = "lies" if len(high) == 1 else "lie"
    return f"{counted(high)} {lie} higher than {number(HIGHEST)} eV/atom." if high else ""
