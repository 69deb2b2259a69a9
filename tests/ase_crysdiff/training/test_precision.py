"""The format of products in training: what is warned of."""

import pytest
import torch

from ase_crysdiff.networks.encoders.cspnet import CSPNet
from ase_crysdiff.training import precision
from ase_crysdiff.training.precision import set_products, slowdown
from ase_crysdiff.training.settings import TrainSettings

CPU = torch.device("cpu")


def test_the_slowdown_is_that_against_single_precision(monkeypatch):
    assert precision.seconds(torch.float32, CPU) > 0
    took = {torch.float32: 2.0, torch.bfloat16: 6.0}
    monkeypatch.setattr(precision, "seconds", lambda dtype, device: took[dtype])
    assert slowdown(torch.bfloat16, CPU) == 3.0


@pytest.mark.parametrize(("times", "warned"), [(24.0, True), (0.6, False)])
def test_a_format_slower_than_single_precision_is_warned_of(times, warned, caplog, monkeypatch):
    monkeypatch.setattr(precision, "slowdown", lambda dtype, device: times)
    encoder = CSPNet(6, hidden=8, layers=1)
    set_products(encoder, TrainSettings(precision="bfloat16"), CPU)
    assert encoder.products == torch.bfloat16
    assert ("take 24 times as long" in caplog.text) == warned


def test_single_precision_is_not_timed(caplog, monkeypatch):
    monkeypatch.setattr(precision, "slowdown", None)
    encoder = CSPNet(6, hidden=8, layers=1)
    set_products(encoder, TrainSettings(), CPU)
    assert encoder.products == torch.float32
    assert not caplog.text
