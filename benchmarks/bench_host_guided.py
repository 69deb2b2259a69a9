"""Symmetric share by way of a host against plain placement, decomposition energies, space groups of
the best.

python benchmarks/bench_host_guided.py Li10Si4 -n 40 --guests Li --hull hull.csv.gz -o li5si2
"""

import argparse
import math
from pathlib import Path

from ase_crysdiff.metrics.base import MetricResult
from pymatgen_ext import HostGuidedGeneration


def difference(a: MetricResult, b: MetricResult) -> tuple[float, float, float]:
    """The difference with its 95 % interval. Source: Newcombe 1998, method 10, from Wilson's
    intervals.
    """
    d = a.value - b.value
    low = math.hypot(a.value - a.interval[0], b.interval[1] - b.value)
    high = math.hypot(a.interval[1] - a.value, b.value - b.interval[0])
    return d, d - low, d + high


def main() -> None:
    """Runs, or goes on with, one search and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("composition", help="contents of the cell")
    parser.add_argument("-n", "--candidates", type=int, default=40)
    parser.add_argument("--guests")
    parser.add_argument("--sampler", default="chggen")
    parser.add_argument("--potential", default="chgnet")
    parser.add_argument("--volume", type=float, help="Å³/atom; by default the regression")
    parser.add_argument("--steps", type=int)
    parser.add_argument(
        "--as-drawn", action="store_true", help="do not symmetrise fillings before they are relaxed"
    )
    parser.add_argument("--hull", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder of all intermediates"
    )
    options = parser.parse_args()
    search = HostGuidedGeneration(
        options.composition,
        options.candidates,
        options.sampler,
        options.potential,
        options.volume,
        options.guests,
        hull=options.hull,
        steps=options.steps,
        **({"filling_ladder": ()} if options.as_drawn else {}),
    )
    result = search.run(options.output, options.seed)
    shares = result.symmetric_shares()
    for name, share in shares.items():
        print(f"{name}: {share}")
    print(
        "difference: {:.3f} [{:.3f}, {:.3f}]".format(
            *difference(shares["host_guided"], shares["unconditional"])
        )
    )
    for candidate in result.candidates[:5]:
        record = candidate.record
        print(
            record["rank"],
            record["space_group"],
            record.get("decomposition_energy"),
            record["energy_per_atom"],
            record["framework_space_group"],
            record["framework_symprec"],
            record.get("competing_phases"),
        )
    for key, reason in result.run.failures.items():
        print(f"lost {key}: {reason[:150]}")


if __name__ == "__main__":
    main()
