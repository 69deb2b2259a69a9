"""Populations without a loop: several candidates for each crystal, one of which is drawn by its
weight.
"""

from dataclasses import replace

import torch

from ase_crysdiff.conditions.population import Steering, steering_of
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.answers import turns
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler


def sample(sampler: Sampler, request: SampleRequest, streams: Streams) -> Sampled:
    """What a sampler draws, chosen among a population where the request steers and the sampler does
    not resample by itself.
    """
    steering = steering_of(request.conditions)
    if steering is None or sampler.steers(request):
        return sampler.sample(request, streams)
    others = tuple(c for c in request.conditions if c is not steering)
    plain = replace(request, conditions=others)
    drawn = sampler.sample(plain, particles(streams, steering, turns(request)))
    return drawn.select(chosen(drawn.crystals, steering, streams))


def chosen(crystals: CrystalBatch, steering: Steering, streams: Streams) -> list[int]:
    """One candidate for each stream, as often as its weight says.

    Args:
        crystals: Candidates, those for one stream next to each other; an empty one is never chosen
            before another.
        steering: Weighs them.
        streams: Of what is drawn.
    """
    logs = steering.log_weights(crystals)
    draw = streams.rng("steering", 0, [1] * len(streams), torch.device("cpu"), torch.float64)
    found: list[int] = steering.chosen(logs, draw.uniform(1)[:, 0]).tolist()
    return found


def particles(streams: Streams, steering: Steering, turns: int = 1) -> Streams:
    """The streams of all candidates, those of one crystal next to each other.

    Args:
        streams: Of the crystals.
        steering: How many candidates each has.
        turns: How many different contents take turns by the number of a crystal.
    """
    count = steering.population
    indices = [
        ((index // turns) * count + k) * turns + index % turns
        for index in streams.indices
        for k in range(count)
    ]
    attempts = streams.attempts and tuple(a for a in streams.attempts for _ in range(count))
    return Streams(streams.seed, tuple(indices), attempts)
