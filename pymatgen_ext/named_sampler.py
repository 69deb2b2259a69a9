"""A sampler by its name: how it is found, loaded and asked."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from monty.json import MSONable

from ase_crysdiff import arguments, registry
from ase_crysdiff.devices import resolve
from ase_crysdiff.errors import IncompatibleError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ase_crysdiff.isolation import Workers
    from ase_crysdiff.sampling.batched import SamplerSpec
    from ase_crysdiff.sampling.request import SampleRequest
    from ase_crysdiff.sampling.sample_set import SampleSet
    from ase_crysdiff.sampling.sampler import Sampler


def available_samplers() -> list[str]:
    """Names that `StructureSampler` takes, from this and all other installed packages."""
    return registry.names(registry.SAMPLERS)


class NamedSampler(MSONable):
    """A registered sampler, of which names and numbers only are held, so that it can be stored in
    workflows; weights are loaded at first use.

    Args:
        name: One of `available_samplers()`.
        weights: Folder with other weights for the model; None takes the shipped ones.
        device: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one.

    Raises:
        UnknownNameError: If no sampler has this name.
    """

    #: Where its names are registered.
    group: ClassVar[str] = registry.SAMPLERS

    def __init__(self, name: str, weights: str | None = None, device: str = "auto") -> None:
        self.name = name
        self.weights = None if weights is None else str(weights)
        self.device = device
        self._loaded: Sampler | None = None
        registry.check(self.group, name)

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"{kind}({self.name!r}, weights={self.weights!r}, device={self.device!r})"

    def collect(self, request: "SampleRequest", indices: Iterable[int], **how: Any) -> "SampleSet":
        """Draws the crystals with the given indices of a run; `sample` draws indices 0 to n - 1.

        Args:
            request: What is asked for, parsed.
            indices: Which crystals of the run.
            how: `seed`, and further keywords of `pymatgen_ext.collecting.collect`: `cell`,
                `redraws`, `batch_size`, `workers`, `executor`, `progress`, `on_draws`.
        """
        from pymatgen_ext.collecting import collect

        return collect(self.spec, self.sampler, request, indices, **how)

    def check(self, request: "SampleRequest") -> None:
        """Refuses what this sampler cannot serve.

        Raises:
            IncompatibleError: If another sampler would have to serve it; names those that can.
            InputError: If a number or an element is outside what the sampler knows.
        """
        from ase_crysdiff.sampling.batched import samplers_for

        try:
            self.sampler.check(request)
        except IncompatibleError as error:
            able, every = samplers_for(request), ", ".join(available_samplers())
            rest = (
                f"Installed samplers that can: {', '.join(able)}."
                if able
                else (f"No installed sampler can; there are {every}.")
            )
            raise IncompatibleError(f"{error} {rest}") from error

    @property
    def sampler(self) -> "Sampler":
        """The sampler behind the name, loaded at first use."""
        if self._loaded is None:
            self._loaded = self.spec.load()
        return self._loaded

    @property
    def spec(self) -> "SamplerSpec":
        """How other processes find the sampler."""
        from ase_crysdiff.sampling.batched import SamplerSpec

        return SamplerSpec(self.name, self.weights, resolve(self.device), self.group)

    @property
    def version(self) -> str:
        """First digits of the weights' digest; empty if the sampler has no card."""
        card = self.sampler.card
        return "" if card is None else card.version

    def version_for(self, request: "SampleRequest") -> str:
        """`version` for one request: a sampler may choose among several models."""
        card = self.sampler.card_for(request)
        return "" if card is None else card.version

    @property
    def max_atoms(self) -> int | None:
        """Largest cell that the sampler was trained on; None if it does not say."""
        return self.sampler.capabilities.max_atoms


def how_drawn(
    batch_size: int | None,
    workers: "Workers",
    executor: "Executor | None",
    seed: int | None,
    redraws: int,
    progress: bool | None,
) -> dict[str, Any]:
    """How crystals are drawn, checked before anything is."""
    from ase_crysdiff.isolation import workers_of
    from ase_crysdiff.randomness import new_seed

    return {
        "batch_size": batch_size,
        "workers": workers_of(workers, executor),
        "seed": new_seed() if seed is None else arguments.positive("seed", seed, 0),
        "redraws": redraws,
        "progress": progress,
    }
