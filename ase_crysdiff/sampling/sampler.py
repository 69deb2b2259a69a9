"""What a sampler is: the base of ours and of those in other packages."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.properties import Property, Wish
from ase_crysdiff.errors import IncompatibleError, SamplingError
from ase_crysdiff.models.card import Card
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.acceptance import rejection
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.symmetry_wishes import check_symmetry
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.wishes import beyond_training, check_wishes


@dataclass(frozen=True)
class Sampled:
    """What a sampler has drawn.

    Args:
        crystals: One per stream, in the order of the streams; one may be empty, and is drawn again.
        properties: What else is to be said of each crystal, by name of the property that the
            structure gets (`crysdiff_` is put before it): one plain value per crystal.
        failures: Why there is no crystal, by its place, where drawing again would not help; an
            empty one stands in its place.

    Raises:
        SamplingError: If a property has not one value per crystal.
    """

    crystals: CrystalBatch
    properties: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    failures: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.properties.items():
            if len(values) != len(self.crystals):
                raise SamplingError(
                    f"The property {name!r} has {len(values)} values for {len(self.crystals)} "
                    "crystals; a sampler must give one for each."
                )

    def select(self, places: Sequence[int]) -> "Sampled":
        """The crystals at these places, in this order, with all that is said of them."""
        return Sampled(
            self.crystals.select(list(places)),
            {name: [values[i] for i in places] for name, values in self.properties.items()},
            {k: self.failures[i] for k, i in enumerate(places) if i in self.failures},
        )


class Sampler(ABC):
    """Draws crystals. Only `sample` must be written.

    Plugins register a callable `(weights, device) -> Sampler` in the group `ase_crysdiff.samplers`.
    """

    #: Of the weights, if there are some.
    card: Card | None = None
    #: What may be asked for; everything else is refused before `sample` is called.
    capabilities: Capabilities = Capabilities(tasks=frozenset({DeNovo}))
    #: Name in messages where there is no card; the registered name if it is not set.
    label: str = ""
    #: What to do about properties that it cannot be told, for messages.
    remedy: ClassVar[str] = (
        "A predictor can steer it: conditions=[PropertySteering(...)]; miad, dao-g and dao-g-flow "
        "can be taught a property: .finetune(...)."
    )

    @property
    def name(self) -> str:
        """Name in messages."""
        return (self.label or "this sampler") if self.card is None else self.card.name

    def card_for(self, request: SampleRequest) -> Card | None:
        """The card of the weights that serve a request: a sampler may choose among several."""
        return self.card

    def served_by(self, request: SampleRequest) -> str | None:
        """Registered name of another sampler to which this one leaves a request; None if it serves
        it itself.
        """
        return None

    def properties_for(self, request: SampleRequest) -> Mapping[str, Property]:
        """What may be wished of properties in a request, by name: what it was conditioned on, but
        for what predictors serve better.
        """
        return self.capabilities.properties

    def wishes_for(self, request: SampleRequest) -> Mapping[str, Wish]:
        """What it wishes of properties, by name, where a request wishes nothing."""
        return {}

    def check(self, request: SampleRequest) -> None:
        """Refuses a request that this sampler cannot serve, by its capabilities.

        Raises:
            IncompatibleError: If the request is sound but not for this sampler.
            InputError: If a number or an element is outside what the sampler knows.
        """
        if not self.capabilities.serves(request.task):
            raise IncompatibleError(f"{self.name!r} cannot {request.task.verb}.")
        request.task.check(self.name, self.capabilities)
        if request.lattice is not None and "lattice" not in self.capabilities.constraints:
            raise IncompatibleError(f"{self.name!r} cannot keep a given lattice.")
        check_symmetry(request, self.name, self.capabilities)
        if request.known is not None and "known" not in self.capabilities.constraints:
            raise IncompatibleError(
                f"{self.name!r} holds no library of known crystals, which known= is about."
            )
        check_wishes(request, self.name, self.capabilities.properties, self.remedy)

    def doubts(self, request: SampleRequest) -> list[str]:
        """What to warn of before a request that can be served: one sentence for each wish and kind
        of content that the sampler has hardly learnt from.
        """
        return beyond_training(request, self.properties_for(request))

    def steers(self, request: SampleRequest) -> bool:
        """Whether it serves a steering by itself, with a population of its own for each crystal;
        otherwise whole crystals are drawn and weighed, see `sampling.steered`.
        """
        return False

    def is_deterministic(self, request: SampleRequest) -> bool:
        """Whether crystals hang on their number in the run alone, not on the seed."""
        return isinstance(request.task, tuple(self.capabilities.deterministic))

    def evaluations(self, request: SampleRequest) -> int | None:
        """Network evaluations per draw; None if that is not known."""
        return None

    def rejection(self, crystal: CrystalBatch, request: SampleRequest) -> str | None:
        """Why a crystal that was drawn, a batch of one, is drawn again; None hands it out."""
        return rejection(crystal, request)

    @abstractmethod
    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        """One crystal per stream, in the order of the streams.

        Every crystal depends on its own stream only, so that batches and workers change nothing.

        Args:
            request: One that `check` has accepted.
            streams: Random numbers.

        Raises:
            IncompatibleError: If this sampler cannot serve the request.
        """
