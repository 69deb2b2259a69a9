"""The sampler that answers where none is named: for each request the one that has done best."""

from collections.abc import Mapping
from pathlib import Path

from ase_crysdiff import registry
from ase_crysdiff.crystal.properties import Wish
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.router import Router
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.sampling.tasks.assemble import Assemble
from ase_crysdiff.sampling.tasks.base import Task
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.tasks.inpaint import Inpaint
from ase_crysdiff.sampling.tasks.vary import Vary

#: Samplers by task, the best first; what one cannot serve goes to the next. The figures are in
#: docs/how-to/choose-a-sampler.md.
BEST: Mapping[type[Task], tuple[str, ...]] = {
    DeNovo: ("prototypes", "wyckoff", "miad"),
    CSP: ("wyckoff", "prototypes", "dao-g-flow", "dao-g"),
    Inpaint: ("chggen",),
    Vary: ("miad", "dao-g-flow"),
    Assemble: ("framework-prototypes", "mofflow"),
}
#: Wished of new crystals where nothing is, of samplers that choose contents before geometry, where
#: it costs little: 0.025 eV/atom above the hull at most.
NEAR_HULL: Mapping[str, Wish] = {"energy_above_hull": 0.025}
_CHOOSE_CONTENTS = frozenset({"prototypes", "wyckoff"})
_REFUSAL = "'default' knows no sampler for such a request; name one, see: crysdiff list."


def default(weights: str | Path | None = None, device: str = "cpu") -> Router:
    """Whichever sampler has done best at what is asked for.

    Args:
        weights: Folder with weights, whose sampler then serves all requests; None takes the shipped
            ones.
        device: Where to compute, as torch spells it.

    Raises:
        CheckpointError: If the folder holds no weights.
    """
    names = BEST
    if weights is not None:
        name = weight_files.read_card(weight_files.find(registry.DEFAULT, weights)).name
        names = dict.fromkeys(BEST, (name,))

    def load(name: str) -> Sampler:
        loaded: Sampler = registry.load(registry.SAMPLERS, name)(weights, device)
        return loaded

    return Router(registry.DEFAULT, names, load, _REFUSAL, _wishes)


def _wishes(request: SampleRequest, name: str) -> Mapping[str, Wish]:
    """What is wished of a request that wishes nothing and is served by the sampler of a name."""
    near = isinstance(request.task, DeNovo) and name in _CHOOSE_CONTENTS
    return NEAR_HULL if near else {}
