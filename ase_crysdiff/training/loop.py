"""One training run: a plain loop on Lightning Fabric that can be killed at any moment and goes on
where it was.
"""

import json
import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import torch
from lightning.fabric import Fabric
from torch.func import functional_call
from tqdm import tqdm

from ase_crysdiff.errors import CrysDiffError, InputError
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.training import checkpoint
from ase_crysdiff.training.checkpoint import Progress
from ase_crysdiff.training.ema import WeightAverage
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.task import Task

log = logging.getLogger(__name__)

_MOMENTS = ("exp_avg", "exp_avg_sq")
_MAX_BAD_STEPS = 20


class Loop:
    """Trains the network of a task.

    Randomness of step k comes from a generator seeded with (seed, k, process), the order of the
    data from (seed, epoch): a resumed run therefore needs no state of random generators, and on a
    CPU repeats the uninterrupted one bit for bit.

    Args:
        task: What to train.
        folder: Where checkpoints and the log go.
        settings: The knobs.
        fabric: A launched Fabric; brings device and processes.
    """

    def __init__(self, task: Task, folder: Path, settings: TrainSettings, fabric: Fabric) -> None:
        self.task, self.settings, self.fabric, self.folder = task, settings, fabric, folder
        self.data, self.validation = task.data, task.validation
        self.folder.mkdir(parents=True, exist_ok=True)
        self.progress = Progress()
        network = task.network
        fused = fabric.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            network.parameters(),
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=fused,
        )
        wrapped, self.optimizer = fabric.setup(network, self.optimizer)
        self.average = WeightAverage(network, settings.ema_decay)
        self._restore()
        self.network = torch.compile(wrapped, dynamic=False) if settings.compile else wrapped
        self._stop = False

    def run(self, minutes: float | None = None, progress: bool | None = None) -> Progress:
        """Trains until the last step, the end of the time, or a signal to stop; returns where it
        is.

        Args:
            minutes: Time budget of this call.
            progress: Whether to show a progress bar; None shows one on a terminal.
        """
        started = time.monotonic()
        deadline = None if minutes is None else started + 60 * minutes
        before = self.progress.seconds
        bar = tqdm(
            total=self.settings.steps,
            initial=self.progress.step,
            unit=" steps",
            disable=(not self.fabric.is_global_zero)
            or (None if progress is None else not progress),
            desc=self.folder.name,
        )
        bad_steps = 0
        with bar, self._signals(), (self.folder / "log.jsonl").open("a") as lines:
            for batch in self._batches():
                if self._finished(deadline):
                    break
                total, parts, norm = self._step(batch)
                bad_steps = 0 if torch.isfinite(norm) else bad_steps + 1
                if self.fabric.is_global_zero and self.progress.step % self.settings.log_every == 0:
                    record = {
                        "step": self.progress.step,
                        "epoch": self.progress.epoch,
                        "loss": float(total),
                    }
                    record |= {name: float(part) for name, part in parts.items()}
                    record |= {"grad_norm": float(norm), "seconds": round(self.progress.seconds, 1)}
                    lines.write(json.dumps(record) + "\n")
                    lines.flush()
                    bar.set_postfix({name: f"{float(part):.3f}" for name, part in parts.items()})
                if bad_steps > _MAX_BAD_STEPS:
                    raise CrysDiffError(
                        f"The gradient was not finite in {bad_steps} steps in a row. Lower the "
                        "learning rate "
                        f"(now {self.settings.learning_rate}) and start again from {self.folder}."
                    )
                bar.update()
                self.progress = replace(self.progress, seconds=before + time.monotonic() - started)
                if (
                    self.validation is not None
                    and self.progress.step % self.settings.validate_every == 0
                ):
                    self._validate(lines)
                if self.progress.step % self.settings.checkpoint_every == 0:
                    self.save()
        self.save()
        return self.progress

    def save(self) -> None:
        """Writes a checkpoint."""
        if self.fabric.is_global_zero:
            checkpoint.save(self.folder, self.progress, self._tensors(), dict(self.task.config))
        self.fabric.barrier()

    def _step(self, batch: Any) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        settings, step = self.settings, self.progress.step
        seed = ((settings.seed * 1_000_003 + step) * 1_009 + self.fabric.global_rank) % 2**63
        generator = torch.Generator(self.fabric.device).manual_seed(seed)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate(step)
        total, parts = self.task.objective.loss(self.network, batch, generator)
        self.fabric.backward(total)
        norm = torch.nn.utils.clip_grad_norm_(self.task.network.parameters(), settings.clip_norm)
        # A gradient that is not finite must not reach the weights: the step is skipped, by every
        # process alike.
        if torch.isfinite(norm):
            self.optimizer.step()
            self.average.update(self.task.network, step)
        self.optimizer.zero_grad()
        crystals = len(batch) * self.fabric.world_size
        done = self.progress
        self.progress = replace(
            done, step=step + 1, position=done.position + 1, crystals=done.crystals + crystals
        )
        return total.detach(), parts, norm

    def _batches(self) -> Iterator[Any]:
        while True:
            done = self.progress.position
            epoch = self.data.epoch(
                self.settings.seed,
                self.progress.epoch,
                self.fabric.global_rank,
                self.fabric.world_size,
            )
            for position, batch in enumerate(epoch):
                if position >= done:
                    yield batch
            self.progress = replace(self.progress, epoch=self.progress.epoch + 1, position=0)

    def _finished(self, deadline: float | None) -> bool:
        """Whether to stop before the next step. All processes must agree, or one would wait for the
        others forever.
        """
        over = self._stop or (deadline is not None and time.monotonic() > deadline)
        if self.fabric.world_size > 1:
            over = bool(self.fabric.all_reduce(torch.tensor(float(over)), reduce_op="sum") > 0)
        return over or self.progress.step >= self.settings.steps

    @torch.no_grad()
    def _validate(self, lines: TextIO) -> None:
        if not self.fabric.is_global_zero or self.validation is None:
            return
        generator = torch.Generator(self.fabric.device).manual_seed(0)
        network = self.task.network

        def averaged(*inputs: Any) -> Any:
            return functional_call(network, self.average.weights, inputs)

        sums: dict[str, float] = {}
        count = 0
        for batch in self.validation.everything():
            _, parts = self.task.objective.loss(averaged, batch, generator)
            count += len(batch)
            for name, part in parts.items():
                sums[name] = sums.get(name, 0.0) + float(part) * len(batch)
        record = {
            "step": self.progress.step,
            **{f"val_{n}": s / max(count, 1) for n, s in sums.items()},
        }
        lines.write(json.dumps(record) + "\n")
        lines.flush()

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"average:{n}": t for n, t in self.average.weights.items()}
        for name, parameter in self.task.network.named_parameters():
            tensors[f"weight:{name}"] = parameter
            for moment in _MOMENTS:
                state = self.optimizer.state.get(parameter, {})
                tensors[f"{moment}:{name}"] = state.get(moment, torch.zeros_like(parameter))
        return tensors

    @torch.no_grad()
    def _restore(self) -> None:
        found = checkpoint.load_newest(self.folder)
        if found is None:
            return
        self.progress, tensors, config = found
        part = "backbone" if "backbone" in self.task.config else "encoder"
        if config.get(part) != json.loads(json.dumps(self.task.config[part])):
            raise InputError(
                f"{self.folder} holds a run with the {part} {config.get(part)}, not "
                f"{self.task.config[part]}. "
                "Give another folder, or the config of the old run."
            )
        for name, parameter in self.task.network.named_parameters():
            parameter.copy_(tensors[f"weight:{name}"])
            self.average.weights[name].copy_(tensors[f"average:{name}"])
            state = {m: tensors[f"{m}:{name}"].to(parameter.device) for m in _MOMENTS}
            on = parameter.device if parameter.is_cuda else torch.device("cpu")
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(self.progress.step), device=on),
                **state,
            }
        log.info("%s continues at step %d", self.folder, self.progress.step)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the run after the step in progress; a second one ends it at
        once.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            self._stop = True
            signal.signal(
                number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler
            )

        try:
            old = {
                number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)
            }
        except ValueError:  # not in the main thread, where no handler can be set
            yield
            return
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
