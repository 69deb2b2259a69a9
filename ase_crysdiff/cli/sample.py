"""`crysdiff sample`: draws into a folder; given again after an interruption, it goes on where it was."""

import argparse
import secrets
from pathlib import Path

from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import MAX_SEED


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("sampler", help="name of a sampler, see: crysdiff list")
    parser.add_argument("-n", "--num-samples", type=int, default=16, help="crystals to draw (default 16)")
    parser.add_argument("-o", "--output", type=Path, default=Path("crystals"), help="folder for the results (default crystals)")
    parser.add_argument("--composition", help="formula unit, for samplers that predict structures")
    parser.add_argument("--formula-units", type=int, nargs="+", help="formula units per cell to choose from")
    parser.add_argument("--chemical-system", help="exactly these elements, such as Li-Mn-O")
    parser.add_argument("--elements", help="only these elements may occur, such as Li-Mn-O-F")
    parser.add_argument("--num-atoms", type=int, help="atoms per cell")
    parser.add_argument("--steps", type=int, help="steps of the reverse process")
    parser.add_argument("--seed", type=int, help="0 to 2^63 - 1; drawn and recorded if not given")
    parser.add_argument("--redraws", type=int, default=3, help="further attempts after an unusable draw (default 3)")
    parser.add_argument("--batch-size", type=int, help="crystals computed together")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--weights", help="folder with other weights")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws what is missing in the folder, then writes the common files and prints a table."""
    from pymatgen_ext.folder import SampleFolder
    from pymatgen_ext.parsing import positive
    from pymatgen_ext.samplers import StructureSampler
    from pymatgen_ext.table import format_table

    # Before the folder is touched: a refused command must not leave a run behind that the corrected one then contradicts.
    least = {"num_samples": 1, "workers": 1, "redraws": 0, "seed": 0, "batch_size": 1}
    for name, smallest in least.items():
        if getattr(options, name) is not None:
            positive(name.replace("_", "-"), getattr(options, name), smallest)
    if options.seed is not None and options.seed > MAX_SEED:
        raise InputError(f"seed must be at most 2^63 - 1, got {options.seed}.")
    sampler = StructureSampler(options.sampler, options.weights, options.device)
    wishes = {
        "composition": options.composition,
        "chemical_system": options.chemical_system,
        "elements": options.elements,
        "num_atoms": options.num_atoms,
        "steps": options.steps,
        "formula_units": options.formula_units or "auto",
    }
    request, _ = sampler.request(**wishes)
    settings = {"sampler": options.sampler, "weights": sampler.version, **wishes, "redraws": options.redraws}
    folder = SampleFolder.open(options.output, settings, options.seed, lambda: secrets.randbelow(MAX_SEED))
    missing = [i for i in range(options.num_samples) if i not in folder.done]
    if len(missing) < options.num_samples:
        print(f"{options.num_samples - len(missing)} crystals are already in {options.output}")
    samples = sampler.collect(
        request, missing, seed=folder.seed, redraws=options.redraws, batch_size=options.batch_size,
        workers=options.workers, on_draws=folder.add,
    )  # fmt: skip
    everything = folder.finish(options.num_samples, samples.report)
    print(format_table(everything))
    print(samples.report)
    print(f"{len(everything)} CIF files and {folder.XYZ} are in {options.output}")
    return 0 if len(everything) else 1
