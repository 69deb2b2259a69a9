"""Settings of a training run."""

from dataclasses import dataclass
from typing import ClassVar

from ase_crysdiff.errors import InputError

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class TrainSettings:
    """How a model is trained.

    Args:
        steps: Optimiser steps of the whole run; fixes the learning rate's course.
        batch_size: Crystals per step and process.
        max_pairs: Upper limit of batch_size × atoms² per step and process.
        batch_atoms: Atoms per step and process in the training of potentials, which goes by atoms,
            not by crystals.
        learning_rate: Peak learning rate of AdamW.
        warmup: Steps of linear rise.
        cooldown: Last share of the steps over which the rate falls linearly to zero.
        weight_decay: Of AdamW.
        clip_norm: Largest norm of the gradient.
        ema_decay: Decay of the averaged weights, which are what ships.
        precision: Format of the large matrix products, `float32` or `bfloat16`.
        compile: Whether to compile the network; pays on GPUs.
        seed: Of initial weights, order of the data and noise.
        validate_every: Steps between validations.
        checkpoint_every: Steps between checkpoints.
        log_every: Steps between lines of the log.
    """

    #: The settings that give the course of the learning rate: a run may be made longer or shorter.
    COURSE: ClassVar[tuple[str, ...]] = ("steps", "cooldown", "learning_rate")

    steps: int = 200_000
    batch_size: int = 64
    max_pairs: int = 65_536
    batch_atoms: int = 192
    learning_rate: float = 1e-3
    warmup: int = 500
    cooldown: float = 0.2
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    precision: str = "float32"
    compile: bool = False
    seed: int = 0
    validate_every: int = 1000
    checkpoint_every: int = 500
    log_every: int = 50

    def __post_init__(self) -> None:
        positive = (
            "steps",
            "batch_size",
            "max_pairs",
            "batch_atoms",
            "learning_rate",
            "clip_norm",
            "validate_every",
            "checkpoint_every",
            "log_every",
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}.")
        if not 0 <= self.ema_decay < 1 or not 0 <= self.cooldown <= 1 or self.warmup < 0:
            raise InputError("ema_decay and cooldown lie in [0, 1), warmup is not negative.")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision must be one of {PRECISIONS}, got {self.precision!r}.")

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        tail = self.steps * self.cooldown
        fall = min(1.0, (self.steps - step) / tail) if tail else 1.0
        return self.learning_rate * rise * max(0.0, fall)
