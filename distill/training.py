"""The training loop that float distillation and quantization-aware fine-tuning share.

A run has a folder: `run.json` (its settings), `log.csv` (every loss term, and the validation figures), `checkpoint.pt`
(everything needed to resume). A run that is killed at any point and resumed ends with the same result to the bit.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from distill import bfloat16, processes
from distill.batches import Batch, Batches
from distill.optimisers import optimisers
from distill.recipe import Recipe
from distill.run_files import CHECKPOINT, LOG, SETTINGS
from distill.run_folder import check_resume_settings, cut_log, require_new_run_dir
from pose import files
from pose.errors import InputError
from pose.models.checkpoint import load_pickled

_CHECKPOINT_SECONDS = 120.0
_VALIDATIONS, _LEAST_BETWEEN = 10, 100  # over a run, and steps from one to the next
Objective = Callable[[nn.Module, Batch], dict[str, Tensor]]  # the terms of the loss, as they enter their sum
Validate = Callable[[nn.Module], dict[str, float]]


class Average:
    """Exponential moving average of a module's parameters, short at first so that early weights are forgotten.

    Buffers are copied: batch norm's statistics are averages already, and a quantizer's scale and zero point belong together.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        averaged = {name for name, _ in module.named_parameters()}
        for name, value in module.state_dict().items():
            if name in averaged:
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)


class Run:
    """One training run in a folder.

    Args:
        settings: whatever determines the result beside `recipe`; a resumed run must have the same.
        validate: figures of the averaged model, measured at most ten times over the run and at its end.

    Raises:
        InputError: the folder holds a run already and `resume` is not asked for; or it holds one with other settings.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        objective: Objective,
        batches: Batches,
        recipe: Recipe,
        settings: dict[str, Any],
        *,
        validate: Validate | None = None,
        workers: int = 1,
        resume: bool = False,
    ) -> None:
        self.folder, self.objective, self.batches, self.recipe = Path(folder), objective, batches, recipe
        self.validate, self.workers = validate, workers
        self.steps = recipe.steps(len(batches.crops))
        self.every = max(_LEAST_BETWEEN, math.ceil(self.steps / _VALIDATIONS))
        require_new_run_dir(self.folder, resume)
        processes.state()
        self.accelerator = Accelerator()
        self.module: nn.Module = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model, *self.optimisers = self.accelerator.prepare(model, *optimisers(model, recipe, self.accelerator.device))
        self.bf16 = recipe.bf16 and bfloat16.is_fast(self.accelerator.device)
        if recipe.bf16 and not self.bf16:
            processes.note("this processor does not multiply bfloat16, which is slow without: training in float32")
        self.average = Average(model, recipe.ema)
        self.step = 0
        self.figures: dict[str, float] | None = None  # the last that were measured
        self._open(settings, resume)

    @property
    def main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.accelerator.is_main_process

    def train(self, progress: Callable[[int], None] = lambda done: None) -> None:
        """Train to the end, from the step that was reached. `progress` is called with the number of steps done."""
        saved = time.monotonic()
        self._training()
        for prepared in self.batches.loader(self.step, self.steps, self.workers):
            batch = prepared.to(self.accelerator.device)
            for group in (group for optimiser in self.optimisers for group in optimiser.param_groups):
                group["lr"] = group["peak"] * self.recipe.rate(self.step, self.steps)
            terms = self._update(batch)
            self.step += 1
            self.average.update(self.module, self.step)
            row: dict[str, Any] = {"step": self.step, "seconds": round(time.time() - self._began, 1), **terms}
            if self.validate is not None and (self.step % self.every == 0 or self.step == self.steps):
                self.figures = self._validated()
                row |= self.figures
            if self.main:
                self._log(row)
                if time.monotonic() - saved > _CHECKPOINT_SECONDS or self.step == self.steps:
                    self.save()
                    saved = time.monotonic()
                progress(self.step)
        self.accelerator.wait_for_everyone()

    def finish(self) -> dict[str, float]:
        """Put the averaged weights into the module, for good: the run's result. Returns their validation figures.

        Raises:
            InputError: a weight is NaN or infinite.
        """
        weights = {name: self.average.state[name] for name, _ in self.module.named_parameters()}
        diverged = [name for name, value in weights.items() if not torch.isfinite(value).all()]
        if diverged:
            raise InputError(
                f"training diverged: {len(diverged)} tensors hold NaN or infinity ({diverged[0]} first); "
                "take a lower lr in the recipe, and another --out"
            )
        self.module.load_state_dict(self.average.state)
        if self.figures is None and self.validate is not None:  # nothing was left to train
            self.figures = self.validate(self.module)
        return self.figures or {}

    def save(self) -> None:
        """Write the checkpoint atomically."""
        state = {
            "step": self.step,
            "model": self.module.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "average": self.average.state,
        }
        path = self.folder / CHECKPOINT
        with files.atomic_file(path) as temporary:
            try:
                torch.save(state, temporary)
            except RuntimeError as error:  # torch's zip writer raises it on a full disk
                raise InputError(f"cannot write {path}: is the disk full? free some space, then --resume") from error

    def _update(self, batch: Batch) -> dict[str, float]:
        with torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.bf16):
            terms = self.objective(self.model, batch)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss is {loss.item()} at step {self.step + 1} of {self.folder}; take a lower lr, or bf16: false, "
                "in the recipe, and another --out"
            )
        self.accelerator.backward(loss)
        if self.recipe.clip:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return {"loss": loss.item(), **{name: term.item() for name, term in terms.items()}}

    def _validated(self) -> dict[str, float]:
        own = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.module.load_state_dict(self.average.state)
        assert self.validate is not None
        figures = self.validate(self.module)
        self.module.load_state_dict(own)
        self._training()
        return figures

    def _training(self) -> None:
        """Training mode, but for what is frozen: its batch norms stay as they are, too."""
        self.model.train()
        for module in self.module.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()

    def _open(self, settings: dict[str, Any], resume: bool) -> None:
        described = {"recipe": self.recipe.settings(), **settings}
        checkpoint = self.folder / CHECKPOINT
        self._began = time.time()
        check_resume_settings(self.folder, described, resume)
        self.accelerator.wait_for_everyone()  # every process has looked before one writes
        if self.main:
            files.write_json(self.folder / SETTINGS, files.plain(described))
        if resume and checkpoint.exists():  # otherwise killed before the first one was written: begin at the beginning
            self._load(checkpoint)
        if self.main:
            self._began -= cut_log(self.folder / LOG, self.step)

    def _load(self, checkpoint: Path) -> None:
        try:
            state = load_pickled(checkpoint)
        except InputError:
            raise
        except Exception as error:  # torch raises many types for a damaged file
            raise InputError(f"{checkpoint} cannot be read ({type(error).__name__}); remove it to begin anew") from error
        try:
            self.module.load_state_dict(state["model"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            for name, value in self.average.state.items():
                value.copy_(state["average"][name])
            if not (type(state["step"]) is int and 0 <= state["step"] <= self.steps):
                raise ValueError(f"step {state['step']} of {self.steps}")
            self.step = state["step"]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{checkpoint} does not belong to this run; remove it, or take another --out") from error

    def _log(self, row: dict[str, Any]) -> None:
        path = self.folder / LOG
        new = not path.exists()
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            columns = [*(name for name in row if name not in FIGURES), *FIGURES]
            if new:
                writer.writerow(columns)
            writer.writerow([_short(row.get(name, "")) for name in columns])


FIGURES = ("ap", "pck")  # what a validation measures


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
