"""Drawing crystals in batches and rounds: every index until it is accepted or out of attempts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import torch

from ase_crysdiff import registry
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import CrysDiffError, PluginError, SamplingError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.isolation import Failure, Workers, computes_here, opened, run_isolated
from ase_crysdiff.progress import tqdm
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling import steered
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler

#: Seconds of processor time for a batch in a worker process: a day, since large networks are slow.
_BATCH_LIMIT = 86_400.0


@dataclass(frozen=True)
class Attempt:
    """What became of one attempt at one crystal.

    Args:
        index: Number of the crystal.
        attempt: 0 for the first draw.
        crystal: The crystal, a batch of one.
        reason: Why it was rejected; None if it was accepted.
        usage: What conditions with a cost of their own spent on the whole batch; on its first draw
            only.
        properties: What else the sampler says of the crystal, plain values by name.
        final: Whether there is none and drawing again would not help.
    """

    index: int
    attempt: int
    crystal: CrystalBatch
    reason: str | None
    usage: Mapping[str, float] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    final: bool = False


@dataclass(frozen=True)
class SamplerSpec:
    """How a worker process finds the sampler.

    Args:
        name: Registered name.
        weights: Folder with other weights; None takes the shipped ones.
        device: Where to compute, as torch spells it.
        group: Where the name is registered.
    """

    name: str
    weights: str | None
    device: str
    group: str = registry.SAMPLERS

    @own_state()
    def load(self) -> Sampler:
        """The sampler, from the registry.

        Raises:
            PluginError: If what is registered fails or makes no `Sampler`.
        """
        make = registry.load(self.group, self.name)
        try:
            sampler = make(self.weights, self.device)
        except CrysDiffError:
            raise
        except Exception as error:  # of a third party's code, so it may be anything
            raise PluginError(
                f"The plugin {self.name!r} made no sampler: {type(error).__name__}: {error}. Mend "
                "or remove the package that registers it."
            ) from error
        if not isinstance(sampler, Sampler):
            raise PluginError(
                f"The plugin {self.name!r} makes a {type(sampler).__name__}, not a sampler. Derive "
                "it from ase_crysdiff.sampling.sampler.Sampler, which asks for `sample` alone."
            )
        sampler.label = sampler.label or self.name
        return sampler


def samplers_for(request: SampleRequest) -> list[str]:
    """Names of the installed samplers that can serve a request; broken plugins are passed over."""
    able = []
    for name in registry.names(registry.SAMPLERS):
        if name == registry.DEFAULT:  # which leaves everything to the others
            continue
        try:
            SamplerSpec(name, None, "cpu").load().check(request)
        except CrysDiffError:
            continue
        able.append(name)
    return able


def draw(
    spec: SamplerSpec,
    sampler: Sampler,
    request: SampleRequest,
    seed: int,
    indices: Sequence[int],
    *,
    redraws: int,
    batch_size: int,
    workers: Workers,
    progress: bool | None,
) -> Iterator[list[Attempt]]:
    """The draws of all indices, batch by batch; what is rejected is drawn again up to `redraws`
    times.

    The numbers of a draw depend on (seed, index, attempt) only, so batches and workers change
    nothing.

    Args:
        spec: The sampler, for worker processes.
        sampler: The loaded sampler, which draws in this process.
        request: What is asked for.
        seed: Of all streams.
        indices: Crystals to draw.
        redraws: Further attempts after a rejected one.
        batch_size: Crystals per batch.
        workers: Isolated processes or an executor that compute batches; 0 computes in this one.
        progress: Whether to show a progress bar; None shows one on a terminal.
    """
    pending = [(i, 0) for i in indices]
    bar = tqdm(
        total=len(pending),
        unit=" crystals",
        desc=spec.name,
        disable=None if progress is None else not progress,
        bar_format=(
            "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} crystals [{elapsed}<{remaining}]"
        ),
    )
    rounds = _here if computes_here(workers) else _in_processes
    with bar, opened(workers) as crew:
        while pending:
            rejected: list[tuple[int, int]] = []
            batches = [pending[k : k + batch_size] for k in range(0, len(pending), batch_size)]
            for draws in rounds(spec, sampler, request, seed, batches, crew, bar):
                again = [
                    d for d in draws if d.reason is not None and not d.final and d.attempt < redraws
                ]
                rejected += [(d.index, d.attempt + 1) for d in again]
                bar.n = round(bar.n - len(again), 6)
                bar.refresh()
                yield draws
            pending = sorted(rejected)


def _here(
    spec: SamplerSpec,
    sampler: Sampler,
    request: SampleRequest,
    seed: int,
    batches: list[list[tuple[int, int]]],
    workers: Workers,
    bar: Any,
) -> Iterator[list[Attempt]]:
    for batch in batches:
        before = bar.n

        def show(done: float, before: float = before, batch: list[tuple[int, int]] = batch) -> None:
            bar.n = before + done * len(batch)
            bar.refresh()

        draws = _draw_batch(sampler, replace(request, on_step=show), seed, batch)
        bar.n = before + len(batch)
        yield draws


def _in_processes(
    spec: SamplerSpec,
    sampler: Sampler,
    request: SampleRequest,
    seed: int,
    batches: list[list[tuple[int, int]]],
    workers: Workers,
    bar: Any,
) -> Iterator[list[Attempt]]:
    jobs = [[_Job(spec, request, seed, tuple(batch))] for batch in batches]
    for number, _, draws in run_isolated(
        _draw_in_worker, jobs, workers=workers, timeout=_BATCH_LIMIT
    ):
        if isinstance(draws, Exception):
            raise draws
        if isinstance(draws, Failure):
            raise SamplingError(
                f"{len(batches[number])} crystals could not be drawn in a worker process: "
                f"{draws.reason}. If it was killed for "
                "memory, ask for a smaller batch_size or fewer workers."
            )
        bar.n += len(draws)
        yield draws


@dataclass(frozen=True)
class _Job:
    """A batch for a worker process: indices and attempts."""

    spec: SamplerSpec
    request: SampleRequest
    seed: int
    batch: tuple[tuple[int, int], ...]


@lru_cache(maxsize=1)
def _loaded(spec: SamplerSpec) -> Sampler:
    """The sampler of a worker process."""
    torch.set_num_threads(1)
    return spec.load()


def _draw_in_worker(job: _Job) -> list[Attempt] | Exception:
    try:
        return _draw_batch(_loaded(job.spec), job.request, job.seed, job.batch)
    except (
        CrysDiffError
    ) as error:  # comes back as it is, so that the user sees the same error as without workers
        return error


def _draw_batch(
    sampler: Sampler, request: SampleRequest, seed: int, batch: Sequence[tuple[int, int]]
) -> list[Attempt]:
    streams = Streams(seed, tuple(i for i, _ in batch), tuple(a for _, a in batch))
    sampled = steered.sample(sampler, request, streams)
    if not isinstance(sampled, Sampled) or len(sampled.crystals) != len(batch):
        many = isinstance(sampled, Sampled)
        got = f"{len(sampled.crystals)} crystals" if many else type(sampled).__name__
        raise SamplingError(
            f"The sampler was asked for {len(batch)} crystals and returned {got}. Its sample() "
            "must return Sampled(crystals) with one crystal per stream."
        )
    usage: Counter[str] = Counter()
    for condition in request.conditions:
        usage.update(condition.take_usage())
    return [
        Attempt(
            index,
            attempt,
            crystal,
            sampled.failures.get(k) or sampler.rejection(crystal, request),
            {} if k else dict(usage),
            {name: values[k] for name, values in sampled.properties.items()},
            k in sampled.failures,
        )
        for k, ((index, attempt), crystal) in enumerate(
            zip(batch, sampled.crystals.split(), strict=True)
        )
    ]
