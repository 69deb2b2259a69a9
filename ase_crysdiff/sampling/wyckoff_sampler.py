"""Crystals that are symmetric by construction: a scaffold from a model and a library, then its free
numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from ase_crysdiff.conditions.population import Steering, steering_of
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.properties import Property, declared
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Card
from ase_crysdiff.networks.scaffolds.partial import check_elements
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.answers import (
    Answers,
    Asked,
    Drawn,
    batch_of,
    hull_wish,
    said_of,
    turns,
)
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.model_sampler import ModelSampler
from ase_crysdiff.sampling.proposals import Proposal, Proposals
from ase_crysdiff.sampling.prototype_sampler import PrototypeSampler
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.sites import Sites
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.wishes import window_draws
from ase_crysdiff.symmetry.decisions import ENERGY_ABOVE_HULL, MAX_ELEMENTS
from ase_crysdiff.symmetry.feasible import feasible

#: Compositions whose proposals are remembered.
_REMEMBERED = 1024


class WyckoffSampler(Sampler):
    """Draws a space group and occupied sites, then cell and free coordinates: those of a template
    where the library has the arrangement, else from a generative model that is held on the sites.

    For a composition draw i is the proposal of rank i; after the last one they come again, with
    other free numbers. New crystals get their contents from the library's templates with exchanged
    elements, and then one of the proposals for these, whatever the template was; a steering chooses
    among contents, on their templates.

    Args:
        proposals: Scaffolds for compositions.
        card: Of the weights of the model of scaffolds. Of its config `max_atoms` is the largest
            cell, and `properties` names what the model was conditioned on; for new crystals
            `temperature` divides the logarithms of the probabilities, and `curiosity` is added to
            those of arrangements that the library lacks, and the templates of their contents come
            with `template_odds`, see `Templates`.
        geometry: Draws crystals on scaffolds, for given species.
        known: Draws from the library.
    """

    card: Card

    def __init__(
        self, proposals: Proposals, card: Card, geometry: ModelSampler, known: PrototypeSampler
    ) -> None:
        self.proposals, self.card, self.geometry, self.known = proposals, card, geometry, known
        self.temperature = float(card.config.get("temperature", 1.0))
        self.curiosity = float(card.config.get("curiosity", 0.0))
        self.capabilities = Capabilities(
            tasks=known.capabilities.tasks,
            constraints=known.capabilities.constraints,
            properties=declared(card.config.get("properties")),
            max_atoms=min(int(card.config["max_atoms"]), geometry.subject.max_atoms),
            known_elements=frozenset(card.elements)
            & frozenset(geometry.card.elements)
            & known.library.elements,
        )
        self._answers = lru_cache(maxsize=_REMEMBERED)(self._ranked)

    def properties_for(self, request: SampleRequest) -> Mapping[str, Property]:
        """All for compositions. New crystals get their height above the hull by their contents,
        which predictors choose better than the model chooses sites; so it is left to them, unless
        something else steers already.
        """
        told = self.capabilities.properties
        if isinstance(request.task, CSP) or steering_of(request.conditions) is not None:
            return told
        return {name: one for name, one in told.items() if name != ENERGY_ABOVE_HULL}

    def check(self, request: SampleRequest) -> None:
        if isinstance(request.task, CSP):
            for amounts in request.task.compositions:
                check_elements(dict(amounts))
        super().check(request)
        if isinstance(request.task, DeNovo):
            if request.prototypes and request.properties:
                raise InputError(
                    f"{self.name!r} chooses arrangements by {', '.join(request.properties)}, and a "
                    "prototype leaves none to choose for new crystals. Leave one of the two out."
                )
            self.known.check(self._drafted(request))

    def steers(self, request: SampleRequest) -> bool:
        return isinstance(request.task, DeNovo)

    def evaluations(self, request: SampleRequest) -> int:
        return self.geometry.evaluations_on(True, request)

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        self.check(request)
        predicts = isinstance(request.task, CSP)
        found: list[Drawn | str] = (
            [self._predicted(request, index) for index in streams.indices]
            if predicts
            else self._new(request, streams)
        )
        # What steers has chosen contents; the others act on a loop, which a template does without.
        conditions = tuple(c for c in request.conditions if not isinstance(c, Steering))
        if conditions:
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
                Sites(list(open_.values())),
                SampleRequest(conditions=conditions, steps=request.steps),
                streams.take(list(open_)),
            )
            for place, crystal in zip(open_, drawn.crystals.split(), strict=True):
                parts[place] = crystal
        ranks = [i // turns(request) for i in streams.indices] if predicts else None
        return Sampled(CrystalBatch.cat(parts), said_of(found, ranks))

    def _predicted(self, request: SampleRequest, index: int) -> Drawn:
        """The proposal whose turn it is."""
        rank, number = divmod(index, turns(request))
        proposals, answers = self._answers(
            Asked.of(request, number, self.capabilities.max_atoms or 1)
        )
        found = answers.at(rank)
        if found is not None:
            return found
        return Drawn(proposals[rank % len(proposals)].scaffold)

    def _ranked(self, asked: Asked) -> tuple[list[Proposal], Answers[Drawn]]:
        proposals = self.proposals.ranked(asked)
        most = max(one.log_probability for one in proposals)

        def made(one: Proposal) -> Drawn | None:
            votes = 0.0 if one.known else one.log_probability - most
            if one.template is None:
                return Drawn(one.scaffold, log_votes=votes)
            return Drawn.of(one.template, self.known.library, votes, asked.held)

        return proposals, Answers(map(made, proposals), len(proposals))

    def _new(self, request: SampleRequest, streams: Streams) -> list[Drawn | str]:
        """New crystals: contents by exchange in the library, then sites by library and model."""
        drafted, group = self._drafted(request), request.space_group
        found = self.known.templates.crystals(drafted, streams)
        if request.prototypes:
            return found
        draws = streams.rng("scaffold", 0, [1] * len(streams), torch.device("cpu"), torch.float64)
        wish = request.properties.get(ENERGY_ABOVE_HULL)
        energies = window_draws(ENERGY_ABOVE_HULL, wish, streams)
        several: dict[int, Asked] = {}
        for i, one in enumerate(found):
            if isinstance(one, str) or len(one.scaffold.counts) > MAX_ELEMENTS:
                continue
            counts = one.scaffold.counts
            if group is not None and not feasible(group, list(counts.values())):
                found[i] = "the space group has no sites for what was drawn"
                continue
            cell, known = tuple(counts.items()), bool(request.known)
            several[i] = Asked((cell,), group, None, known, *hull_wish(request, energies[i]))
        proposed = self.proposals.ranked_each(list(several.values()))
        uniform = draws.uniform(1)[:, 0].tolist()
        for (i, asked), proposals in zip(several.items(), proposed, strict=True):
            found[i] = self._chosen(asked, proposals, uniform[i])
        return found

    def _drafted(self, request: SampleRequest) -> SampleRequest:
        """What the library is asked for, so that new crystals know their contents: any space group,
        if it has no crystal of the one that is wished. It knows nothing of properties.
        """
        request = replace(request, properties={}, guidance_weight=1.0)
        task, group = request.task, request.space_group
        if group is None or request.prototypes or not isinstance(task, DeNovo):
            return request
        able = self.known.templates.sums(task, group, None)[-1] > 0
        return request if able else replace(request, space_group=None)

    def _chosen(self, asked: Asked, proposals: Sequence[Proposal], draw: float) -> Drawn:
        """One of the proposals, as often as its probability says."""
        logs = np.array([p.log_probability + self.curiosity * p.new for p in proposals])
        sums = np.exp((logs - logs.max()) / self.temperature).cumsum()
        proposal = proposals[int(np.searchsorted(sums, draw * sums[-1], "right"))]
        if proposal.template is not None:
            drawn = Drawn.of(proposal.template, self.known.library, group=asked.held)
            if drawn is not None:
                return drawn
        return Drawn(proposal.scaffold)
