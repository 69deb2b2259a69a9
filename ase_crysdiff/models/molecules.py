"""From a config to a generative model of molecules."""

from typing import Any

from ase_crysdiff import registry
from ase_crysdiff.crystal.molecule_space import MoleculeSpace
from ase_crysdiff.crystal.properties import declared
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Config
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.models.parts import make_process
from ase_crysdiff.networks.conditioning import WIDTH, condition
from ase_crysdiff.networks.molecules.base import POSITIONS, MoleculeDenoiser, MoleculeEncoder
from ase_crysdiff.processes.gaussian_bayesian_flow import GaussianBayesianFlow
from ase_crysdiff.processes.joint import Component, JointProcess
from ase_crysdiff.representations.positions import Positions


def build_molecule_model(config: Config) -> GenerativeModel:
    """Places of the atoms of given elements, by a Bayesian flow.

    Args:
        config: With the entries `scale` (Å), `processes`, `encoder` and `max_atoms`, and with
            `properties` where the network is told some, through adapters of `adapter_width`.

    Raises:
        InputError: If a part is not known, or the process is no Gaussian Bayesian flow.
    """
    process = make_process(config, POSITIONS, width=3)
    if not isinstance(process, GaussianBayesianFlow):
        raise InputError(
            f"The places of molecules take the process gaussian-bayesian-flow, got "
            f"{config['processes'][POSITIONS]!r}."
        )
    component = Component(POSITIONS, Positions(config["scale"]), process, centred=True)
    encoder = make_molecule_encoder(config["encoder"], config["scale"])
    denoiser = MoleculeDenoiser(encoder, process.schedule)
    told = declared(config.get("properties"))
    space = MoleculeSpace(config["max_atoms"])
    network = condition(denoiser, told, config.get("adapter_width", WIDTH))
    return GenerativeModel(space, JointProcess(component), network, config)


def make_molecule_encoder(config: Config, unit: float) -> MoleculeEncoder:
    """The encoder of `{"name": ..., **arguments}`, by its registered name.

    Args:
        config: Registered name and arguments of the class.
        unit: Length of which its places are multiples, Å.

    Raises:
        InputError: If nobody registered the name, or an argument is not known.
    """
    arguments: dict[str, Any] = dict(config)
    name = str(arguments.pop("name", None))
    known = registry.names(registry.MOLECULE_ENCODERS)
    if name not in known:
        raise InputError(f"encoder {name!r} is not known; those of molecules are {known}.")
    kind = registry.load(registry.MOLECULE_ENCODERS, name)
    try:
        encoder: MoleculeEncoder = kind(unit=unit, **arguments)
    except TypeError as error:
        raise InputError(f"encoder {name!r} does not take {arguments}: {error}") from error
    return encoder
