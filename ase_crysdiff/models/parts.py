"""Parts of generative models by the names that configs give them: encoders, stems, components and
state spaces.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ase_crysdiff.crystal.state_space import IdentitySpace, MirageSpace
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Config
from ase_crysdiff.networks.base import Encoder, Stem
from ase_crysdiff.networks.encoders.crysformer.fully_connected import ElementTableStem
from ase_crysdiff.networks.registry import make_encoder as encoder_of
from ase_crysdiff.networks.stems import CrystalStem
from ase_crysdiff.processes.base import Process
from ase_crysdiff.processes.flow import LinearFlow, TorusFlow
from ase_crysdiff.processes.gaussian_diffusion import GaussianDiffusion
from ase_crysdiff.processes.joint import Component
from ase_crysdiff.processes.wrapped_diffusion import WrappedDiffusion
from ase_crysdiff.representations.base import LatticeRepresentation
from ase_crysdiff.representations.frac_coords import FracCoords
from ase_crysdiff.representations.lattice_matrix import LatticeMatrix
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.schedules.noise import Cosine, Geometric
from ase_crysdiff.shapes import Tensor


def part(kinds: Mapping[str, Any], spec: Config, kind: str, **given: Any) -> Any:
    """Builds `{"name": ..., **arguments}` from the parts of a kind.

    Raises:
        InputError: If the name or an argument is not known.
    """
    arguments = dict(spec)
    name = arguments.pop("name", None)
    if name not in kinds:
        raise InputError(f"{kind} {name!r} is not known; known: {sorted(kinds)}.")
    try:
        return kinds[name](**given, **arguments)
    except TypeError as error:
        raise InputError(f"{kind} {name!r} does not take {arguments}: {error}") from error


def lattice_component(config: Config) -> Component:
    """The representation that the config names, under Gaussian diffusion or flow matching."""
    representation: LatticeRepresentation = part(
        LATTICES, config["lattice"], "lattice representation"
    )
    process: Process[Tensor] = LinearFlow(representation.width)
    if _family(config) == "diffusion":
        process = GaussianDiffusion(
            representation.width, Cosine(), config.get("lattice_target", "noise")
        )
    return Component("lattice", representation, process, config["loss_weights"]["lattice"])


def coordinate_component(config: Config) -> Component:
    """Fractional coordinates under wrapped-normal diffusion or flow matching on the torus."""
    process = (
        WrappedDiffusion(Geometric(0.005, 0.5)) if _family(config) == "diffusion" else TorusFlow()
    )
    centred = config.get("centred", False)
    return Component(
        "frac_coords", FracCoords(), process, config["loss_weights"]["frac_coords"], centred
    )


def _family(config: Config) -> str:
    family: str = config.get("family", "diffusion")
    if family not in FAMILIES:
        raise InputError(f"family must be one of {FAMILIES}, got {family!r}.")
    return family


def make_encoder(config: Config) -> Any:
    """A function that builds the config's encoder for a number of invariants per crystal."""

    def build(crystal_features: int) -> Encoder:
        return encoder_of(config["encoder"], crystal_features)

    return build


def make_stem(config: Config) -> Callable[..., Stem]:
    """A function that builds the config's stem; without an entry `stem`, the plain one."""
    return partial(_stem, config.get("stem", {"name": "embedding"}))


def _stem(
    spec: Config, hidden: int, lattice: LatticeRepresentation, generates_species: bool
) -> Stem:
    stem: Stem = part(
        STEMS, spec, "stem", hidden=hidden, lattice=lattice, generates_species=generates_species
    )
    return stem


FAMILIES = ("diffusion", "flow")
LATTICES = {"matrix": LatticeMatrix, "polar": LatticePolar}
STEMS = {"embedding": CrystalStem, "element-table": ElementTableStem}
SPACES = {"identity": IdentitySpace, "mirage": MirageSpace}
