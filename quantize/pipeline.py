"""Float student -> calibrated int8 program -> fine-tuned int8 program, each with its float twin; `quantize.qat` runs it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from torch.export import ExportedProgram

from calib_data.crops import Crops
from distill import processes
from distill import task as tasks
from distill.objective import project
from distill.recipe import Recipe
from distill.request import Request
from distill.run_files import RESULT
from distill.run_folder import check_resume_settings, require_new_run_dir
from distill.training import Run
from distill.validation import BATCH, validate_program
from pose import cli, models
from pose.errors import InputError
from pose.files import finite, sha256, write_json
from pose.models.protocols import Student
from pose.program import save_program
from pose.weights import weights_file
from quantize import methods
from quantize.calibrate import calibrate
from quantize.equalise import equalise
from quantize.precision import FLOAT_MODULES, Precision
from quantize.program import QatStudent, describe, finish, float_program, prepare, trace

Figures = dict[str, float]


def quantize(request: Request, precision: Precision, calibration: int = 128) -> dict[str, Figures]:
    """Write two programs, `out`/ptq (calibrated only) and `out` (fine-tuned), each with its float twin.

    Args:
        calibration: crops of the training people, without augmentation, for equalising channels (`quantize.equalise`), for
            the activation ranges and for the bias correction.

    Returns:
        Validation figures of the finished programs, by `fp32`, `ptq` and `qat`: those that `edge.check` gives for them.

    Raises:
        InputError: no float weights, or anything that `distill.task.build` raises.
    """
    out, student, recipe = request.out, request.student, request.recipe
    method = _method(recipe)
    tasks.check_names(student, request.teacher)
    require_new_run_dir(out, request.resume)
    main_process = processes.state().is_main_process
    start = request.weights or weights_file(student)
    task = tasks.build(request)
    crop = models.MODELS[student].crop
    network = models.build(student, len(task.skeleton), start).eval()
    form = cast(Student, network).deploy()
    precision = _with_float_modules(precision, form, student)
    crops = CalibrationCrops(Crops(request.train.source, crop, task.skeleton), calibration)
    sources = {"weights": sha256(start), "calibration": crops.digest(), **task.digests}
    settings = {
        "student": student,
        "teacher": task.teacher,
        "precision": asdict(precision),
        "calibration": calibration,
        "data weights": [*request.train.weights],
        "digests": sources,
    }
    check_resume_settings(out, {"recipe": recipe.settings(), **settings}, request.resume)
    programs = _Programs(task, student, float_program(form, crop), sources)
    task.compare(programs.figures["fp32"])
    equalise(form, trace(form, crop), crops.batches("Equalising"), precision.scheme)
    quantized = calibrate(prepare(form, precision, crop), crops.batches("Calibrating"))
    if main_process:
        programs.save(out / "ptq", quantized, "ptq")
    model = project(quantized, task.live, crop)
    method(quantized)
    objective = replace(task.objective, twin=network) if recipe.losses.float_twin else task.objective
    run = Run(
        out, model, objective, task.batches, recipe, settings,
        validate=task.validate, workers=request.workers, resume=request.resume,
    )  # fmt: skip
    with cli.progress(f"Fine-tuning {student}", run.steps) as step:
        run.train(step)
    run.finish()
    if main_process:
        programs.save(out, quantized, "qat")
        write_json(out / RESULT, {**settings, "people": len(request.validation.source), **programs.figures})
    return programs.figures


@dataclass(frozen=True)
class CalibrationCrops:
    """The first `count` plain crops of the training people, or all of them."""

    crops: Crops
    count: int

    @property
    def indices(self) -> range:
        """Their numbers in the training data."""
        return range(min(self.count, len(self.crops)))

    def digest(self) -> str:
        """sha256 of what calibration sees: the size of the crops, and their pixels in order."""
        spec = self.crops.spec
        digest = hashlib.sha256(f"{spec.width}x{spec.height}".encode())
        for index in self.indices:
            digest.update(self.crops.get(index).pixels.tobytes())
        return digest.hexdigest()

    def batches(self, title: str) -> Iterable[Tensor]:
        """Network inputs, batch by batch, with a progress bar."""
        batches: Iterator[Tensor] = tasks.images(self.crops, self.indices, BATCH)
        return cli.track(batches, title, math.ceil(len(self.indices) / BATCH))


class _Programs:
    """Finishes, scores and saves the programs of one run.

    Attributes:
        figures: validation figures of each finished program, by column; `fp32` is there from the start.
    """

    def __init__(self, task: tasks.Task, student: str, fp32: ExportedProgram, sources: dict[str, str]) -> None:
        self._task, self._student, self._fp32, self._sources = task, student, fp32, sources
        self.figures: dict[str, Figures] = {"fp32": validate_program(fp32, task.held_out)}

    def save(self, folder: Path, quantized: QatStudent, column: str) -> None:
        """Write the int8 program of a student, its float twin and its card into a folder."""
        int8 = finish(quantized)
        self.figures[column] = validate_program(int8, self._task.held_out)
        metrics: dict[str, Any] = {"validation": finite({name: self.figures[name] for name in ("fp32", column)})}
        card = describe(
            self._student, self._task.skeleton, self._fp32, int8, quantized.precision, quantized.crop, self._sources, metrics
        )
        save_program(folder, self._fp32, int8, card)


def _method(recipe: Recipe) -> methods.QatMethod:
    """The recipe's method of fine-tuning.

    Raises:
        InputError: the recipe is for float training.
    """
    if other := next((share for share in recipe.resolution if share != 1), 0):
        raise InputError(f"recipe: resolution {other:g}: a program is trained at the size that it ships with, 1")
    if recipe.bf16 or recipe.optimiser == "muon":
        raise InputError("recipe: a program is trained in float32, by adam or adamw; take --recipe qat, or bf16: false")
    return methods.METHODS.find(recipe.method)


def _with_float_modules(precision: Precision, form: nn.Module, student: str) -> Precision:
    """The precision without the usual float modules that a student does not have: one without a `head` keeps none.

    Raises:
        InputError: it names another module that the student does not have.
    """
    modules = {name for name, _ in form.named_modules() if name}
    absent = [name for name in FLOAT_MODULES if name not in modules]
    if absent:
        processes.note(f"{student} has no module '{absent[0]}' to keep in float; name the layers to keep with --keep-float")
    precision = replace(precision, float_modules=tuple(name for name in precision.float_modules if name not in absent))
    unknown = sorted({*precision.float_modules} - modules)
    if unknown:
        parts = ", ".join(name for name, _ in form.named_children())
        raise InputError(f"--keep-float {unknown[0]!r}: {student} has no such module; its parts are {parts}")
    return precision
