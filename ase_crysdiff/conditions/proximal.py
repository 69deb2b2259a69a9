"""The minimum of an energy near a given point, for many crystals at once."""

from collections.abc import Callable, Mapping

import torch

from ase_crysdiff.shapes import Bool, Float, Int, Tensor

#: Variables by component: rows of numbers, each row belonging to one crystal.
Variables = dict[str, Tensor]
#: (variables, crystals to look at) -> energy of each crystal, not finite where there is none, and
#: its gradient.
Energy = Callable[[Variables, Tensor], tuple[Tensor, Variables]]

#: A move of a crystal by less than this is taken without another evaluation: a hundredth of a
#: standard deviation.
_NEGLIGIBLE = 1e-2


def proximal_minimum(
    energy: Energy,
    start: Variables,
    index: Mapping[str, Int[Tensor, " rows"]],
    crystals: int,
    confine: Callable[[Variables], Variables],
    evaluations: int = 4,
) -> tuple[Variables, Bool[Tensor, " crystals"]]:
    """Where e(u) + |u - u_0|²/2 is lowest, by damped gradient steps from u_0; crystals do not feel
    each other.

    The first step has length one, the next ones that of the secant's curvature (Barzilai & Borwein
    1988), which can only be above one where e is convex; where it is not, one is kept. So an
    isotropic quadratic e needs three evaluations. What does not lower the sum is taken back.

    Args:
        energy: e and its gradient.
        start: u_0; variables in units of their standard deviation.
        index: The crystal of each row of a component.
        crystals: How many there are.
        confine: Moves variables back to where they may go.
        evaluations: Of e, at most, for each crystal.

    Returns:
        The lowest point that was seen, and which crystals have an energy at u_0; the others stay
        there.

    Source: Parikh & Boyd 2014, section 1.1, for the proximal operator.
    """
    device = next(iter(start.values())).device
    first, gradient = energy(start, torch.ones(crystals, dtype=torch.bool, device=device))
    found = torch.isfinite(first)
    best, lowest = start, first
    rate, live = torch.ones_like(first), found.clone()
    for number in range(1, evaluations + 1):
        trial = confine({n: best[n] - rate[index[n]][:, None] * gradient[n] for n in best})
        step = {n: trial[n] - best[n] for n in best}
        length = _dot(step, step, index, crystals)
        small = live & (length < _NEGLIGIBLE**2)
        best = _choose(small, trial, best, index)
        live = live & ~small
        if number == evaluations or not bool(live.any()):
            break
        value, there = energy(trial, live)
        away = {n: trial[n] - start[n] for n in trial}
        value = value + _dot(away, away, index, crystals) / 2
        there = {n: there[n] + away[n] for n in there}
        sound = live & torch.isfinite(value)
        turned = _dot(step, {n: there[n] - gradient[n] for n in there}, index, crystals)
        curvature = torch.where(sound, turned / length.clamp_min(1e-30), torch.ones_like(rate))
        better = sound & (value < lowest)
        shorter = torch.where(sound, torch.minimum(1 / curvature.clamp_min(1), rate / 2), rate / 4)
        rate = torch.where(better, 1 / curvature.clamp_min(1), shorter)
        best, gradient = (
            _choose(better, trial, best, index),
            _choose(better, there, gradient, index),
        )
        lowest = torch.where(better, value, lowest)
    return best, found


def _dot(
    a: Variables, b: Variables, index: Mapping[str, Tensor], crystals: int
) -> Float[Tensor, " crystals"]:
    """Scalar product per crystal."""
    some = next(iter(a.values()))
    total = torch.zeros(crystals, dtype=some.dtype, device=some.device)
    for name in a:
        total = total.index_add(0, index[name], (a[name] * b[name]).sum(-1))
    return total


def _choose(
    crystals: Bool[Tensor, " crystals"],
    one: Variables,
    other: Variables,
    index: Mapping[str, Tensor],
) -> Variables:
    return {n: torch.where(crystals[index[n]][:, None], one[n], other[n]) for n in one}
