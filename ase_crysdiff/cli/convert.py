"""`crysdiff convert`: a checkpoint of DiffCSP, MiAD or FlowMM as weights that samplers load."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ase_crysdiff.errors import InputError

#: Names of `models.conversion.FAMILIES`, whose import would bring torch along.
FAMILIES = ("diffcsp", "flowmm", "miad")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("family", choices=FAMILIES, help="who trained it: %(choices)s")
    parser.add_argument("checkpoint", type=Path, help="file of Lightning (.ckpt) or torch.save")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--data",
        help="what it was trained on, where the checkpoint does not say: mp_20, mpts_52, perov_5 "
        "or carbon_24",
    )
    parser.add_argument("--max-atoms", type=int, help="of the largest crystal, for other data")
    parser.add_argument("--elements", help="that it knows, for other data, such as Li-Mn-O")
    parser.add_argument(
        "--hyper-parameters",
        type=Path,
        metavar="FILE",
        help="JSON or YAML of the training, where the checkpoint holds none, such as hparams.yaml",
    )
    parser.add_argument("--name", help="of the weights (default: that of the sampler)")
    parser.add_argument("--licence", help="of the weights, for the card")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Converts, and prints how to draw from the result."""
    from ase_crysdiff.models.conversion import LICENCE, convert

    given = None if options.hyper_parameters is None else _read(options.hyper_parameters)
    elements = None
    if options.elements is not None:
        from pymatgen_ext import parsing

        elements = sorted(parsing.elements("elements", options.elements))
    card = convert(
        options.family,
        options.checkpoint,
        options.output,
        data=options.data,
        max_atoms=options.max_atoms,
        elements=elements,
        hyper_parameters=given,
        name=options.name,
        licence=options.licence or LICENCE,
    )
    # A recipe has the name of the sampler that loads what it builds.
    sampler, wish = card.config["recipe"], "" if options.family == "miad" else " --composition NaCl"
    print(
        f"{options.output}: {card.name} {card.version}, {card.training['parameters']:,} parameters"
    )
    print(f"crysdiff sample {sampler}{wish} --weights {options.output}")
    return 0


def _read(path: Path) -> Mapping[str, Any]:
    """The entries of a file of hyper-parameters.

    Raises:
        InputError: If it cannot be read or holds something else.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML, too
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise InputError(f"{path} cannot be read as JSON or YAML ({reason}).") from error
    if not isinstance(found, Mapping):
        raise InputError(f"{path} must hold entries by name, got {type(found).__name__}.")
    return found
