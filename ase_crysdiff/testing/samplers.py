"""What every sampler must satisfy; authors of new ones run the same checks.

Each check takes a sampler and a request that it serves, and raises AssertionError with what
disagrees:

    for name, check in CHECKS.items():
        check(MySampler(), SampleRequest(CSP(cells=(((22, 1), (8, 2)),))))
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.tasks.base import Task

#: Crystals that are drawn for a check.
COUNT = 4


class _Foreign(Task):
    """A task that no sampler knows."""

    verb = "do what nobody does"

    def contents(self, model: object, streams: Streams) -> object:  # type: ignore[override]
        raise AssertionError("a sampler was given a task that it does not declare")


def it_is_a_sampler(sampler: Sampler, request: SampleRequest) -> None:
    """It derives from `Sampler`, and declares what it can do."""
    assert isinstance(sampler, Sampler), f"{type(sampler).__name__} does not derive from Sampler"
    assert isinstance(sampler.capabilities, Capabilities), "capabilities are not declared"
    sampler.check(request)
    told = sampler.evaluations(request)
    assert told is None or told >= 0, f"{told} network evaluations"


def one_crystal_per_stream(sampler: Sampler, request: SampleRequest) -> None:
    """As many crystals come as streams, with finite numbers and known elements."""
    sampled = sampler.sample(request, _streams())
    assert isinstance(sampled, Sampled), f"sample returns a {type(sampled).__name__}, not Sampled"
    crystals = sampled.crystals
    assert len(crystals) == COUNT, f"{len(crystals)} crystals for {COUNT} streams"
    assert crystals.lattice.device.type == "cpu", "crystals are handed out on the CPU"
    for name in ("lattice", "frac_coords"):
        assert bool(torch.isfinite(getattr(crystals, name)).all()), f"{name} is not finite"
    if len(crystals.species):
        low, high = int(crystals.species.min()), int(crystals.species.max())
        assert low >= 1, "a crystal holds a vacancy: leave such rows out"
        assert high < 100, f"atomic number {high}"


def seeds_are_obeyed(sampler: Sampler, request: SampleRequest) -> None:
    """The same streams give the same crystals, other streams others, but for a sampler that says
    that its crystals hang on no seed.
    """
    first, again = (sampler.sample(request, _streams()).crystals for _ in range(2))
    _same(first, again, "drawn twice from the same streams")
    if sampler.is_deterministic(request):
        return
    other = sampler.sample(request, _streams(seed=99)).crystals
    alike = len(first.frac_coords) == len(other.frac_coords)
    assert not alike or not torch.equal(first.frac_coords, other.frac_coords), (
        "another seed gives the same crystals"
    )


def batches_change_nothing(sampler: Sampler, request: SampleRequest) -> None:
    """A crystal drawn alone is the one that it is in a batch."""
    whole = sampler.sample(request, _streams()).crystals
    for i in (0, COUNT - 1):
        alone = sampler.sample(request, _streams().take([i])).crystals
        _same(whole.select([i]), alone, f"number {i} alone", limit=1e-4)


def what_is_not_declared_is_refused(sampler: Sampler, request: SampleRequest) -> None:
    """Tasks and properties that are not among the capabilities raise IncompatibleError."""
    wrong = {
        "a foreign task": SampleRequest(_Foreign()),
        "a foreign property": replace(request, properties={"nobody's property": 1.0}),
    }
    for what, asked in wrong.items():
        try:
            sampler.check(asked)
        except IncompatibleError:
            continue
        raise AssertionError(f"{what} is not refused")


CHECKS: Mapping[str, Callable[[Sampler, SampleRequest], None]] = {
    check.__name__: check
    for check in (
        it_is_a_sampler,
        one_crystal_per_stream,
        seeds_are_obeyed,
        batches_change_nothing,
        what_is_not_declared_is_refused,
    )
}


def _streams(seed: int = 3) -> Streams:
    return Streams(seed, tuple(range(COUNT)))


def _same(first: CrystalBatch, second: CrystalBatch, what: str, limit: float = 0.0) -> None:
    assert torch.equal(first.num_atoms, second.num_atoms), f"{what}: other numbers of atoms"
    assert torch.equal(first.species, second.species), f"{what}: other species"
    lattice = float((first.lattice - second.lattice).abs().max())
    away = first.frac_coords - second.frac_coords
    places = float((away - away.round()).abs().max()) if len(away) else 0.0
    assert max(lattice, places) <= limit, f"{what}: off by {lattice:.2g} Å and {places:.2g}"
