"""Which of several crystals a powder pattern is of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ase_crysdiff.diffraction.results import PatternFit
from ase_crysdiff.errors import ShapeError

#: Misfits well below this are alike: calculated intensities are no better known.
ALIKE = 0.1
#: What counts beside the logarithm of the misfit: one unit of the sampler's surprise; each number
#: of the lattice and of the sites that was fitted; and energy per eV/atom up to a limit, eV/atom.
#: Tuned on `mp/val` (docs/how-to/match-a-powder-pattern.md); the energy makes no difference there.
PRIOR, LATTICE, SITE, ENERGY, HIGHEST = 0.02, 0.01, 0.002, 0.5, 0.2
#: A crystal fits if its misfit is at most this, and may be the one up to the second. Tuned on
#: `mp/val`: 98 % of the right ones fit, and of the best candidates where none is right, 10 %.
FITS, DOUBTFUL = 0.25, 0.6
#: It fits, too, if it explains so much of the measured intensity, and so little of its own is
#: missing: what is left is of something else.
_EXPLAINED, _MISSING = 0.87, 0.08
#: Shares of intensity that are worth a remark if they are unexplained, or missing.
_OTHER, _GONE = 0.08, 0.25
#: Changes of the volume worth a remark.
_FAR = 0.12


@dataclass(frozen=True)
class PatternRanking:
    """Crystals in the order in which they may be the one that was measured.

    Args:
        fits: The best first; their `index` says which crystal each is of.
        scores: Of each, the less the better; infinite for what could not be fitted.
        fits_pattern: Whether the first one fits.
        verdict: The same in plain words.
    """

    fits: tuple[PatternFit, ...]
    scores: tuple[float, ...]
    fits_pattern: bool
    verdict: str


def rank_by_pattern(
    fits: Sequence[PatternFit],
    energies: Sequence[float | None] | None = None,
    surprises: Sequence[float] | None = None,
) -> PatternRanking:
    """Orders fitted crystals by their misfit; energy and a sampler's order decide between those
    that fit alike.

    The score is ln(R + 0.1) + 0.02 p + 0.01 n + 0.002 m + 0.5 E, with the misfit R, the surprise p
    that a sampler says the crystal would be (`ase_crysdiff.relaxation.ranking.surprise`), the
    counts n and m of numbers of the lattice and the sites that were fitted, and the energy E above
    the lowest, up to 0.2 eV/atom.

    Args:
        fits: From `fit_pattern`.
        energies: Of each, eV/atom; None or not finite where there is none, which counts as high.
        surprises: Of each, 0 for the crystal that the sampler puts first.

    Raises:
        ShapeError: If there are not as many energies or surprises as fits.
    """
    for name, values in (("energies", energies), ("surprises", surprises)):
        if values is not None and len(values) != len(fits):
            raise ShapeError(
                f"{name} has {len(values)} values for {len(fits)} fits. Give one for each fit, in "
                "their order."
            )
    heights = _heights(energies, len(fits))
    priors = [0.0] * len(fits) if surprises is None else list(surprises)
    scores = [
        _score(fit) + PRIOR * prior + ENERGY * height
        for fit, prior, height in zip(fits, priors, heights, strict=True)
    ]
    order = sorted(range(len(fits)), key=lambda i: (scores[i], i))
    ranked = tuple(replace(fits[i], remark=_remark(fits[i])) for i in order)
    best = ranked[0] if ranked and ranked[0].curves is not None else None
    found = best is not None and is_fit(best)
    return PatternRanking(ranked, tuple(scores[i] for i in order), found, _verdict(best))


def _score(fit: PatternFit) -> float:
    if fit.curves is None:
        return math.inf
    lattice, sites = fit.free
    return math.log(fit.residual + ALIKE) + LATTICE * lattice + SITE * sites


def is_fit(fit: PatternFit) -> bool:
    """Whether a crystal fits its pattern, perhaps beside something else in the powder."""
    if fit.curves is None:
        return False
    explains = fit.explained >= _EXPLAINED and fit.missing <= _MISSING
    return fit.residual <= FITS or (explains and fit.residual <= DOUBTFUL)


def _heights(energies: Sequence[float | None] | None, count: int) -> list[float]:
    """Energies above the lowest, eV/atom."""
    if energies is None:
        return [0.0] * count
    known = [math.inf if e is None or not math.isfinite(e) else e for e in energies]
    lowest = min(known, default=0.0)
    if math.isinf(lowest):
        return [0.0] * count
    return [min(e - lowest, HIGHEST) for e in known]


def _remark(fit: PatternFit) -> str:
    """What to think of a fit."""
    if fit.curves is None:
        return fit.remark
    if fit.residual > DOUBTFUL:
        return "does not fit"
    said = ["fits" if is_fit(fit) else "may be it: its peaks fit in part"]
    if 1 - fit.explained > _OTHER:
        said.append(f"{1 - fit.explained:.0%} of the intensity is of something else")
    if fit.missing > _GONE:
        said.append(f"{fit.missing:.0%} of its own intensity is missing in the pattern")
    if fit.texture is not None:
        axis = " ".join(map(str, fit.texture.axis))
        said.append(f"preferred orientation along ({axis})")
    if abs(fit.volume_change) > _FAR:
        said.append(f"its volume had to change by {fit.volume_change:+.0%}")
    return "; ".join(said)


def _verdict(best: PatternFit | None) -> str:
    if best is None:
        return "Nothing fits: no candidate could be compared with the pattern."
    if is_fit(best):
        return f"The first candidate fits the pattern (misfit {best.residual:.2f})."
    if best.residual <= DOUBTFUL:
        return (
            f"No candidate fits the pattern well; the first may be it (misfit {best.residual:.2f}, "
            f"up to {FITS} is a fit). Look at the difference curve, relax the candidates, or give "
            "more of them."
        )
    return (
        f"Nothing fits: the best candidate has a misfit of {best.residual:.2f} (up to {FITS} is a "
        "fit). Check the formula and the wavelength, or give more candidates; the powder may hold "
        "another phase."
    )
