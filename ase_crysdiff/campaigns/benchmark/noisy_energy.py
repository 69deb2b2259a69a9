"""Errors and ranks of a time-aware energy on labels, as functions of time."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.base import Benchmark, BenchmarkResult

if TYPE_CHECKING:
    from ase_crysdiff.crystal.batch import CrystalBatch
    from ase_crysdiff.data.labels import Labels
    from ase_crysdiff.models.generative import GenerativeModel
    from ase_crysdiff.shapes import Tensor

TIMES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
#: A rank correlation of fewer energies says nothing.
_FEWEST = 4


@dataclass(frozen=True, kw_only=True)
class NoisyEnergyOptions:
    """Options of `noisy_energy`.

    Args:
        name: name of the model, such as dao-p-noisy
        labels: packed labels that the model was not trained on
        weights: folder with other weights
        times: times to measure at, 0 (data) to 1 (noise)
        seed: of the noise
        output: JSON file of the result
    """

    name: str
    labels: Path
    weights: str | None = None
    times: tuple[float, ...] = TIMES
    seed: int = 0
    output: Path = Path("noisy-energy.json")


def noisy_energy(options: NoisyEnergyOptions) -> BenchmarkResult:
    """Errors and ranks of an energy of noisy states on labels, at several times.

    Args:
        options: What is asked for.

    Returns:
        `results`: for each time `mae` (eV/atom), `rank_correlation` and `spread`, explained in
        `by_time`, and the number of crystals.

    Raises:
        InputError: If the labels cannot be read.
        CheckpointError: If the weights are no model with an energy of noisy states.
    """
    from ase_crysdiff.campaigns.benchmark.machine import machine
    from ase_crysdiff.campaigns.benchmark.run import written
    from ase_crysdiff.conditions.guides import load_noisy_energy
    from ase_crysdiff.data.labels import Labels
    from ase_crysdiff.storage import ensure_writable

    ensure_writable(options.output.parent)
    model, card = load_noisy_energy(options.name, options.weights)
    started = time.perf_counter()
    results = by_time(model, Labels.load(options.labels), options.times, options.seed)
    content = {
        "model": card.name,
        "version": card.version,
        "labels": options.labels.name,
        "seed": options.seed,
        "seconds": round(time.perf_counter() - started, 1),
        "machine": machine("cpu"),
        "results": results,
    }
    lines = [f"{'t':>5}  MAE eV/atom  rank correlation  spread"]
    for row in results:
        lines.append(
            f"{row['t']:5.2f}  {row['mae']:11.4f}  {row['rank_correlation']:16.3f}  "
            f"{row['spread']:6.3f}"
        )
    return written(content, "\n".join(lines), options.output)


BENCHMARK = Benchmark(noisy_energy, NoisyEnergyOptions, "energies of noisy states against labels")


def by_time(
    model: "GenerativeModel", labels: "Labels", times: Sequence[float], seed: int
) -> list[dict[str, Any]]:
    """Errors and ranks at each time, one draw of the noise for each crystal.

    Args:
        model: Its denoiser has an energy.
        labels: Those above the limit of the model's config are left out, which its training leaves
            out, too; energies count from the lowest label of a composition.
        times: To measure at.
        seed: Of the noise.

    Returns:
        For each time `mae` (of E_t against E_0, eV/atom; it can vanish at 0 only),
        `rank_correlation` (Spearman's, of E_t with E_0 within a composition, averaged over
        compositions with four labels or more) and `spread` (standard deviation of E_t within such a
        composition over that of E_0, averaged; 0 means that noisy states are told apart no more).
    """
    import torch

    from ase_crysdiff.data.energy_crystals import ABOVE_LOWEST, compositions, energy_crystals

    packed = energy_crystals(labels, model.config["energy"]["limit"])
    packed = packed.select(packed.batch.num_atoms <= model.state_space.max_atoms)
    batch, order = packed.batch.sorted()
    energy = packed.values[ABOVE_LOWEST][order]
    group = compositions(batch.species, batch.num_atoms)
    rows = []
    for t in times:
        found = torch.cat(
            [_energies(model, part, float(t), seed + k) for k, part in enumerate(_parts(batch))]
        )
        rank, spread = _within(found, energy, group)
        mae = float((found - energy).abs().mean())
        rows.append(
            {
                "t": float(t),
                "mae": mae,
                "rank_correlation": rank,
                "spread": spread,
                "crystals": len(energy),
            }
        )
    return rows


def _parts(batch: "CrystalBatch", size: int = 256) -> Iterator["CrystalBatch"]:
    for start in range(0, len(batch), size):
        yield batch.select(list(range(start, min(start + size, len(batch)))))


def _energies(model: "GenerativeModel", batch: "CrystalBatch", t: float, seed: int) -> "Tensor":
    """E_t of every crystal, noised to t."""
    import torch

    from ase_crysdiff.networks.noisy_energy import EnergyDenoiser
    from ase_crysdiff.randomness import GeneratorStream

    layout, network = batch.layout, model.denoiser
    assert isinstance(network, EnergyDenoiser)
    generator = torch.Generator().manual_seed(seed)
    times = torch.full((len(batch),), t)
    state: Mapping[str, torch.Tensor] = model.joint.encode(batch)
    if t > 0:
        state, _ = model.joint.corrupt(
            state, times, layout, lambda _, level: GeneratorStream(layout.rows(level), generator)
        )
    with torch.no_grad():
        return network.energy(state, times, {"species": batch.species}, layout)


def _within(found: "Tensor", energy: "Tensor", group: "Tensor") -> tuple[float, float]:
    """Rank correlation within groups and spread of `found` over that of `energy`, means over the
    groups.
    """
    import numpy as np
    import torch
    from scipy.stats import rankdata

    ranks, spreads = [], []
    for members in torch.argsort(group, stable=True).split(torch.bincount(group).tolist()):
        ours, theirs = found[members].double().numpy(), energy[members].double().numpy()
        if len(members) < _FEWEST or theirs.std() == 0:
            continue
        a, b = rankdata(ours), rankdata(theirs)
        # Equal predictions have no order and count as none.
        ranks.append(float(np.corrcoef(a, b)[0, 1]) if a.std() else 0.0)
        spreads.append(float(ours.std() / theirs.std()))
    return (
        (float(np.mean(ranks)), float(np.mean(spreads))) if ranks else (float("nan"), float("nan"))
    )
