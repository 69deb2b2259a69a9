"""What a pretrained backbone's latents still know of held-out crystals.

Elements of some atoms are hidden, as in pretraining, and told from the rest; distances and the cell
are decoded from the latents.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.base import Benchmark, BenchmarkResult

if TYPE_CHECKING:
    import torch

    from ase_crysdiff.data.packed import PackedCrystals
    from ase_crysdiff.networks.graph import CrystalGraph
    from ase_crysdiff.networks.latent.crysldnet import CrysLDNet
    from ase_crysdiff.shapes import Tensor

_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class ReconstructionOptions:
    """Options of `reconstruction`.

    Args:
        name: name of the pretrained backbone, such as crysldnet, or a folder of weights
        targets: crystals that it was not trained on, packed or to be packed
        limit: only the first so many
        masked: share of hidden elements; default as in its training
        seed: of the choice of hidden atoms
        output: JSON file of the result
    """

    name: str
    targets: Path
    limit: int | None = None
    masked: float | None = None
    seed: int = 0
    output: Path = Path("reconstruction.json")


def reconstruction(options: ReconstructionOptions) -> BenchmarkResult:
    """Elements, distances and cells of held-out crystals, told from the latents of a backbone.

    Args:
        options: What is asked for.

    Returns:
        `results`: accuracy over the hidden elements and mean absolute errors of distances (Å),
        lengths (Å) and angles (degrees), each beside what one would reach without the latents.

    Raises:
        InputError: If the targets cannot be read.
        CheckpointError: If the weights are no pretrained backbone with decoders.
    """
    from ase_crysdiff.campaigns.benchmark.machine import machine
    from ase_crysdiff.campaigns.benchmark.run import written
    from ase_crysdiff.models.pretrained import load_autoencoder
    from ase_crysdiff.storage import ensure_writable

    ensure_writable(options.output.parent)
    network, card = load_autoencoder(options.name)
    data, skipped = _read(options.targets, options.limit)
    masked = card.config["masked"] if options.masked is None else options.masked
    started = time.perf_counter()
    found, left_out = reconstruct(network, data, masked, options.seed)
    content = {
        "backbone": card.name,
        "version": card.version,
        "targets": {
            "file": options.targets.name,
            "count": len(data) - left_out,
            "skipped": skipped,
            "left_out": left_out,
        },
        "masked": masked,
        "seed": options.seed,
        "seconds": round(time.perf_counter() - started, 1),
        "machine": machine("cpu"),
        "results": {name: result.as_plain() for name, result in found.items()},
    }
    lines = [f"{card.name}: {len(data) - left_out:,} crystals, {skipped + left_out:,} left out"]
    lines += [
        f"  {name:22} {result}   without the latents {result.settings['trivial']:.4g}"
        for name, result in found.items()
    ]
    return written(content, "\n".join(lines), options.output)


BENCHMARK = Benchmark(
    reconstruction, ReconstructionOptions, "elements, distances and cells told from latents"
)


def reconstruct(
    network: "CrysLDNet", data: "PackedCrystals", masked: float, seed: int
) -> tuple[dict[str, Any], int]:
    """Accuracy over the hidden atoms, and mean absolute errors, each first over a crystal's
    numbers, then over crystals.

    Beside each stands, as `trivial`, what one would reach without looking: the most frequent
    elements, the median of the targets.

    Args:
        network: Has decoders.
        data: In the cells of the training, that is, Niggli cells.
        masked: Share of hidden elements.
        seed: Of their choice.

    Returns:
        `MetricResult` by name, and how many crystals hold elements that no backbone knows.
    """
    import torch

    from ase_crysdiff.metrics.base import mean, rate
    from ase_crysdiff.training.graph_crystals import GraphCrystals

    assert network.decoders is not None
    batches = GraphCrystals(data, network.backbone.neighborhood, _BATCH, torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    decoded = [_decode(network, batch.graph, masked, generator) for batch in batches.everything()]
    truth, place = (torch.cat([d[part] for d in decoded]) for part in ("truth", "place"))
    common = torch.bincount(truth).argsort(descending=True)
    settings = {"masked": masked, "seed": seed}
    found = {}
    for name, most in (("element_accuracy", 1), ("element_top5", 5)):
        trivial = float(torch.isin(truth, common[:most]).double().mean())
        found[name] = rate((place < most).tolist(), {}, settings | {"trivial": trivial})
    for name, quantity in network.decoders.geometry.quantities.items():
        errors, values = (
            torch.cat([d[f"{part}:{name}"] for d in decoded]) for part in ("error", "target")
        )
        trivial = float((values - values.median()).abs().mean())
        found[name] = mean(
            errors.tolist(), {}, settings | {"trivial": trivial, "unit": quantity.unit}
        )
    return found, batches.left_out


def _decode(
    network: "CrysLDNet", graph: "CrystalGraph", masked: float, generator: "torch.Generator"
) -> dict[str, "Tensor"]:
    """True elements of the hidden atoms and their place among the guesses; error per crystal and
    targets of every quantity.
    """
    import torch

    from ase_crysdiff.networks.graph import MASKED
    from ase_crysdiff.training.masking import draw_masks

    crystals, decoders = graph.crystals, network.decoders
    assert decoders is not None
    hidden = draw_masks(crystals.num_atoms, masked, generator)
    masked_graph = graph.with_species(crystals.species.masked_fill(hidden, MASKED))
    with torch.no_grad():
        latent = network.posterior(network.backbone(masked_graph).nodes).mean
        decoded, wanted = decoders(latent, crystals.num_atoms), decoders.geometry.targets(crystals)
    truth, logits = crystals.species[hidden], decoded.elements[hidden]
    found = {"truth": truth, "place": (logits > logits.gather(1, truth.unsqueeze(1))).sum(1)}
    n = crystals.num_atoms
    rows = {"crystal": torch.ones_like(n), "atom": n, "pair": n * (n + 1) // 2}
    for name, quantity in decoders.geometry.quantities.items():
        found[f"target:{name}"] = wanted[name].flatten()
        errors = (decoded.geometry[name] - wanted[name]).abs()
        found[f"error:{name}"] = torch.stack(
            [part.mean() for part in errors.split(rows[quantity.level].tolist())]
        )
    return found


def _read(path: Path, limit: int | None) -> tuple["PackedCrystals", int]:
    """Crystals in their Niggli cells, and how many entries of the file are none."""
    import torch

    from ase_crysdiff.data.packed import PackedCrystals
    from ase_crysdiff.data.packing import pack

    if path.suffix == ".safetensors":
        packed, skipped = PackedCrystals.load(path), 0
    else:
        packed, report = pack([path])
        skipped = len(report.skipped)
    return (packed if limit is None else packed.select(torch.arange(len(packed)) < limit)), skipped
