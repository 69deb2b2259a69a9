"""What weights of a potential say of how far they are to be believed: fitted, measured, stored.

python tools/fit_uncertainty.py ase_crysdiff/weights/dao-p --train levels.safetensors \
    --validation levels_val.safetensors --crystals mp/val.csv.gz

Writes `uncertainty.safetensors` beside the weights, which stay as they are, and the figures into
their card. Weights without that file know nothing of themselves; a file made for other weights is
refused when they are loaded.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

from ase_crysdiff.campaigns.uncertainty import INSIDE, SAMPLE, fit_uncertainty
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.readers import read_all
from ase_crysdiff.models.weights import read_card, write_card
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.relaxation.structures import configurations


def main() -> None:
    """Fits, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="folder with card.json")
    parser.add_argument("--train", type=Path, required=True, help="labels that it has learnt from")
    parser.add_argument("--level", help="of the training labels; left out, all levels")
    parser.add_argument("--validation", type=Path, required=True, help="labels that it has not")
    parser.add_argument("--crystals", type=Path, help="held-out crystals that set the limit")
    parser.add_argument("--inside", type=float, default=INSIDE, help="share of them inside")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="training labels looked at")
    parser.add_argument("--about", default="", help="words on the labels, for the card")
    options = parser.parse_args()
    began = time.process_time()
    path = options.weights / "uncertainty.safetensors"
    path.unlink(missing_ok=True)  # of earlier weights it would be refused
    potential = load_potential("dao-p", weights=options.weights)
    training = Labels.load(options.train)
    training = training if options.level is None else training.of_level(options.level)
    crystals = None
    if options.crystals is not None:
        crystals = configurations([record.load() for record in read_all([options.crystals])])
        crystals = replace(crystals, labels=())
    found = fit_uncertainty(
        potential,
        training,
        Labels.load(options.validation),
        crystals,
        sample=options.sample,
        inside=options.inside,
    )
    card = read_card(options.weights)
    found.familiarity.save(options.weights, card)
    entry = {
        "command": _command(options),
        "what": options.about,
        "results": {n: {"value": round(float(v), 5)} for n, v in found.measured.items()},
    }
    content = card.as_dict()
    content["measured"] = {**content["measured"], "uncertainty": entry}
    write_card(options.weights, content)
    print(json.dumps(found.measured, indent=1, ensure_ascii=False))
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB, {time.process_time() - began:.0f} CPU s")


def _command(options: argparse.Namespace) -> str:
    """What was asked, without folders."""
    given = {
        "": options.weights.resolve().name,
        "--train ": options.train.name,
        "--level ": options.level,
        "--validation ": options.validation.name,
        "--crystals ": options.crystals and options.crystals.name,
        "--inside ": options.inside,
    }
    words = [f"{name}{value}" for name, value in given.items() if value is not None]
    return " ".join(["python tools/fit_uncertainty.py", *words])


if __name__ == "__main__":
    main()
