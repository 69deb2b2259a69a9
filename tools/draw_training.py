"""Draws docs/training.png: figures on validation data against the core-hours of training.

python tools/draw_training.py

benchmarks/training.csv has a line for each block of each model: its core-hours from the beginning,
and a figure on validation data at its end. Another block is one line; then also run
tools/fill_pages.py, which writes the same lines into the page on training.
"""

import csv
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
CURVES, PICTURE = ROOT / "benchmarks/training.csv", ROOT / "docs/training.png"
COLUMNS = 3


def curves(path: Path = CURVES) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Lines of the file by model and figure, in the order of their hours.

    Raises:
        ValueError: If a line lacks a number.
    """
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            float(line["core-hours"]), float(line["value"])
            found.setdefault((line["model"], line["figure"]), []).append(line)
    return {k: sorted(v, key=lambda line: float(line["core-hours"])) for k, v in found.items()}


def draw(path: Path = CURVES) -> Any:
    """The picture: a panel for each figure, hours on a scale on which doublings are alike."""
    found = curves(path)
    rows = -(-len(found) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(4.2 * COLUMNS, 3.2 * rows), squeeze=False)
    for axis in axes.flat[len(found) :]:
        axis.axis("off")
    for axis, ((model, name), lines) in zip(axes.flat, found.items(), strict=False):
        hours = [float(line["core-hours"]) for line in lines]
        values = [float(line["value"]) for line in lines]
        axis.plot(hours, values, "o-", color="#2f6f9f", linewidth=1.6, markersize=4)
        axis.set_xscale("log", base=2)
        ticks = [h for h in (0.5, 1, 2, 4, 8, 16, 32, 64) if min(hours) / 2 <= h <= max(hours) * 2]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_title(f"{model} ({lines[0]['better']} is better)", fontsize=9)
        axis.set_ylabel("\n".join(broken(name)), fontsize=8)
        axis.set_xlabel("core-hours", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    return figure


def broken(text: str, width: int = 34) -> list[str]:
    """A text in two lines, if it is long."""
    if len(text) <= width:
        return [text]
    middle = text.rfind(" ", 0, width)
    return [text[:middle], text[middle + 1 :]]


if __name__ == "__main__":
    draw().savefig(PICTURE, dpi=110, metadata={"Software": None})
    print(f"{PICTURE.relative_to(ROOT)} is drawn")
