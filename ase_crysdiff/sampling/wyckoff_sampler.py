"""Crystals that are symmetric by construction: a scaffold from a model and a library, then its free
numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.models.card import Card
from ase_crysdiff.prototypes.retrieval import candidates
from ase_crysdiff.prototypes.symmetry import Symmetry
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.answers import (
    Asked,
    Drawn,
    batch_of,
    said_of,
    turns,
    wished_in,
)
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.model_sampler import ModelSampler
from ase_crysdiff.sampling.proposals import Proposal, Proposals
from ase_crysdiff.sampling.prototype_sampler import PrototypeSampler
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.symmetry.decisions import MAX_ELEMENTS, hull_class
from ase_crysdiff.symmetry.scaffold import Scaffold

#: Compositions whose proposals are remembered.
_REMEMBERED = 1024


@dataclass
class _Ranking:
    """Proposals for a composition, and those of them that were looked at and are sound."""

    proposals: list[Proposal]
    sound: list[Drawn] = field(default_factory=list)
    looked_at: int = 0


class WyckoffSampler(Sampler):
    """Draws a space group and occupied sites, then cell and free coordinates: those of a template
    where the library has the arrangement, else from a generative model that is held on the sites.

    For a composition draw i is the proposal of rank i; after the last one they come again, with
    other free numbers. New crystals get their contents from the library's templates with exchanged
    elements, and their scaffold from the model.

    Args:
        proposals: Scaffolds for compositions.
        card: Of the weights of the model of scaffolds.
        geometry: Draws crystals on scaffolds, for given species.
        known: Draws from the library.
    """

    card: Card

    def __init__(
        self, proposals: Proposals, card: Card, geometry: ModelSampler, known: PrototypeSampler
    ) -> None:
        self.proposals, self.card, self.geometry, self.known = proposals, card, geometry, known
        self.hull = hull_class(float(card.config.get("hull", "nan")))
        self.temperature = float(card.config.get("temperature", 1.0))
        self.capabilities = Capabilities(
            tasks=known.capabilities.tasks,
            constraints=known.capabilities.constraints,
            max_atoms=min(int(card.config["max_atoms"]), geometry.subject.max_atoms),
            known_elements=frozenset(card.elements)
            & frozenset(geometry.card.elements)
            & known.library.elements,
        )
        self._ranking = lru_cache(maxsize=_REMEMBERED)(self._ranked)

    def evaluations(self, request: SampleRequest) -> int:
        return self.geometry.evaluations(request)

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        self.check(request)
        predicts = isinstance(request.task, CSP)
        found: list[Drawn | str] = (
            [self._predicted(request, index) for index in streams.indices]
            if predicts
            else self._new(request, streams)
        )
        if request.conditions:  # They act on a loop, which a template does without.
            found = [
                d if isinstance(d, str) else Drawn(d.scaffold, None, None, d.log_votes)
                for d in found
            ]
        open_ = {
            i: one.scaffold
            for i, one in enumerate(found)
            if isinstance(one, Drawn) and one.crystal is None
        }
        parts = batch_of(found).split()
        if open_:
            drawn = self.geometry.sample_on(
                list(open_.values()),
                SampleRequest(conditions=request.conditions, steps=request.steps),
                streams.take(list(open_)),
            )
            for place, crystal in zip(open_, drawn.crystals.split(), strict=True):
                parts[place] = crystal
        ranks = [i // turns(request) for i in streams.indices] if predicts else None
        return Sampled(CrystalBatch.cat(parts), said_of(found, ranks))

    def _predicted(self, request: SampleRequest, index: int) -> Drawn:
        """The proposal whose turn it is."""
        rank, number = divmod(index, turns(request))
        ranking = self._ranking(Asked.of(request, number, self.capabilities.max_atoms or 1))
        proposals = ranking.proposals
        most = max(one.log_probability for one in proposals)
        while len(ranking.sound) <= rank and ranking.looked_at < len(proposals):
            proposal = proposals[ranking.looked_at]
            ranking.looked_at += 1
            votes = 0.0 if proposal.known else proposal.log_probability - most
            drawn: Drawn | None = Drawn(proposal.scaffold, log_votes=votes)
            if proposal.template is not None:
                drawn = Drawn.of(proposal.template, self.known.library, votes)
            if drawn is not None:
                ranking.sound.append(drawn)
        if rank < len(ranking.sound):
            return ranking.sound[rank]
        again = proposals[rank % len(proposals)]
        return Drawn(again.scaffold, log_votes=again.log_probability - most)

    def _ranked(self, asked: Asked) -> _Ranking:
        return _Ranking(self.proposals.ranked(asked))

    def _new(self, request: SampleRequest, streams: Streams) -> list[Drawn | str]:
        """Scaffolds of new crystals: contents by the library, then sites by the model."""
        found = [
            self.known.templates.crystal(request, wished_in(request, index), streams.take([i]))
            for i, index in enumerate(streams.indices)
        ]
        if request.prototypes:
            return found
        able = {
            i: one.scaffold
            for i, one in enumerate(found)
            if isinstance(one, Drawn) and len(one.scaffold.counts) <= MAX_ELEMENTS
        }
        part = streams.take(list(able))

        def uniform(decision: int) -> Sequence[float]:
            device = torch.device("cpu")
            rng = part.rng("scaffold", decision, [1] * len(part), device, torch.float32)
            return rng.uniform(1)[:, 0].tolist()

        group = request.space_group
        drafts = self.proposals.decoder.draw(
            [scaffold.counts for scaffold in able.values()],
            uniform,
            groups=None if group is None else frozenset({group}),
            temperature=self.temperature,
            hull=self.hull,
        )
        for (i, before), drawn in zip(able.items(), drafts, strict=True):
            scaffold = drawn.scaffold.canonical()
            if scaffold != before.canonical():
                found[i] = self._template(scaffold) or Drawn(scaffold)
        return found

    def _template(self, scaffold: Scaffold) -> Drawn | None:
        """The crystal of the library with this arrangement that has the most votes."""
        library = self.known.library
        choice = Symmetry(library, None, scaffold)
        contents = tuple(scaffold.counts.items())
        for candidate in candidates(library, [contents], self.known.vote, choice=choice):
            drawn = Drawn.of(candidate, library)
            if drawn is not None and drawn.scaffold.canonical() == scaffold:
                return drawn
        return None
