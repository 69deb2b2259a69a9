"""On which symmetric sites the crystals of a request are held, whoever chooses them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.answers import Asked, turns
from ase_crysdiff.sampling.known_sites import KnownSites
from ase_crysdiff.sampling.proposals import Proposals
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.scaffolds import chosen_scaffolds
from ase_crysdiff.sampling.tasks.base import ModelWithCard
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.decisions import MAX_ELEMENTS
from ase_crysdiff.symmetry.scaffold import Scaffold


@dataclass(frozen=True)
class Sites:
    """Where the atoms of crystals lie.

    Args:
        scaffolds: One for each crystal. Where the elements are to be found they are labels, equal
            for sites of one element.
        vacant: Whether the model may leave sites empty.
    """

    scaffolds: Sequence[Scaffold]
    vacant: bool = False


class SiteChooser:
    """Chooses sites by what a request says, else by those who know: a model that proposes them for
    compositions, a library whose sites new crystals take.

    Args:
        subject: The model that the crystals are drawn from.
        proposals: Gives what proposes scaffolds for compositions, at first use; None for nobody.
        known_sites: Gives the sites of known crystals, at first use; None for nobody.
    """

    def __init__(
        self,
        subject: ModelWithCard,
        proposals: Callable[[], Proposals] | None = None,
        known_sites: Callable[[], KnownSites] | None = None,
    ) -> None:
        self.subject = subject
        self._load_proposals, self._load_known_sites = proposals, known_sites

    @property
    def has_library(self) -> bool:
        """Whether known crystals are among what is proposed for compositions."""
        return self._load_proposals is not None

    def chooses(self, request: SampleRequest) -> bool:
        """Whether crystals of a request are held on sites."""
        return request.symmetric or self._proposes(request) or self._knows(request)

    def choose(self, request: SampleRequest, streams: Streams) -> Sites | None:
        """The sites of one crystal for each stream; None leaves them open.

        Raises:
            IncompatibleError: If no cell has the sites that are asked for.
        """
        if self._proposes(request):
            asked = [Asked.of(request, i, self.subject.max_atoms) for i in streams.indices]
            numbers = [index // turns(request) for index in streams.indices]
            pairs = zip(asked, numbers, strict=True)
            return Sites([self._proposals.in_turn(one, number) for one, number in pairs])
        if self._knows(request) and (known := self._known(request, streams)):
            return known
        if request.symmetric:
            return Sites(chosen_scaffolds(request, self.subject, streams))
        return None

    def _known(self, request: SampleRequest, streams: Streams) -> Sites | None:
        """Sites of known crystals with some that may stay empty; None if no crystal has such."""
        task, group, known = request.task, request.space_group, self._known_sites
        assert isinstance(task, DeNovo)
        every = [known.scaffold(task, group, streams.take([i])) for i in range(len(streams))]
        found = [scaffold for scaffold in every if scaffold is not None]
        return Sites(found, vacant=task.num_atoms is None) if len(found) == len(every) else None

    def _proposes(self, request: SampleRequest) -> bool:
        """Whether scaffolds are proposed for what is asked."""
        task = request.task
        if not isinstance(task, CSP) or request.prototype is False or request.lattice is not None:
            return False
        return self.has_library and max(map(len, task.compositions)) <= MAX_ELEMENTS

    def _knows(self, request: SampleRequest) -> bool:
        """Whether new crystals take the sites of known ones."""
        left_open = request.prototype is None and request.lattice is None
        return isinstance(request.task, DeNovo) and left_open and self._load_known_sites is not None

    @cached_property
    def _proposals(self) -> Proposals:
        assert self._load_proposals is not None
        return self._load_proposals()

    @cached_property
    def _known_sites(self) -> KnownSites:
        assert self._load_known_sites is not None
        return self._load_known_sites()
