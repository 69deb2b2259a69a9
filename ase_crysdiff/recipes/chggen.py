"""CHGGen: fills hosts, with whichever model can serve the request.

Source: Host-guided crystal generation, Materials Horizons 2025 (CHGGen): host atoms held while
guests are generated, RePaint resampling. Its network, a variance-exploding diffusion of Cartesian
coordinates in a fixed cell, is replaced by the models that ship: structure prediction for known
numbers of guests, mirage atoms for ranges.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import CheckpointError, IncompatibleError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Card
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.sampling.model_sampler import ModelSampler
from ase_crysdiff.sampling.request import SampleRequest

#: Models in the order of preference.
MODELS = ("dao-g-flow", "dao-g", "miad")


@runtime_checkable
class Load(Protocol):
    """Finds a model by name; raises CheckpointError where there are no weights."""

    def __call__(self, name: str) -> ModelSampler:
        """The sampler of a model."""
        ...


@dataclass(frozen=True)
class HostFiller:
    """Serves each request by the first of several models that can.

    Args:
        names: Models in the order of preference.
        load: Finds them.
    """

    names: tuple[str, ...]
    load: Load

    #: Whether requests with a host are served.
    inpaints = True

    @cached_property
    def _models(self) -> tuple[dict[str, ModelSampler], dict[str, str]]:
        """Models that are there, and why others are not."""
        found, absent = {}, {}
        for name in self.names:
            try:
                found[name] = self.load(name)
            except CheckpointError as error:
                if len(self.names) == 1:
                    raise
                absent[name] = f"{name!r} has no weights yet ({str(error).split('.')[0]})"
        return found, absent

    def model_for(self, request: SampleRequest) -> ModelSampler:
        """The model that serves a request.

        Raises:
            IncompatibleError: If none can; the message gives the reason of each.
        """
        if request.host is None:
            raise IncompatibleError(
                "'chggen' fills hosts: use inpaint(host, guests). For crystals from nothing use "
                "miad."
            )
        found, absent = self._models
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
                return found[name]
        raise IncompatibleError(f"No model can fill this host: {'; '.join(reasons)}.")

    def check(self, request: SampleRequest) -> None:
        """Raises IncompatibleError if no model can serve a request."""
        self.model_for(request)

    def card_for(self, request: SampleRequest) -> Card:
        """The card of the model that serves a request."""
        return self.model_for(request).card

    def evaluations(self, request: SampleRequest) -> int:
        """Network evaluations per draw."""
        return self.model_for(request).evaluations(request)

    def sample(self, request: SampleRequest, streams: Streams) -> CrystalBatch:
        """One crystal per stream, in order."""
        return self.model_for(request).sample(request, streams)


def chggen(weights: str | Path | None = None, device: str = "cpu") -> HostFiller:
    """The sampler that fills hosts: the shipped models, or the one in a folder of weights."""
    names = (
        MODELS
        if weights is None
        else (weight_files.read_card(weight_files.find("chggen", weights)).name,)
    )
    return HostFiller(names, partial(load_sampler, weights=weights, device=device))
