"""Several samplers as one: each request is served by the first that can."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from ase_crysdiff.errors import CheckpointError, IncompatibleError
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
        tasks: Classes of tasks that are served at all.
        names: Of the samplers, in the order of preference.
        load: The sampler of a name; raises CheckpointError where there are no weights.
        refusal: What to say of a request for another task.
    """

    def __init__(
        self,
        label: str,
        tasks: Sequence[type[Task]],
        names: Sequence[str],
        load: Callable[[str], Sampler],
        refusal: str,
    ) -> None:
        self._label, self.tasks, self.names = label, tuple(tasks), tuple(names)
        self._load, self._refusal = load, refusal
        self._chosen: tuple[SampleRequest, Sampler] | None = None

    @property
    def name(self) -> str:
        return self._label

    @cached_property
    def _found(self) -> tuple[Mapping[str, Sampler], Mapping[str, str]]:
        """Samplers that are there, and why others are not."""
        found, absent = {}, {}
        for name in self.names:
            try:
                found[name] = self._load(name)
            except CheckpointError as error:
                if len(self.names) == 1:
                    raise
                absent[name] = f"{name!r} has no weights yet ({str(error).split('.')[0]})"
        return found, absent

    @cached_property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        """What one of the samplers can be asked for."""
        several = [s.capabilities for s in self._found[0].values()]
        sizes = [c.max_atoms for c in several]
        known = [c.known_elements for c in several]
        return Capabilities(
            tasks=frozenset(self.tasks),
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

    def sampler_for(self, request: SampleRequest) -> Sampler:
        """The sampler that serves a request.

        Raises:
            IncompatibleError: If none can; the message gives the reason of each.
        """
        if self._chosen is not None and self._chosen[0] is request:
            return self._chosen[1]
        if not isinstance(request.task, self.tasks):
            raise IncompatibleError(self._refusal)
        found, absent = self._found
        reasons = []
        for name in self.names:
            if name in absent:
                reasons.append(absent[name])
                continue
            try:
                found[name].check(request)
            except IncompatibleError as error:
                reasons.append(str(error).rstrip("."))
            else:
                self._chosen = (request, found[name])
                return found[name]
        raise IncompatibleError(f"No model can {request.task.verb}: {'; '.join(reasons)}.")

    def check(self, request: SampleRequest) -> None:
        self.sampler_for(request)

    def card_for(self, request: SampleRequest) -> Card | None:
        return self.sampler_for(request).card_for(request)

    def evaluations(self, request: SampleRequest) -> int | None:
        return self.sampler_for(request).evaluations(request)

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        return self.sampler_for(request).sample(request, streams)
