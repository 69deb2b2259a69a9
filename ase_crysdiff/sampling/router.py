"""Several samplers as one: each request is served by the first that can."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain

from ase_crysdiff.crystal.properties import Property, Wish
from ase_crysdiff.errors import CheckpointError, IncompatibleError, InputError
from ase_crysdiff.models.card import Card
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.tasks.base import Task


class Router(Sampler):
    """Chooses among samplers, in the order of preference. Their weights are read at first use.

    Args:
        label: Name in messages.
        names: Of the samplers in the order of preference, by the class of the task.
        load: The sampler of a name; raises CheckpointError where there are no weights.
        refusal: What to say of a request for another task.
        wishes: What is wished of properties, by name, in a request that wishes nothing and that the
            sampler of a name serves.
    """

    def __init__(
        self,
        label: str,
        names: Mapping[type[Task], Sequence[str]],
        load: Callable[[str], Sampler],
        refusal: str,
        wishes: Callable[[SampleRequest, str], Mapping[str, Wish]] = lambda request, name: {},
    ) -> None:
        self._label, self.names = label, dict(names)
        self._load, self._refusal, self._wishes = load, refusal, wishes
        self._found: dict[str, Sampler | str] = {}
        self._chosen: tuple[SampleRequest, str, Sampler] | None = None

    @property
    def name(self) -> str:
        return self._label

    def _sampler(self, name: str) -> Sampler | str:
        """The sampler of a name, or why there is none."""
        if name not in self._found:
            try:
                self._found[name] = self._load(name)
            except CheckpointError as error:
                if {name} == set(chain.from_iterable(self.names.values())):
                    raise
                reason = str(error).split(".")[0]
                self._found[name] = f"{name!r} has no weights yet ({reason})"
        return self._found[name]

    def _samplers(self, names: Iterable[str]) -> list[Sampler]:
        """Those of the samplers of these names that are there, each once."""
        several = (self._sampler(name) for name in dict.fromkeys(names))
        return [one for one in several if not isinstance(one, str)]

    def _names(self, request: SampleRequest) -> Sequence[str]:
        """Who may serve a request, in the order of preference.

        Raises:
            IncompatibleError: If its task is none of those that are served.
        """
        for task, names in self.names.items():
            if isinstance(request.task, task):
                return names
        raise IncompatibleError(self._refusal)

    @cached_property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        """What one of the samplers can be asked for."""
        several = [s.capabilities for s in self._samplers(chain(*self.names.values()))]
        sizes = [c.max_atoms for c in several]
        known = [c.known_elements for c in several]
        return Capabilities(
            tasks=frozenset(self.names),
            constraints=frozenset().union(*(c.constraints for c in several)),
            properties={n: one for c in reversed(several) for n, one in c.properties.items()},
            max_atoms=None
            if None in sizes
            else max((n for n in sizes if n is not None), default=0),
            known_elements=None
            if None in known
            else frozenset().union(*(k for k in known if k is not None)),
            finds_species=any(c.finds_species for c in several),
            finds_counts=any(c.finds_counts for c in several),
        )

    def properties_for(self, request: SampleRequest) -> Mapping[str, Property]:
        several = reversed(self._samplers(self._names(request)))
        return {n: p for one in several for n, p in one.properties_for(request).items()}

    def wishes_for(self, request: SampleRequest) -> Mapping[str, Wish]:
        try:
            return self._wishes(request, self.served_by(request))
        except InputError:  # nobody serves it, which `check` says
            return {}

    def _choice(self, request: SampleRequest) -> tuple[str, Sampler]:
        """Name and sampler that serve a request.

        Raises:
            IncompatibleError: If none can; the message gives the reason of each.
            InputError: If all refuse it as beyond what they know; the first says why.
        """
        if self._chosen is not None and self._chosen[0] is request:
            return self._chosen[1:]
        reasons: list[str] = []
        refusals: list[InputError] = []
        for name in self._names(request):
            one = self._sampler(name)
            if isinstance(one, str):
                reasons.append(one)
                continue
            try:
                one.check(request)
            except InputError as error:
                refusals.append(error)
                reasons.append(str(error).rstrip("."))
            else:
                self._chosen = (request, name, one)
                return name, one
        if refusals and not any(isinstance(error, IncompatibleError) for error in refusals):
            raise refusals[0]
        raise IncompatibleError(f"No model can {request.task.verb}: {_in_one(reasons)}.")

    def sampler_for(self, request: SampleRequest) -> Sampler:
        """The sampler that serves a request.

        Raises:
            IncompatibleError: If none can; the message gives the reason of each.
        """
        return self._choice(request)[1]

    def served_by(self, request: SampleRequest) -> str:
        return self._choice(request)[0]

    def check(self, request: SampleRequest) -> None:
        self.sampler_for(request)

    def card_for(self, request: SampleRequest) -> Card | None:
        return self.sampler_for(request).card_for(request)

    def doubts(self, request: SampleRequest) -> list[str]:
        return self.sampler_for(request).doubts(request)

    def steers(self, request: SampleRequest) -> bool:
        return self.sampler_for(request).steers(request)

    def is_deterministic(self, request: SampleRequest) -> bool:
        return self.sampler_for(request).is_deterministic(request)

    def evaluations(self, request: SampleRequest) -> int | None:
        return self.sampler_for(request).evaluations(request)

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        return self.sampler_for(request).sample(request, streams)


def _in_one(reasons: Sequence[str]) -> str:
    """Reasons of several samplers; the sentences that all of them end with are said once."""
    several = [reason.split(". ") for reason in reasons]
    same = 0
    while all(len(one) > same + 1 and one[-1 - same] == several[0][-1 - same] for one in several):
        same += 1
    ends = several[0][len(several[0]) - same :] if len(several) > 1 else []
    own = "; ".join(". ".join(one[: len(one) - len(ends)]) for one in several)
    return ". ".join([own, *ends])
