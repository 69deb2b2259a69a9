"""`crysdiff export`: the averaged weights of a run as a folder that samplers load."""

import argparse
import json
from pathlib import Path
from typing import Any

#: Names of `sampling.solvers`, whose import would bring torch along.
SOLVERS = ("ancestral", "end-back", "euler", "heun")
DTYPES = ("float32", "bfloat16")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("name", help="name of the sampler, such as miad")
    parser.add_argument("run_folder", type=Path, help="folder of the training run")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--steps", type=int, default=200, help="default steps of the sampler (default 200)"
    )
    parser.add_argument(
        "--symmetric-steps",
        type=int,
        help="default steps where space group and sites are given or proposed; left out, --steps",
    )
    parser.add_argument(
        "--corrector",
        type=float,
        default=0.0,
        help="size of the coordinates' corrector step; 0 for none",
    )
    parser.add_argument(
        "--species-temperature",
        type=float,
        default=1.0,
        help="below 1 sharpens the choice of elements (default 1)",
    )
    parser.add_argument("--solver", choices=SOLVERS, default="ancestral", help="default ancestral")
    parser.add_argument(
        "--start", type=float, help="first time of the plan; default 0.99, for flows give 1"
    )
    parser.add_argument(
        "--velocity-annealing",
        "--hurry",
        dest="annealing",
        type=float,
        default=0.0,
        help="how much faster coordinates move near the data, with euler and heun (default 0)",
    )
    parser.add_argument(
        "--noise",
        type=float,
        default=1.0,
        help="share of their noise that states are drawn with, with end-back (default 1)",
    )
    parser.add_argument(
        "--closest-approach",
        type=float,
        help="push atoms apart that are closer than this share of the sum of covalent radii",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="of the matrices in the file; bfloat16 halves it",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="keep what only the pretraining of a crysldnet needs: its denoiser of latents",
    )
    parser.add_argument(
        "--about",
        type=json.loads,
        default={},
        metavar="JSON",
        help="what the card says of the training",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the folder and prints where."""
    import torch

    from ase_crysdiff.training.export import export

    sampling: dict[str, Any] = {"steps": options.steps, "solver": options.solver}
    sampling["corrections"] = {"frac_coords": options.corrector} if options.corrector else {}
    sampling["species_temperature"] = options.species_temperature
    sampling["noise"] = options.noise
    if options.symmetric_steps is not None:
        sampling["symmetric_steps"] = options.symmetric_steps
    if options.start is not None:
        sampling["start"] = options.start
    if options.annealing:
        sampling["velocity_annealing"] = {"frac_coords": options.annealing}
    if options.closest_approach:
        sampling["closest_approach"] = options.closest_approach
    matrices = getattr(torch, options.dtype)
    card = export(
        options.run_folder,
        options.output,
        options.name,
        sampling=sampling,
        training=options.about,
        matrices=matrices,
        whole=options.whole,
    )
    print(
        f"{options.output}: {card.name} {card.version}, {card.training['parameters']:,} parameters"
    )
    return 0
