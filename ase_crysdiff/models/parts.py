"""Parts of generative models by the names that configs give them: encoders, stems, components and
state spaces.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ase_crysdiff import registry
from ase_crysdiff.crystal.state_space import IdentitySpace, MirageSpace
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Config
from ase_crysdiff.networks.base import Encoder, Stem
from ase_crysdiff.networks.encoders.crysformer.fully_connected import ElementTableStem
from ase_crysdiff.networks.registry import make_encoder as encoder_of
from ase_crysdiff.networks.stems import BeliefStem, CrystalStem, LinearTimeStem
from ase_crysdiff.processes.base import Process
from ase_crysdiff.processes.joint import Component
from ase_crysdiff.representations.base import LatticeRepresentation
from ase_crysdiff.representations.class_index import ClassIndex
from ase_crysdiff.representations.frac_coords import FracCoords
from ase_crysdiff.representations.lattice_matrix import LatticeMatrix
from ase_crysdiff.representations.lattice_parameters import LatticeParameters
from ase_crysdiff.representations.lattice_polar import LatticePolar


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


def processes(config: Config) -> dict[str, Config]:
    """The process of each component, as `{"name": ..., **arguments}` by component.

    A config may name them in its entry `processes`. Without it they follow from the entries
    `family`, `lattice_target` and `species`, which the shipped weights have.

    Args:
        config: Of a generative model.

    Raises:
        InputError: If the family is not known.
    """
    if "processes" in config:
        return dict(config["processes"])
    family = config.get("family", "diffusion")
    if family not in FAMILIES:
        raise InputError(f"family must be one of {tuple(FAMILIES)}, got {family!r}.")
    named: dict[str, Config] = {
        name: {"name": process} for name, process in FAMILIES[family].items()
    }
    if family == "diffusion":
        named["lattice"] = {**named["lattice"], "target": config.get("lattice_target", "noise")}
    if "species" in config:
        named["species"] = {**named["species"], **config["species"]}
    else:
        del named["species"]
    return named


def make_process(config: Config, component: str, **given: Any) -> Process[Any]:
    """The process of a component, by its registered name.

    Args:
        config: Of a generative model.
        component: `lattice`, `frac_coords` or `species`.
        given: Arguments that the component sets, such as the width.

    Raises:
        InputError: If the config names no process for the component, or an argument is not known.
        UnknownNameError: If nobody registered the process.
    """
    named = processes(config)
    if component not in named:
        raise InputError(f"The config names no process for {component}, only for {sorted(named)}.")
    arguments = dict(named[component])
    name = arguments.pop("name", None)
    make = registry.load(registry.PROCESSES, name)
    try:
        process: Process[Any] = make(**given, **arguments)
    except TypeError as error:
        raise InputError(f"process {name!r} does not take {arguments}: {error}") from error
    return process


def lattice_component(config: Config) -> Component:
    """The lattice in the representation and under the process that the config names."""
    representation: LatticeRepresentation = part(
        LATTICES, config["lattice"], "lattice representation"
    )
    process = make_process(config, "lattice", width=representation.width)
    return Component("lattice", representation, process, config["loss_weights"]["lattice"])


def coordinate_component(config: Config) -> Component:
    """Fractional coordinates under the process that the config names, with the common shift of all
    atoms taken out if the config says `centred`.
    """
    process = make_process(config, "frac_coords")
    centred = config.get("centred", False)
    return Component(
        "frac_coords", FracCoords(), process, config["loss_weights"]["frac_coords"], centred
    )


def species_component(config: Config) -> Component:
    """Species under the process that the config names."""
    process = make_process(config, "species")
    weight = config["loss_weights"].get("species", 1.0)
    return Component("species", ClassIndex(), process, weight)


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


#: Processes that belong together, by component.
FAMILIES = {
    "diffusion": {
        "lattice": "gaussian-diffusion",
        "frac_coords": "wrapped-diffusion",
        "species": "categorical-diffusion",
    },
    "flow": {
        "lattice": "linear-flow",
        "frac_coords": "torus-flow",
        "species": "categorical-diffusion",
    },
    "bayesian": {
        "lattice": "gaussian-bayesian-flow",
        "frac_coords": "periodic-bayesian-flow",
        "species": "categorical-bayesian-flow",
    },
}
LATTICES = {"matrix": LatticeMatrix, "parameters": LatticeParameters, "polar": LatticePolar}
STEMS = {
    "beliefs": BeliefStem,
    "embedding": CrystalStem,
    "element-table": ElementTableStem,
    "linear-time": LinearTimeStem,
}
SPACES = {"identity": IdentitySpace, "mirage": MirageSpace}
