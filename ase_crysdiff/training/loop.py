"""One training run: a plain loop on Lightning Fabric that can be killed at any moment and goes on
where it was.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import torch
from lightning.fabric import Fabric
from torch.func import functional_call

from ase_crysdiff.errors import CrysDiffError
from ase_crysdiff.networks.renamed_weights import current_names
from ase_crysdiff.progress import tqdm
from ase_crysdiff.randomness import mixed_seed
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.training import checkpoint
from ase_crysdiff.training.best_weights import BestWeights
from ase_crysdiff.training.checkpoint import Checkpoint, Progress
from ase_crysdiff.training.ema import WeightAverage
from ase_crysdiff.training.run_record import RunRecord
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.signals import ending_by_signal
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
        folder: Where checkpoints and the log go. A run that is there goes on.
        settings: Steps, learning rate, seed and the like, see `TrainSettings`.
        fabric: A launched Fabric; brings device and processes.
        extend: Whether steps, cooldown and learning rate of a run that is there may change.

    Raises:
        InputError: If the folder holds a run that began with another config, other settings, data
            or initial weights.
        CheckpointError: If its checkpoints cannot be read.
    """

    def __init__(
        self,
        task: Task,
        folder: Path,
        settings: TrainSettings,
        fabric: Fabric,
        extend: bool = False,
    ) -> None:
        self.task, self.settings, self.fabric, self.folder = task, settings, fabric, folder
        self.data, self.validation = task.data, task.validation
        self.folder.mkdir(parents=True, exist_ok=True)
        self.progress = Progress()
        self.record = RunRecord.of(task, settings, fabric.world_size, fabric.device.type)
        found = checkpoint.load_newest(folder)
        if found is not None:
            self.record = self._continued(found, extend)
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
        if found is not None:
            self._restore(found)
        self.best = (
            None if task.early_stopping is None else BestWeights(folder, task.early_stopping)
        )
        self.network = torch.compile(wrapped, dynamic=False) if settings.compile else wrapped
        self._stop = False

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do: all steps are done, or the validation error has not
        fallen for as long as the task allows.
        """
        step = self.progress.step
        return step >= self.settings.steps or (self.best is not None and self.best.stale(step))

    @property
    def interrupted(self) -> bool:
        """Whether a signal or `request_stop` ended the run."""
        return self._stop

    def request_stop(self) -> None:
        """Ends a run after the step in progress, as SIGINT and SIGTERM do; from another thread or
        from the objective.
        """
        self._stop = True

    def best_weights(self) -> dict[str, Tensor]:
        """The averaged weights by name: those with the lowest validation error where the task keeps
        them and something was validated, else the newest.
        """
        kept = None if self.best is None else self.best.weights()
        return dict(self.average.weights if kept is None else kept)

    def run(
        self,
        minutes: float | None = None,
        progress: bool | None = None,
        stop: Callable[[Progress], bool] | None = None,
    ) -> Progress:
        """Trains until the last step, the end of the time, or a signal to stop, saves, and returns
        where it is.

        Args:
            minutes: Time budget of this call.
            progress: Whether to show a progress bar; None shows one on a terminal.
            stop: Asked before every step whether to end here.
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
        with (
            bar,
            ending_by_signal(self.request_stop),
            (self.folder / "log.jsonl").open("a", encoding="utf-8") as lines,
        ):
            for batch in self._batches():
                if self._over(deadline, stop):
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
            checkpoint.save(self.folder, self.progress, self._tensors(), self.record)
        self.fabric.barrier()

    def _step(self, batch: Any) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        settings, step = self.settings, self.progress.step
        seed = mixed_seed(settings.seed, step, self.fabric.global_rank)
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

    def _over(self, deadline: float | None, stop: Callable[[Progress], bool] | None) -> bool:
        """Whether to stop before the next step. All processes must agree, or one would wait for the
        others forever.
        """
        over = self._stop or self.finished or (stop is not None and stop(self.progress))
        over = over or (deadline is not None and time.monotonic() > deadline)
        if self.fabric.world_size > 1:
            over = bool(self.fabric.all_reduce(torch.tensor(float(over)), reduce_op="sum") > 0)
        return over

    @torch.no_grad()
    def _validate(self, lines: TextIO) -> None:
        if not self.fabric.is_global_zero or self.validation is None:
            return
        errors = self.validation_errors()
        record = {"step": self.progress.step, **{f"val_{n}": e for n, e in errors.items()}}
        lines.write(json.dumps(record) + "\n")
        lines.flush()
        if self.best is not None:
            error = errors[self.best.rule.error]
            self.best.offer(error, self.progress, self.average.weights)

    @torch.no_grad()
    def validation_errors(self) -> dict[str, float]:
        """The objective's named numbers for the averaged weights, means over the validation set;
        empty without one. Every call draws the same noise.
        """
        if self.validation is None:
            return {}
        generator = torch.Generator(self.fabric.device).manual_seed(0)
        network = self.task.network

        def averaged(*inputs: Any) -> Any:
            return functional_call(network, self.average.weights, inputs)

        sums: dict[str, float] = {}
        counts: dict[str, int] = {}  # not every batch has every number
        for batch in self.validation.everything():
            _, parts = self.task.objective.loss(averaged, batch, generator)
            for name, part in parts.items():
                counts[name] = counts.get(name, 0) + len(batch)
                sums[name] = sums.get(name, 0.0) + float(part) * len(batch)
        return {name: total / max(counts[name], 1) for name, total in sums.items()}

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"average:{n}": t for n, t in self.average.weights.items()}
        for name, parameter in self.task.network.named_parameters():
            tensors[f"weight:{name}"] = parameter
            for moment in _MOMENTS:
                state = self.optimizer.state.get(parameter, {})
                tensors[f"{moment}:{name}"] = state.get(moment, torch.zeros_like(parameter))
        return tensors

    def _continued(self, found: Checkpoint, extend: bool) -> RunRecord:
        """The record of the run that is there, if it may go on as it is called now."""
        old = found.record
        missing = [name for name in ("settings", "inputs") if getattr(old, name) is None]
        if missing:
            log.warning(
                "%s was begun by an older version, which kept no record of its %s: those of this "
                "call are taken as its own.",
                self.folder,
                " and ".join(missing),
            )
        record = old.continued(self.record, found.progress.step, self.folder, extend)
        for change in record.history[len(old.history) :]:
            log.info("%s changes at step %d: %s", self.folder, change["step"], change["changed"])
        return record

    @torch.no_grad()
    def _restore(self, found: Checkpoint) -> None:
        self.progress = found.progress
        parameters = dict(self.task.network.named_parameters())
        # Names that parameters had in earlier versions are understood.
        parts = {
            kind: current_names(found.part(kind), parameters)
            for kind in ("weight", "average", *_MOMENTS)
        }
        for name, parameter in parameters.items():
            parameter.copy_(parts["weight"][name])
            self.average.weights[name].copy_(parts["average"][name])
            state = {m: parts[m][name].to(parameter.device) for m in _MOMENTS}
            on = parameter.device if parameter.is_cuda else torch.device("cpu")
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(self.progress.step), device=on),
                **state,
            }
        log.info("%s continues at step %d", self.folder, self.progress.step)
