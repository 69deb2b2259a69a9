"""Uniqueness of structures of one composition against comparing all pairs by
`StructureMatcher.fit`.

    python benchmarks/bench_uniqueness.py carbon_24/val.csv.gz [--structures 300] [--baseline 60]

The baseline compares all pairs of some of the structures; its time per pair is that of all of them,
and its connected components must be the same. Times are CPU seconds of one thread.
"""

import argparse
import json
import platform
import time
import warnings
from importlib.metadata import version
from itertools import combinations, islice

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ase_crysdiff.data.readers import read_records
from ase_crysdiff.metrics.uniqueness import classes


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", help="crystals of one composition: anything that crysdiff reads")
    parser.add_argument("--structures", type=int, default=300)
    parser.add_argument("--baseline", type=int, default=60, help="structures of the baseline")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    structures = [
        record.load() for record in islice(read_records(options.table), options.structures)
    ]

    started = time.process_time()
    ours = classes(structures)
    seconds = time.process_time() - started

    some = structures[: options.baseline]
    started = time.process_time()
    expected = components(some)
    per_pair = (time.process_time() - started) / (len(some) * (len(some) - 1) / 2)
    pairs = len(structures) * (len(structures) - 1) // 2
    print(
        json.dumps(
            {
                "structures": len(structures),
                "classes": len(ours.representatives()),
                "seconds": round(seconds, 2),
                "baseline_structures": len(some),
                "baseline_ms_per_pair": round(1e3 * per_pair, 2),
                "ratio": round(per_pair * pairs / seconds, 1),
                "same_components": groups(classes(some).labels) == expected,
                "pymatgen": version("pymatgen"),
                "machine": platform.processor() or platform.machine(),
            }
        )
    )


def components(structures: list[Structure]) -> set[frozenset[int]]:
    """Connected components of all pairs that fit."""
    fit = StructureMatcher().fit
    edges = [
        (i, j)
        for i, j in combinations(range(len(structures)), 2)
        if fit(structures[i], structures[j])
    ]
    rows, columns = np.array(edges, dtype=int).reshape(-1, 2).T
    graph = coo_array(
        (np.ones(len(edges)), (rows, columns)), shape=(len(structures), len(structures))
    )
    return groups(connected_components(graph, directed=False)[1].tolist())


def groups(labels: list[int] | tuple[int | None, ...]) -> set[frozenset[int]]:
    """Positions that share a label."""
    return {frozenset(i for i, x in enumerate(labels) if x == label) for label in set(labels)}


if __name__ == "__main__":
    main()
