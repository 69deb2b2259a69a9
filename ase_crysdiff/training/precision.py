"""The format of large matrix products in training, and what it costs on the device at hand."""

import logging
import time

import torch
from torch import nn

from ase_crysdiff.training.settings import TrainSettings

_LOG = logging.getLogger(__name__)
#: Rows, columns and repetitions of the products that are timed, some milliseconds in float32.
_ROWS, _WIDTH, _TIMES = 1024, 192, 5
#: A format that takes so many times as long as float32 is worth a word.
_SLOW = 1.5


def seconds(dtype: torch.dtype, device: torch.device) -> float:
    """Least time of a matrix product of the size that the networks have.

    Args:
        dtype: Format of the numbers.
        device: Where it is computed.
    """
    rows = torch.ones(_ROWS, _WIDTH, dtype=dtype, device=device)
    columns = torch.ones(_WIDTH, _WIDTH, dtype=dtype, device=device)
    found = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        float((rows @ columns)[0, 0])  # waits for a GPU
        found.append(time.perf_counter() - start)
    return min(found)


def slowdown(dtype: torch.dtype, device: torch.device) -> float:
    """How many times as long as in float32 a matrix product takes.

    Processors without instructions for bfloat16 emulate them, up to thirty times as slowly.

    Args:
        dtype: Format of the numbers.
        device: Where it is computed.
    """
    return seconds(dtype, device) / seconds(torch.float32, device)


def set_products(encoder: nn.Module, settings: TrainSettings, device: torch.device) -> None:
    """Lets an encoder compute its large products in the format of the settings, with a warning
    where float32 would be faster.

    Args:
        encoder: Has `products`; changed in place.
        settings: `precision` counts here.
        device: Where the training computes.
    """
    products: torch.dtype = getattr(torch, settings.precision)
    encoder.products = products  # type: ignore[assignment]  # no module of its own
    if products == torch.float32:
        return
    times = slowdown(products, device)
    if times > _SLOW:
        _LOG.warning(
            "Matrix products in %s take %.0f times as long as in float32 on this device; leave out "
            "--precision.",
            settings.precision,
            times,
        )
