"""`discover`: from a wish to ranked candidates."""

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from pymatgen.core import Composition, Structure

from ase_crysdiff import arguments, registry
from ase_crysdiff.campaigns.discovery.result import Discovery
from ase_crysdiff.campaigns.discovery.running import Means, Plan, run
from ase_crysdiff.campaigns.discovery.wish import Window, Wish, formula_text
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.diffraction.reading import read_pattern
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.isolation import Workers, workers_of
from ase_crysdiff.metrics.sources import SHIPPED, HullLike, ReferenceLike
from ase_crysdiff.potentials.loading import PotentialLike
from ase_crysdiff.prototypes.library import Formula
from ase_crysdiff.sampling.prototype_sampler import PrototypeSampler
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from pymatgen_ext import parsing
from pymatgen_ext.charge_balance import ChargeBalance
from pymatgen_ext.samplers import StructureSampler

WishLike: TypeAlias = str | Composition | Mapping[str, float]

#: Who draws by default.
SAMPLERS = ("wyckoff", "prototypes")
#: Draws that are made anew before an index is given up.
_REDRAWS = 3


def discover(
    wish: WishLike | None = None,
    num_candidates: int = 20,
    *,
    elements: str | Iterable[str] | None = None,
    space_group: int | str | None = None,
    prototype: parsing.PrototypeLike = None,
    properties: Mapping[str, tuple[float | None, float | None]] | None = None,
    samplers: Sequence[str] = SAMPLERS,
    draws: int | str = "auto",
    minutes: float | None = None,
    potential: PotentialLike = "dao-p",
    judge: "PotentialLike | None" = None,
    max_above_hull: float | None = None,
    new_only: bool | None = None,
    pattern: Any = None,
    wavelength: float | str = 1.5406,
    hull: HullLike = SHIPPED,
    reference: ReferenceLike | None = SHIPPED,
    predict: Sequence[str] = ("band-gap",),
    dynamics: bool = True,
    folder: str | Path | None = None,
    workers: Workers = 0,
    executor: Executor | None = None,
    seed: int | None = None,
    progress: bool | None = None,
) -> Discovery:
    """Looks for crystals that are worth computing.

    For a chemical system the likely formulas are found, those that known crystals vote for and
    whose charges balance; their likely structures and crystals of the samplers' own choice are
    drawn, relaxed with their symmetry, and set above the hull of known compounds. The best are
    released from their symmetry, compared with each other and with what is known, asked for
    imaginary vibrations, and ranked by height above the hull. The same seed gives the same
    candidates, whatever the number of workers.

    Args:
        wish: A formula ("CaTiO3", a mapping or a Composition), whose structures are looked for, or
            a chemical system ("Li-Fe-P-O"): each of these elements, no others.
        num_candidates: How many are wanted.
        elements: In place of it: only these elements may occur.
        space_group: Number or short symbol of the space group of what is drawn.
        prototype: Occupied sites of what is drawn, as for `StructureSampler.sample`.
        properties: Windows of predicted properties by name of the predictor, such as
            `{"band-gap": (1.0, 2.5)}` in its unit; None leaves an end open.
        samplers: Names of samplers. Those that predict structures are asked for the formulas, those
            that draw freely for new crystals.
        draws: How many crystals are drawn, in rounds of 64; "auto" draws 12 for each candidate that
            is wanted, then up to 60 until there are enough.
        minutes: After which no further round begins; the candidates are then those of the rounds
            that were made.
        potential: Relaxes and ranks: a name, a potential or an ASE calculator.
        judge: A second potential, such as "chgnet", whose heights above the hull then rank what the
            first has relaxed.
        max_above_hull: Of candidates, eV/atom; None is 0.1, and 0.3 with a pattern.
        new_only: Whether known crystals are no candidates; they are reported as rediscovered. None
            leaves them out, but not with a pattern.
        pattern: A measured powder pattern of the formula, by which its structures are ranked: a
            file (`.xy`, `.xye`, `.csv`), arrays, or peaks, as `read_pattern` takes them.
        wavelength: Of the pattern, Å, or the name of a line, such as "CuKa".
        hull: Known compounds, as for `energy_above_hull`.
        reference: Known crystals, as for `evaluate`; None takes all for new.
        predict: Names of predictors whose values are shown.
        dynamics: Whether candidates are asked for imaginary vibrations.
        folder: Keeps what is done, so that the same call goes on after an interruption, or with
            more draws; and receives `candidates.csv`, CIF files, `candidates.extxyz`,
            `candidates.db` and `report.html`. None writes nothing.
        workers: Isolated processes that draw and relax; 0 works in this one.
        executor: In place of them any executor of `concurrent.futures`, such as that of a Dask
            client.
        seed: 0 to 2^63 - 1; None draws one, or takes that of the folder.
        progress: Whether to show progress bars; None shows them on a terminal.

    Returns:
        The candidates as a sequence of structures, the best first, with tables, the funnel and what
        was rediscovered.

    Raises:
        InputError: If the wish or a number makes no sense, or the folder holds a run of another.
        IncompatibleError: If no sampler can serve the wish; the message says why.
        UnknownNameError: If there is no such sampler, potential or predictor.
    """
    wished = _wish(wish, elements, space_group, prototype, properties)
    scan = None if pattern is None else read_pattern(pattern, wavelength)
    new_only = scan is None if new_only is None else new_only
    plan = Plan(
        num_candidates,
        draws,
        None if minutes is None else arguments.above_zero("minutes", minutes, "minutes"),
        potential,
        judge,
        (0.1 if scan is None else 0.3)
        if max_above_hull is None
        else arguments.finite("max_above_hull", max_above_hull, "eV/atom"),
        new_only,
        hull,
        reference,
        tuple(predict),
        dynamics,
        scan,
        workers_of(workers, executor),
        progress,
    )
    for name in (*wished.windows, *plan.properties):
        registry.check(registry.PREDICTORS, name)
    chosen = None if seed is None else arguments.positive("seed", seed, 0)
    place = None if folder is None else Path(folder)
    return run(wished, plan, _means(wished, samplers, new_only), place, chosen)


