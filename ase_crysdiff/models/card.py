"""What is known about a set of weights, and how a sampler uses them unless it is told otherwise."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from ase_crysdiff import arguments
from ase_crysdiff.errors import CheckpointError, InputError, did_you_mean

#: A model as names and numbers, as it stands in cards and checkpoints.
Config = Mapping[str, Any]

#: Version of the layout of `card.json`.
FORMAT = 2


class Kind(StrEnum):
    """What a set of weights is."""

    SAMPLER = "sampler"
    MOLECULE_SAMPLER = "molecule sampler"
    POTENTIAL = "potential"
    PREDICTOR = "predictor"
    ENCODER = "backbone"
    NOISY_ENERGY = "noisy energy"
    ELEMENTS = "elements"
    MODULE = "module"

    @property
    def draws(self) -> bool:
        """Whether something is drawn from such weights, so that they have sampling settings."""
        return self in (Kind.SAMPLER, Kind.MOLECULE_SAMPLER)


def _is_number(value: object) -> bool:
    """Whether it is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class SamplingSettings:
    """How crystals are drawn from a model by default.

    Args:
        steps: Steps of the time plan.
        symmetric_steps: Steps where crystals are held on the sites of a space group, which leave
            fewer numbers to find; None takes `steps`.
        solver: Name of a registered solver: "ancestral", "end-back", "euler", "heun".
        start: First time of the plan; None means 0.99, or 1 for the full number of steps.
        corrections: Size of the corrector step by component; empty for none.
        velocity_annealing: Speed-up of deterministic solvers near the data by component: a step
            from t to s brings the component to t - (t - s)(1 + a (1 - t)).
        noise: Standard deviation of the noise that the solver "end-back" draws states with; below 1
            they lie closer to their estimates than by their law.
        species_temperature: Divides the logarithms of species' probabilities; below 1 sharpens.
        excluded_classes: Classes of species whose probability the temperature leaves alone.
        atom_count_prior: Weight of each number of atoms, for 0, 1, ...; None leaves the model's.
        closest_approach: Share of the sum of covalent radii that atoms are kept apart by; None
            leaves them where the model puts them.
        scaffolds: Name of the model that proposes space groups and sites for compositions, on which
            crystals are then held; None for the plain method.
        known_sites: Name of the library of known crystals on whose sites new ones are held, unless
            something else is asked for; None for the plain method.
        spare_sites: Odds of 0, 1, 2, … sites beside those; None takes those of the training.

    Raises:
        InputError: If a number makes no sense.
    """

    steps: int = 200
    symmetric_steps: int | None = None
    solver: str = "ancestral"
    start: float | None = None
    corrections: Mapping[str, float] = field(default_factory=dict)
    velocity_annealing: Mapping[str, float] = field(default_factory=dict)
    noise: float = 1.0
    species_temperature: float = 1.0
    excluded_classes: tuple[int, ...] = ()
    atom_count_prior: tuple[float, ...] | None = None
    closest_approach: float | None = None
    scaffolds: str | None = None
    known_sites: str | None = None
    spare_sites: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        arguments.positive("steps", self.steps)
        if self.symmetric_steps is not None:
            arguments.positive("symmetric_steps", self.symmetric_steps)
        for name in ("start", "noise", "species_temperature", "closest_approach"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a number above 0, got {value!r}.")
        if self.start is not None and self.start > 1:
            raise InputError(f"start must be a time of at most 1, got {self.start!r}.")

    @property
    def on_sites(self) -> "SamplingSettings":
        """These settings where crystals are held on the sites of a space group."""
        if self.symmetric_steps is None:
            return self
        return replace(self, steps=self.symmetric_steps)

    @staticmethod
    def of(entries: Mapping[str, Any]) -> "SamplingSettings":
        """Settings from the entries of a card.

        Raises:
            InputError: If an entry is not known; the message names the one that was probably meant.
        """
        known = [f.name for f in fields(SamplingSettings)]
        for name in entries:
            if name not in known:
                hint = did_you_mean(name, known, 1)
                raise InputError(
                    f"There is no sampling setting {name!r}.{hint} Known: {', '.join(known)}."
                )
        values = dict(entries)
        for name in ("start", "noise", "species_temperature", "closest_approach"):
            if values.get(name) is not None and not _is_number(values[name]):
                raise InputError(f"{name} must be a number above 0, got {values[name]!r}.")
        for name in ("corrections", "velocity_annealing"):
            sizes = values.get(name, {})
            if not isinstance(sizes, Mapping) or not all(map(_is_number, sizes.values())):
                raise InputError(f"{name} must be numbers by component, got {sizes!r}.")
        for name in ("excluded_classes", "atom_count_prior", "spare_sites"):
            if values.get(name) is not None:
                values[name] = tuple(values[name])
        return SamplingSettings(**values)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without those that are as by default."""
        default = asdict(SamplingSettings())
        plain = {n: v for n, v in asdict(self).items() if n == "steps" or v != default[n]}
        return {n: list(v) if isinstance(v, tuple) else v for n, v in plain.items()}


@dataclass(frozen=True)
class Card:
    """What is known about a set of weights; the whole of `card.json`.

    Args:
        name: Registered name of the sampler, potential, predictor or encoder.
        config: The model, as names and numbers.
        sampling: How crystals are drawn by default; None for weights that nothing is drawn from.
        training: Data, steps, time and hardware of the training.
        measured: Numbers, each with the command that gave them.
        elements: Atomic numbers that occurred in training.
        licence: Of the weights.
        sha256: Of `weights.safetensors`.

    """

    name: str
    config: Config
    sampling: SamplingSettings | None
    training: Mapping[str, Any]
    measured: Mapping[str, Any]
    elements: tuple[int, ...]
    licence: str
    sha256: str

    @staticmethod
    def of(entries: Mapping[str, Any]) -> "Card":
        """A card from plain values, as `card.json` holds them in today's format.

        Args:
            entries: The fields; `sampling` may be settings or a mapping of them.

        Raises:
            InputError: If a sampling setting is not known or makes no sense.
            CheckpointError: If entries are missing or not known, or the kind of the weights is not.
        """
        known = {f.name for f in fields(Card)}
        if known != set(entries):
            raise CheckpointError(
                f"the card must have the entries {sorted(known)}; missing: "
                f"{sorted(known - set(entries))}, not known: {sorted(set(entries) - known)}."
            )
        values = {**entries, "elements": tuple(entries["elements"]), "sampling": None}
        card = Card(**values)
        given = entries["sampling"]
        if not card.kind.draws or given is None:
            return card
        settings = given if isinstance(given, SamplingSettings) else SamplingSettings.of(given)
        return replace(card, sampling=settings)

    @property
    def kind(self) -> Kind:
        """What the weights are."""
        value = self.config.get("kind", Kind.SAMPLER)
        try:
            return Kind(value)
        except ValueError:
            raise CheckpointError(
                f"The card of {self.name} is of the kind {value!r}, which this version does not "
                f"know; known: {', '.join(Kind)}. Install a matching release."
            ) from None

    @property
    def version(self) -> str:
        """The first digits of the weights' digest: names them in results."""
        return self.sha256[:12]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `card.json` holds them."""
        sampling = {} if self.sampling is None else self.sampling.as_dict()
        entries = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"format": FORMAT, **entries, "sampling": sampling, "elements": list(self.elements)}


#: Names that sampling settings had in format 1.
_RENAMED = {
    "hurry": "velocity_annealing",
    "species_spared": "excluded_classes",
    "atom_count_odds": "atom_count_prior",
}


def upgrade(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a card of any earlier format in today's.

    Format 1 had other names for three sampling settings, kept the fraction of `closest_approach` in
    a dictionary and gave weights that nothing is drawn from settings, too.

    Args:
        content: Of a `card.json`, with its `format`.

    Raises:
        CheckpointError: If it is of a later format.
    """
    version = content.get("format")
    if version == FORMAT:
        return dict(content)
    if version != 1:
        raise CheckpointError(
            f"it has format {version}; this version reads formats 1 to {FORMAT}. Install a "
            "matching release."
        )
    sampling = {_RENAMED.get(n, n): v for n, v in content["sampling"].items()}
    if isinstance(sampling.get("closest_approach"), Mapping):
        sampling["closest_approach"] = sampling["closest_approach"]["fraction"]
    return {**content, "format": FORMAT, "sampling": sampling}
