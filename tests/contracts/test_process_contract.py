"""Every registered process meets the published contract, and a broken one does not."""

import pytest
import torch

from ase_crysdiff import registry
from ase_crysdiff.processes.base import ComponentState, Process
from ase_crysdiff.processes.flow import LinearFlow
from ase_crysdiff.testing.processes import CHECKS


class Accuracy(Process[ComponentState]):
    """A toy with auxiliaries, after a Gaussian Bayesian flow: the accuracy of its belief."""

    width = 2

    def prior(self, rng):
        value = rng.normal(2)
        return ComponentState(value, {"accuracy": torch.ones(len(value), dtype=value.dtype)})

    def corrupt(self, clean, t, rng):
        noisy = (1 - t)[:, None] * clean + t[:, None] * rng.normal(2)
        return ComponentState(noisy, {"accuracy": 1 / (t + 1e-3)}), clean

    def clean(self, value, prediction, t):
        return prediction

    def from_clean(self, value, clean, t):
        return clean

    def reverse(self, value, prediction, t, s, rng):
        return self.corrupt(prediction, s, rng)[0]

    def renoise(self, value, s, t, rng):
        return self.corrupt(value.value, (t - s) / (1 - s), rng)[0]


class Forgetful(LinearFlow):
    """A flow whose reverse step ignores what the network says."""

    def reverse(self, value, prediction, t, s, rng):
        return value


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", registry.names(registry.PROCESSES))
def test_registered_processes(name, check):
    check(registry.load(registry.PROCESSES, name)())


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_a_process_with_auxiliaries(check):
    check(Accuracy())


def test_a_broken_process_is_found():
    with pytest.raises(AssertionError, match="end of a step"):
        CHECKS["the_truth_is_reached"](Forgetful(6))
