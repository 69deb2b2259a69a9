"""Crystals from latents that a flow makes of noise: what a pretrained autoencoder can draw beside its purpose."""

from collections.abc import Callable, Iterable, Mapping

import torch

from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.networks.latent.crysldnet import CrysLDNet
from ase_crysdiff.processes.latent_flow import LatentFlow
from ase_crysdiff.randomness import Draws, Streams
from ase_crysdiff.sampling.model import Card
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.schedules.plans import UniformPlan
from ase_crysdiff.shapes import Float, Tensor

#: Four times as many draw the same crystals but for details.
STEPS = 50
#: The flow is not taught beyond this time.
START = 0.99
#: Wishes that are served.
_SERVED = {"num_atoms", "filters"}

#: The clean latents that noisy ones suggest at a time.
Estimate = Callable[[Float[Tensor, "atoms latent"], float], Float[Tensor, "atoms latent"]]


def transport(
    flow: LatentFlow, estimate: Estimate, plan: Iterable[tuple[float, float]], draws: Draws
) -> Float[Tensor, "atoms latent"]:
    """Latents from unit normal noise, by Euler's rule.

    Args:
        flow: Law of the noise.
        estimate: The denoiser.
        plan: Pairs of times (t, s) with s < t, down to 0.
        draws: Random numbers for every atom.

    Source: CrysLDNet (2026), sampling.
    """
    latent = flow.prior(draws)
    for t, s in plan:
        now, then = (latent.new_full(latent.shape[:1], x) for x in (t, s))
        latent = flow.reverse(latent, estimate(latent, t), now, then, draws)
    return latent


class LatentSampler:
    """Draws crystals from the latent prior of a CrysLDNet, a by-product of its pretraining.

    The number of atoms comes from the training's histogram, latents from the flow, elements and geometry from the decoders. Each
    atom takes its likeliest element; nothing sees to it that elements and geometry suit each other, save that both are
    decoded from the same latents. Crystals are computed one by one, so that none depends on those beside it.

    Args:
        network: Has decoders and a denoiser.
        card: Of its weights.
        sizes: How many crystals of the training had how many atoms.
        device: Where to compute.
    """

    def __init__(self, network: CrysLDNet, card: Card, sizes: Mapping[int, int], device: torch.device) -> None:
        self.network, self.card, self.sizes, self.device = network.to(device), card, dict(sorted(sizes.items())), device

    def check(self, request: SampleRequest) -> None:
        """Raises IncompatibleError or InputError if this model cannot serve a request."""
        name, wishes = self.card.name, sorted(set(request.wishes) - _SERVED)
        if wishes:
            raise IncompatibleError(
                f"{name!r} draws from its latent prior and cannot serve {', '.join(wishes)}; it takes num_atoms alone. Use miad "
                "for elements, cells, hosts and starts, or dao-g-flow for given compositions."
            )
        largest = max(self.sizes)
        if request.num_atoms is not None and request.num_atoms > largest:
            raise InputError(f"{name!r} was trained on cells of 1 to {largest} atoms, num_atoms is {request.num_atoms}.")

    def evaluations(self, request: SampleRequest) -> int:
        """Network evaluations per draw."""
        return len(self._plan(request))

    def _plan(self, request: SampleRequest) -> UniformPlan:
        return UniformPlan(request.steps or STEPS, START)

    @torch.no_grad()
    def sample(self, request: SampleRequest, streams: Streams) -> CrystalBatch:
        """One crystal per stream, in order."""
        self.check(request)
        drawn = []
        for i in range(len(streams)):
            drawn.append(self._draw(request, streams.take([i])))
            if request.on_step is not None:
                request.on_step((i + 1) / len(streams))
        return CrystalBatch.cat(drawn).to(torch.device("cpu"))

    def _draw(self, request: SampleRequest, stream: Streams) -> CrystalBatch:
        """One crystal."""
        decoders, denoiser = self.network.decoders, self.network.denoiser
        assert decoders is not None
        assert denoiser is not None
        layout = Layout((self._size(request, stream),), self.device)

        def draws(purpose: str) -> Draws:
            return stream.draws(purpose, 0, layout.sizes, layout.device, layout.dtype)

        def estimate(latent: Tensor, t: float) -> Tensor:
            clean: Tensor = denoiser(latent, latent.new_full((1,), t), layout)
            return clean

        latent = transport(self.network.flow, estimate, self._plan(request), draws("latents"))
        decoded = decoders(latent, layout.num_atoms)
        cells = decoders.geometry.cells(decoded.geometry, layout.num_atoms, draws("positions"))
        known = torch.tensor(self.card.elements, device=self.device)
        species = known[decoded.elements[:, known].argmax(-1)]
        return CrystalBatch(cells.lattice, cells.frac_coords, species, layout.num_atoms)

    def _size(self, request: SampleRequest, stream: Streams) -> int:
        """The number of atoms."""
        if request.num_atoms is not None:
            return request.num_atoms
        (size,) = stream.pick("numbers of atoms", list(self.sizes), [float(n) for n in self.sizes.values()])
        return size
