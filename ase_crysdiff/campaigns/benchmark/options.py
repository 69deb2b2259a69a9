"""Options that several benchmarks take; light, as every call of the command reads it."""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser, samples: int, output: str) -> None:
    """Options of every benchmark of structure prediction."""
    parser.add_argument(
        "sampler", help="name of a sampler that predicts structures of given compositions"
    )
    parser.add_argument(
        "-k",
        "--samples",
        type=int,
        default=samples,
        help=f"samples for each target (default {samples})",
    )
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument(
        "--steps", type=int, help="steps of the reverse process; default as in the card"
    )
    parser.add_argument("--weights", help="folder with other weights")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument(
        "--batch-size",
        type=int,
        help="crystals computed together; default 64 on a CPU, 512 on a GPU",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes for sampling on a CPU and for matching (default 1)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=10.0,
        help="processor seconds for one comparison (default 10)",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="folder that keeps the draws, so that more can follow",
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(output), help=f"result (default {output})"
    )
