"""First stage of a round: crystals are drawn, and what has been there before is left out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pymatgen.core import Structure

from ase_crysdiff.campaigns.discovery.asks import Ask
from ase_crysdiff.campaigns.discovery.wish import formula_text
from ase_crysdiff.isolation import Failure, Workers, map_isolated
from ase_crysdiff.prototypes.library import Formula

#: Seconds of processor time for one ask.
_LIMIT = 900.0


@runtime_checkable
class Source(Protocol):
    """A sampler with everything but the formula that is wished of its crystals; must survive
    pickling, for it draws in other processes, too.
    """

    @property
    def name(self) -> str:
        """Of the sampler."""

    @property
    def version(self) -> str:
        """Of its weights; changes when its crystals do."""

    def draw(
        self, formula: Formula | None, indices: Sequence[int], seed: int
    ) -> tuple[list[Structure], Mapping[int, str]]:
        """Crystals by index, whatever else is drawn, and why others failed.

        Args:
            formula: Atomic numbers and counts of a formula unit; None for crystals of the sampler's
                choice.
            indices: Which crystals of the run; `crysdiff_index` of a structure says which it is.
            seed: Of the run.
        """


@dataclass(frozen=True)
class Draw:
    """A drawn crystal.

    Args:
        key: Names it in the run: round, sampler, formula if one was asked for, index.
        structure: The crystal, with what the sampler says of it among its properties.
    """

    key: str
    structure: Structure

    @property
    def arrangement(self) -> tuple[str, str] | None:
        """What two draws share that come to rest in the same place: formula and occupied sites;
        None where the sampler does not say.
        """
        scaffold = self.structure.properties.get("crysdiff_scaffold")
        return None if scaffold is None else (self.structure.composition.formula, str(scaffold))


@dataclass(frozen=True)
class Drawing:
    """What a round has drawn.

    Args:
        draws: The crystals.
        failed: Reasons with how often each was given.
    """

    draws: tuple[Draw, ...]
    failed: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes it again."""
        draws = [{"key": d.key, "structure": d.structure.as_dict()} for d in self.draws]
        return {"draws": draws, "failed": dict(self.failed)}

    @staticmethod
    def from_dict(d: Mapping[str, Any]) -> "Drawing":
        """The drawing that `as_dict` described."""
        draws = (Draw(e["key"], Structure.from_dict(e["structure"])) for e in d["draws"])
        return Drawing(tuple(draws), d["failed"])


def draw_rounds(
    asked: Mapping[int, Sequence[Ask]], sources: Sequence[Source], seed: int, workers: Workers
) -> dict[int, Drawing]:
    """What the samplers give, by number of the round.

    Args:
        asked: The asks of each round.
        sources: The samplers.
        seed: Of the run.
        workers: Processes that draw; 0 draws in this one.
    """
    tasks = [(number, ask) for number, asks in asked.items() for ask in asks]
    items = [(sources[ask.sampler], ask, seed) for _, ask in tasks]
    found = map_isolated(
        _drawn, [[item] for item in items], workers=workers, timeout=_LIMIT, chunked=True
    )
    draws: dict[int, list[Draw]] = {number: [] for number in asked}
    failed: dict[int, Counter[str]] = {number: Counter() for number in asked}
    for (number, ask), answer in zip(tasks, found, strict=True):
        if isinstance(answer, Failure):
            failed[number][answer.reason] += ask.count
            continue
        structures, reasons = answer
        failed[number].update(reasons.values())
        draws[number] += (Draw(_key(number, ask, sources, s), s) for s in structures)
    return {number: Drawing(tuple(draws[number]), dict(failed[number])) for number in asked}


def unseen(draws: Iterable[Draw], seen: set[tuple[str, str]]) -> list[Draw]:
    """The draws whose arrangement has not been there; those that say none, all.

    Args:
        draws: In their order.
        seen: Arrangements that were there; grows by those that are new.
    """
    found = []
    for draw in draws:
        arrangement = draw.arrangement
        if arrangement is None or arrangement not in seen:
            found.append(draw)
        if arrangement is not None:
            seen.add(arrangement)
    return found


def _drawn(task: tuple[Source, Ask, int]) -> tuple[list[Structure], Mapping[int, str]]:
    """What one sampler gives; to be called in another process."""
    source, ask, seed = task
    return source.draw(ask.formula, ask.indices, seed)


def _key(number: int, ask: Ask, sources: Sequence[Source], structure: Structure) -> str:
    what = "new" if ask.formula is None else formula_text(ask.formula)
    index = int(structure.properties["crysdiff_index"])
    return f"{number:04d}-{sources[ask.sampler].name}-{what}-{index}"
