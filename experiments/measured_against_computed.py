"""How many measured values does it take to be better than the calculation itself?

Measured formation enthalpies and band gaps, learned from 10, 50 and 100 % of the training and
validation rows of the published partitions by regressions on frozen descriptors, among which are
the formation energy of `dao-p` and the PBE gap of `band-gap`; beside them the errors of DFT's own
values for the same test rows, as they are and after a straight line through the training rows, and
of the plain forest.

    python experiments/measured_against_computed.py -o measured.json

The folder of data packs is that of `CRYSDIFF_DATA`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.campaigns.benchmark.properties.measuring import fewer, labelled_rows
from ase_crysdiff.data.splits import Split
from ase_crysdiff.predictors.averaging import best_weights, mean_of
from ase_crysdiff.predictors.descriptors.describing import describe_once
from ase_crysdiff.predictors.fitting import fit, plain_forest
from ase_crysdiff.storage import write_text
from ase_crysdiff.tasks import task

#: Measured, and what was computed of the same quantity.
PAIRS = {
    "expt_formation_enthalpy": "mp_formation_energy",
    "expt_band_gap": "mp_band_gap",
}
SHARES = (0.1, 0.5, 1.0)


def main() -> None:
    """Measures both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--seed", type=int, default=0, help="of the rows that are left")
    parser.add_argument("--keep", type=Path, default=Path("descriptors"), help="of descriptors")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    found = {name: measure(name, options.keep, options.seed) for name in options.tasks}
    write_text(options.output, json.dumps(found, indent=1) + "\n")
    for name, rows in found.items():
        print(name)
        for label, values in rows.items():
            print(f"  {label:42} {np.mean(values):.4f} ± {np.std(values):.4f}")


def measure(name: str, keep: Path, seed: int) -> dict[str, list[float]]:
    """Mean absolute errors on the test rows that have a computed value, by partition."""
    one = task(name)
    table = one.table()
    data, rows = labelled_rows(table)
    described = describe_once(data.crystals, keep / f"{name}.npz")
    computed = computed_values(name, [table.names[row] for row in rows])
    known = data.values.numpy()
    errors: dict[str, list[float]] = {}
    for number, fold in enumerate(table.folds()):
        train, val, test = (
            np.array([rows[i] for i in part.tolist() if i in rows]) for part in fold
        )
        test = test[np.isfinite(computed[test])]

        def note(label: str, answer: NDArray[np.float64], test: NDArray[np.int64] = test) -> None:
            errors.setdefault(label, []).append(float(np.abs(answer - known)[test].mean()))

        note("median", np.full(len(known), np.median(known[train])))
        note("DFT as it is", computed)
        fitted = train[np.isfinite(computed[train])]
        note(
            "DFT, straight line",
            np.polyval(np.polyfit(computed[fitted], known[fitted], 1), computed),
        )
        split = Split(*(tuple(part.tolist()) for part in (train, val, test)))
        for share in SHARES:
            part = fewer(split, round(share * (len(train) + len(val))), seed)
            few, held = list(part.train), list(part.validation)
            first, final = (
                one.learned(described) for one in fit(described, known, few, held, seed)
            )
            weights = best_weights({k: v[held] for k, v in first.items()}, known[held])
            note(f"frozen, {share:.0%} of the labels", mean_of(final, weights))
            forest = plain_forest(described, known, few, range(len(known)), seed)
            note(f"forest, {share:.0%} of the labels", forest)
        print(name, number, {label: round(values[-1], 4) for label, values in errors.items()})
    return errors


def computed_values(name: str, names: list[str]) -> NDArray[np.float64]:
    """DFT's values by the ids of the Materials Project, NaN where none is known."""
    other = task(PAIRS[name])
    known = {entry.name: entry.value for entry in other.entries()}
    return np.array([known.get(n, np.nan) for n in names])


if __name__ == "__main__":
    main()