@dataclass(frozen=True)
class SamplerSource:
    """A sampler with everything but the formula that is wished of its crystals.

    Args:
        name: Of the sampler.
        wish: What is looked for.
        new_only: Whether new crystals must have formulas that the sampler's library lacks.
    """

    name: str
    wish: Wish
    new_only: bool = True

    @property
    def version(self) -> str:
        """Of its weights."""
        return _sampler(self.name).version

    def draw(
        self, formula: Formula | None, indices: Sequence[int], seed: int
    ) -> tuple[list[Structure], Mapping[int, str]]:
        """Crystals by index, and why others failed; see `campaigns.discovery.drawing.Source`."""
        try:
            request = self._request(formula)
        except IncompatibleError as error:
            return [], dict.fromkeys(indices, str(error))
        how = {"seed": seed, "redraws": _REDRAWS, "progress": False}
        samples = _sampler(self.name).collect(request, indices, **how)
        return list(samples), samples.report.failed

    def check(self, formula: Formula | None) -> None:
        """Refuses what the sampler cannot serve.

        Raises:
            IncompatibleError: If it cannot.
        """
        self._request(formula)

    def _request(self, formula: Formula | None) -> Any:
        wish, sampler = self.wish, _sampler(self.name)
        symmetry: dict[str, Any] = {"space_group": wish.space_group, "prototype": wish.prototype}
        if formula is not None:
            return sampler.request(composition=formula_text(formula), **symmetry)[0]
        request, _ = sampler.request(
            chemical_system=_symbols(wish.chemical_system),
            elements=_symbols(wish.elements),
            known=None if self.new_only else True,
            **symmetry,
        )
        return replace(request, filters=(*request.filters, ChargeBalance(alloys=True)))


@lru_cache(maxsize=8)
def _sampler(name: str) -> StructureSampler:
    """Loaded once in each process."""
    return StructureSampler(name)


def _means(wish: Wish, samplers: Sequence[str], new_only: bool) -> Means:
    """The samplers by what they can serve of a wish.

    Raises:
        IncompatibleError: If none can serve it.
    """
    if isinstance(samplers, str) or not samplers:
        raise InputError(f"samplers are several names, such as ('prototypes',), got {samplers!r}.")
    sources = [SamplerSource(name, wish, new_only) for name in dict.fromkeys(samplers)]
    tasks = [_sampler(source.name).sampler.capabilities.tasks for source in sources]
    reasons: list[str] = []
    predictors = [
        i
        for i, source in enumerate(sources)
        if CSP in tasks[i]
        and (wish.composition is None or _serves(source, wish.composition, reasons))
    ]
    creators = [
        i
        for i, source in enumerate(sources)
        if wish.composition is None and DeNovo in tasks[i] and _serves(source, None, reasons)
    ]
    if wish.composition is None and (wish.species is None or wish.space_group or wish.prototype):
        predictors = []
    if not predictors and not creators:
        raise IncompatibleError(
            f"None of the samplers {', '.join(samplers)} can draw {wish}: {'; '.join(reasons)}"
        )
    library = _sampler("prototypes").sampler
    assert isinstance(library, PrototypeSampler)
    return Means(sources, predictors, creators, library.library, library.vote)


def _serves(source: SamplerSource, formula: Formula | None, reasons: list[str]) -> bool:
    """Whether a sampler can serve a wish; why not is added to the reasons."""
    try:
        source.check(formula)
    except IncompatibleError as error:
        reasons.append(str(error))
        return False
    return True


def _wish(
    wish: WishLike | None,
    elements: str | Iterable[str] | None,
    space_group: int | str | None,
    prototype: parsing.PrototypeLike,
    properties: Mapping[str, tuple[float | None, float | None]] | None,
) -> Wish:
    """What was written, as a wish."""
    system = composition = None
    if isinstance(wish, str) and ("-" in wish or "," in wish):
        system = parsing.elements("The chemical system", wish)
    elif wish is not None:
        composition = parsing.composition(wish)
    return Wish(
        composition,
        system,
        None if elements is None else parsing.elements("elements", elements),
        parsing.space_group(space_group),
        parsing.prototype(prototype),
        {
            name.replace("_", "-"): _window(name, window)
            for name, window in (properties or {}).items()
        },
    )


def _window(name: str, window: Any) -> Window:
    """The ends of a window of a property.

    Raises:
        InputError: If it is no pair of numbers.
    """
    try:
        low, high = window
        return (
            -math.inf if low is None else float(low),
            math.inf if high is None else float(high),
        )
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The window of {name} is two numbers, such as (1.0, 2.5), or None for an open end; "
            f"got {window!r}."
        ) from error


def _symbols(species: frozenset[int] | None) -> list[str] | None:
    return None if species is None else [SYMBOLS[z] for z in sorted(species)]
