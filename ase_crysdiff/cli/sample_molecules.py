"""`crysdiff sample` with a sampler of molecules: draws into a folder of XYZ files."""

import argparse
from collections.abc import Mapping
from typing import Any

from ase_crysdiff.cli.crew import crew
from ase_crysdiff.errors import InputError

#: Options of the command that say nothing of molecules, with what they are when nobody gives them.
_OF_CRYSTALS: Mapping[str, Any] = {
    "formula_units": None,
    "lattice": None,
    "space_group": None,
    "prototype": None,
    "known": None,
    "charge_balance": False,
    "first": None,
    "potential": None,
    "relax": False,
    "rank_prior": None,
    "distinct": False,
    "symprec": None,
}
_COLUMNS = ("formula", "atoms", "stable", "smiles")


def sample_molecules(
    options: argparse.Namespace, properties: Mapping[str, Any], conditions: tuple[Any, ...]
) -> int:
    """Draws what is missing in the folder, then writes the common files and prints a table; 1 if
    there are no molecules.

    Args:
        options: Of `crysdiff sample`.
        properties: What is wished of them.
        conditions: On the sampling loop.

    Raises:
        InputError: If an option is given that is about crystals.
    """
    from ase_crysdiff.arguments import positive
    from ase_crysdiff.campaigns.drawing_molecules import draw_molecules_into
    from ase_crysdiff.sampling.molecules.folder import MoleculeFolder
    from pymatgen_ext.molecules import MoleculeSampler

    given = [n for n, default in _OF_CRYSTALS.items() if getattr(options, n) != default]
    if given:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InputError(
            f"{words} concerns crystals, and {options.sampler} makes molecules. Leave it out."
        )
    positive("num-samples", options.num_samples)
    sampler = MoleculeSampler(options.sampler, options.weights, options.device)
    names = ("composition", "num_atoms", "elements", "chemical_system", "steps")
    wishes = {name: getattr(options, name) for name in names}
    request = sampler.request(
        **wishes,
        properties=properties,
        guidance_weight=options.guidance_weight,
        conditions=conditions,
    )
    settings = {
        "sampler": options.sampler,
        "weights": sampler.version,
        **wishes,
        "properties": dict(properties),
        "guidance_weight": options.guidance_weight,
        "guidance": options.guidance,
        "guidance_scale": options.guidance_scale,
        "redraws": options.redraws,
    }
    with crew(options) as workers:
        found = draw_molecules_into(
            options.output,
            sampler,
            request,
            settings,
            num_samples=options.num_samples,
            seed=options.seed,
            redraws=options.redraws,
            batch_size=options.batch_size,
            workers=workers,
        )
    table = found.to_dataframe()
    print(table[[name for name in _COLUMNS if name in table]].to_string())
    print(found.report)
    print(f"{len(found)} XYZ files and {' and '.join(MoleculeFolder.ALL)} are in {options.output}")
    return 0 if len(found) else 1
