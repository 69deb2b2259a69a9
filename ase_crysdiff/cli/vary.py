"""`crysdiff vary`: neighbours of a crystal, into a folder; given again after an interruption, it
goes on where it was.
"""

import argparse
import hashlib
import secrets
from pathlib import Path

from ase_crysdiff.cli.sample import add_common_options, check_common_options, conclude
from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import MAX_SEED


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("file", type=Path, help="one crystal: CIF, POSCAR, json, extended XYZ")
    parser.add_argument(
        "--strength",
        type=float,
        default=0.3,
        help="above 0 (the crystal itself) to 1 (default 0.3)",
    )
    parser.add_argument(
        "-n", "--num-samples", type=int, default=8, help="crystals to draw (default 8)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("varied"),
        help="folder for the results (default varied)",
    )
    parser.add_argument(
        "--sampler", default="miad", help="name of a sampler, see: crysdiff list (default miad)"
    )
    parser.add_argument("--chemical-system", help="exactly these elements, such as Li-Mn-O")
    parser.add_argument("--elements", help="only these elements may occur, such as Li-Mn-O-F")
    parser.add_argument("--num-atoms", type=int, help="atoms per cell")
    add_common_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws what is missing in the folder, then writes the common files and prints a table."""
    from ase_crysdiff.data.readers import read_records
    from ase_crysdiff.sampling.folder import SampleFolder
    from pymatgen_ext.samplers import StructureSampler
    from pymatgen_ext.variation import prepare

    # Before the folder is touched: a refused command must not leave a run behind that the corrected
    # one then contradicts.
    refine = check_common_options(options)
    records = list(read_records(options.file))
    if len(records) != 1:
        raise InputError(f"{options.file} holds {len(records)} crystals; vary takes one.")
    try:
        structure = records[0].load()
        content = hashlib.sha256(options.file.read_bytes()).hexdigest()
    except Exception as error:  # whatever a parser raises
        raise InputError(f"{options.file} cannot be read as a structure ({error}).") from error
    sampler = StructureSampler(options.sampler, options.weights, options.device)
    wishes = {n: getattr(options, n) for n in ("chemical_system", "elements", "num_atoms", "steps")}
    request, cell = prepare(sampler.check, structure, options.strength, **wishes)
    settings = {
        "sampler": options.sampler,
        "weights": sampler.version,
        "seed crystal": content,
        "strength": options.strength,
        **wishes,
        "redraws": options.redraws,
    }
    folder = SampleFolder.open(
        options.output, settings, options.seed, lambda: secrets.randbelow(MAX_SEED)
    )
    missing = [i for i in range(options.num_samples) if i not in folder.done]
    if len(missing) < options.num_samples:
        print(f"{options.num_samples - len(missing)} crystals are already in {options.output}")
    samples = sampler.collect(
        request,
        missing,
        cell=cell,
        seed=folder.seed,
        redraws=options.redraws,
        batch_size=options.batch_size,
        workers=options.workers,
        on_draws=folder.on_draws,
    )
    return conclude(folder, options.num_samples, samples.report, refine)
