"""Weights on disk: a folder with `card.json` and `weights.safetensors`. No pickles, no downloads.

Cards are found and read without torch, which is imported where tensors are.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.environment import weights_folder
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models.card import Card, upgrade

if TYPE_CHECKING:
    import torch

CARD = "card.json"
WEIGHTS = "weights.safetensors"


def find(name: str, path: str | Path | None = None) -> Path:
    """The folder of a model's weights: an explicit path, else `CRYSDIFF_WEIGHTS`, else those in the
    package.

    Raises:
        CheckpointError: If there are none.
    """
    if path is not None:
        folder = Path(path)
        if not (folder / CARD).is_file():
            raise CheckpointError(
                f"{folder} holds no weights: {CARD} is missing. Give a folder that crysdiff export "
                "wrote; it makes weights of a training run."
            )
        return folder
    places = [weights_folder(), Path(str(resources.files("ase_crysdiff"))) / "weights"]
    for place in places:
        if place is not None and (place / name / CARD).is_file():
            return place / name
    looked = ", ".join(str(p) for p in places if p is not None)
    raise CheckpointError(
        f"There are no weights for {name!r} in {looked}. Train them (crysdiff train), or set "
        "CRYSDIFF_WEIGHTS to a folder "
        f"that holds {name}/{CARD}."
    )


def find_named(given: str | Path) -> Path:
    """The folder of weights that are given by name or by folder, whichever it is. A name stays one
    where a folder of that name holds no weights, such as that of a training run.

    Raises:
        CheckpointError: If there are none.
    """
    folder = Path(given)
    is_folder = isinstance(given, Path) or len(folder.parts) > 1 or (folder / CARD).is_file()
    return find(str(given), folder if is_folder else None)


def read_card(folder: Path) -> Card:
    """The card of a folder, brought to today's format.

    Raises:
        CheckpointError: If it is damaged, of a later version, or has entries that are not known.
    """
    path = folder / CARD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read as a card ({error!r}).") from error
    try:
        content = upgrade({**content, "format": version})
        del content["format"]
        return Card.of(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except InputError as error:
        raise CheckpointError(f"{path} holds a sampling setting that cannot be: {error}") from error
    except (TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} lacks or has too many entries: {error}.") from error


def read(folder: Path) -> tuple[Card, dict[str, "torch.Tensor"]]:
    """Card and tensors of a folder.

    Raises:
        CheckpointError: If the weights do not belong to their card.
    """
    from safetensors.torch import load as load_bytes

    card = read_card(folder)
    path = folder / WEIGHTS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error}).") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.sha256:
        raise CheckpointError(
            f"{path} does not belong to its card: SHA-256 is {digest[:12]}…, expected "
            f"{card.sha256[:12]}…. "
            "The file is damaged or was replaced; install the package or copy the weights again."
        )
    return card, load_bytes(content)


def read_made_by(
    recipe: str, what: str, name: str, path: str | Path | None = None
) -> tuple[Path, Card, dict[str, "torch.Tensor"]]:
    """Folder, card and tensors of weights that a recipe made.

    Args:
        recipe: Its name.
        what: What such weights are, for messages.
        name: Of the model, and of the folder of its weights.
        path: Folder with other weights; None takes `CRYSDIFF_WEIGHTS` or the shipped ones.

    Raises:
        CheckpointError: If they are missing, damaged or those of another recipe.
    """
    folder = find(name, path)
    card, tensors = read(folder)
    if card.config.get("recipe") != recipe:
        raise CheckpointError(
            f"{folder} holds {card.name!r}, expected {what}, which crysdiff train {recipe} makes."
        )
    return folder, card, tensors


def fill(module: "torch.nn.Module", tensors: Mapping[str, "torch.Tensor"], path: Path) -> None:
    """Copies tensors into the parameters of a module; names of earlier versions are understood.

    Raises:
        CheckpointError: If names, shapes or numbers are not as they must be.
    """
    import torch

    from ase_crysdiff.networks.renamed_weights import current_names

    expected = dict(module.named_parameters())
    tensors = current_names(tensors, expected)
    problems = [f"{n} is missing" for n in expected if n not in tensors]
    problems += [f"{n} is not part of the model" for n in tensors if n not in expected]
    problems += [
        f"{n} has shape {tuple(tensors[n].shape)}, expected {tuple(p.shape)}"
        for n, p in expected.items()
        if n in tensors and tensors[n].shape != p.shape
    ]
    problems += [
        f"{n} holds numbers that are not finite"
        for n, t in tensors.items()
        if not torch.isfinite(t).all()
    ]
    if problems:
        shown = "; ".join(problems[:5])
        raise CheckpointError(
            f"{path} does not fit the model of its card ({len(problems)} differences): {shown}."
        )
    with torch.no_grad():
        for name, parameter in expected.items():
            parameter.copy_(tensors[name])


def save(folder: Path, weights: Mapping[str, "torch.Tensor"], card: Mapping[str, Any]) -> Card:
    """Writes weights and card; `card` lacks only the digest.

    Args:
        folder: Created if need be.
        weights: Parameters by name.
        card: The fields of `Card` except `sha256`.

    Raises:
        InputError: If a sampling setting is not known or makes no sense; nothing is written then.
    """
    from ase_crysdiff.storage import write_tensors

    content = Card.of({**card, "sha256": ""}).as_dict()
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS, weights, {"model": str(card["name"])})
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    write_card(folder, {**content, "sha256": digest})
    return read_card(folder)


def write_card(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes `card.json` atomically."""
    from ase_crysdiff.storage import write_text

    write_text(folder / CARD, json.dumps(content, indent=1) + "\n")
