"""How much room a composition needs: a regression on published crystals."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from ase_crysdiff.errors import InputError

#: Scale of the Laplace law of ln(volume): half of the errors are below 4.8 %.
SCATTER = 0.048 / math.log(2)
#: Nine tenths of the volumes are within this factor of their estimate.
WIDE_ERROR = 1.17
#: Mean and standard deviation of ln(volume per atom, Å³) of published crystals of at most 20 atoms,
#: of which nine tenths have 10 to 36 Å³.
_ROOM = (2.93, 0.41)


def volume_per_atom(amounts: Mapping[str, float | int]) -> float:
    """Expected volume of a crystal, Å³/atom.

    ln v = Σ x (a + b s), with the fraction x of each element, its two coefficients a and b, and the
    standard deviation s of the electronegativity over the atoms: compounds are denser than their
    elements, the more so the more polar they are. Fitted by `tools/build_volumes.py`; on crystals
    not used for the fit half of its errors are below 4.8 %, nine tenths below 17 %. Open networks,
    such as diamond silicon, are outside: it tells their elements in compounds (-30 %).

    Args:
        amounts: Amount of each element by symbol.

    Raises:
        InputError: If an element is not in the table; give the volume then.
    """
    table = coefficients()
    unknown = sorted(set(amounts) - set(table))
    if unknown or not amounts:
        named = ", ".join(unknown) or "nothing"
        raise InputError(
            f"No volume is known for {named}. Give volume_per_atom, for example that of a related "
            "crystal."
        )
    total = sum(amounts.values())
    shares = {symbol: amount / total for symbol, amount in amounts.items()}
    spread = electronegativity_spread([(x, table[s][0]) for s, x in shares.items()])
    return math.exp(sum(x * (table[s][1] + table[s][2] * spread) for s, x in shares.items()))


def sizes_in(volume: float, sizes: Mapping[int, float]) -> dict[int, float]:
    """How often a cell of a given volume holds each number of atoms, whatever they are.

    Args:
        volume: Of the cell, Å³.
        sizes: How often cells of any volume hold each number of atoms.

    Returns:
        Odds of the same numbers; not all are zero, however small or large the cell.
    """
    mean, deviation = _ROOM
    rooms = {n: -0.5 * ((math.log(volume / n) - mean) / deviation) ** 2 for n in sizes}
    most = max(rooms[n] for n, odds in sizes.items() if odds > 0)
    return {n: odds * math.exp(rooms[n] - most) for n, odds in sizes.items()}


def formula_units_in(unit: Mapping[str, int], volume: float) -> tuple[int, ...] | None:
    """How many formula units a cell of a given volume may hold: all counts that nine tenths of
    known crystals leave room for, or else the nearest.

    Args:
        unit: Atoms of one formula unit, by symbol.
        volume: Of the cell, Å³.

    Returns:
        None where the regression does not know an element.
    """
    if not set(unit) <= set(coefficients()):
        return None
    ratio = volume / (sum(unit.values()) * volume_per_atom(unit))
    counts = range(math.ceil(ratio / WIDE_ERROR), math.floor(ratio * WIDE_ERROR) + 1)
    return tuple(counts) or (max(1, round(ratio)),)


def atom_count_weights(
    host: Mapping[str, int], guests: Sequence[tuple[str, int, int]], volume: float
) -> tuple[float, ...] | None:
    """How likely a cell of a given volume holds each number of atoms, for 0, 1, ... atoms.

    The logarithm of the volume is taken to scatter about the regression by a Laplace law of the
    regression's median error.

    Args:
        host: Atoms that are there, by symbol.
        guests: Symbol, least and largest number of each element that may come.
        volume: Of the cell, Å³.

    Returns:
        Weights, of which the largest is 1; None where the regression does not know an element.
    """
    if not {*host, *(symbol for symbol, _, _ in guests)} <= set(coefficients()):
        return None
    best: dict[int, float] = {}
    for counts in itertools.product(*(range(least, most + 1) for _, least, most in guests)):
        amounts = Counter(host)
        for (symbol, _, _), count in zip(guests, counts, strict=True):
            amounts[symbol] += count
        total = amounts.total()
        if total:
            error = abs(
                math.log(
                    volume / (total * volume_per_atom({s: n for s, n in amounts.items() if n}))
                )
            )
            best[total] = min(error, best.get(total, math.inf))
    least_error = min(best.values())
    return tuple(
        math.exp((least_error - best[n]) / SCATTER) if n in best else 0.0
        for n in range(max(best) + 1)
    )


def electronegativity_spread(pairs: list[tuple[float, float]]) -> float:
    """Standard deviation of electronegativities, given with their shares as (share, value)."""
    mean = sum(share * value for share, value in pairs)
    return math.sqrt(max(sum(share * (value - mean) ** 2 for share, value in pairs), 0.0))


@cache
def coefficients() -> dict[str, tuple[float, float, float]]:
    """Electronegativity, a and b of each element."""
    text = files("ase_crysdiff.resources").joinpath("volumes.json").read_text(encoding="utf-8")
    return {
        symbol: (float(x), float(a), float(b)) for symbol, (x, a, b) in json.loads(text).items()
    }
