"""`python -m distill.ablation`: the student with each combination of losses, from the same start and for the same steps.

The settings are those of the paper's table: the regression loss alone, and with one or several losses of distillation. Each
run has a folder in --out, and `ablation.json` there has what is done. The same command goes on where a killed one stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calib_data import flags
from distill import options
from pose import cli

if TYPE_CHECKING:
    from distill.ablation_record import Ablation, Trained
    from distill.recipe import LossWeights
    from distill.request import Request

_CS, _SIM, _KT, _VT = "confidence", "simulated_heatmap", "keypoint_token", "visual_token"
SETTINGS = {  # name -> losses beside the regression loss, in the order of the paper's table
    "none": (),
    "L_cs": (_CS,),
    "L_sim": (_SIM,),
    "L_sim + L_cs": (_SIM, _CS),
    "L_kt": (_KT,),
    "L_vt": (_VT,),
    "L_kt + L_vt": (_KT, _VT),
    "all": (_SIM, _CS, _KT, _VT),
}
RESULTS = "ablation.json"
RANDOM, TEACHER = "random", "teacher"


@dataclass(frozen=True)
class Plan:
    """What is compared: `settings` by name, each with every seed; `base` is a run without its folder, losses and seed.

    Attributes:
        start: of every run of a seed: `random` weights, or those of the `teacher` or of a file, all but the head; of an
            ONNX file, which has to be MoveNet's, the trunk.
    """

    base: Request
    settings: tuple[str, ...]
    seeds: tuple[int, ...]
    start: str = RANDOM

    def runs(self) -> list[tuple[str, int]]:
        """Setting and seed of each run; all settings of a seed come before the next seed, so that a part compares, too."""
        return [(name, seed) for seed in self.seeds for name in self.settings]

    def request(self, setting: str, seed: int) -> Request:
        """One run; it continues whatever is in its folder."""
        folder = self.base.out / f"{'-'.join(SETTINGS[setting]) or 'none'}-{seed}"
        losses = masked(self.base.recipe.losses, SETTINGS[setting])
        recipe = replace(self.base.recipe, losses=losses, seed=seed)
        weights = None if self.start == TEACHER else _start(self, seed)
        return replace(self.base, out=folder, recipe=recipe, weights=weights, resume=True)


def masked(weights: LossWeights, names: tuple[str, ...]) -> LossWeights:
    """The weights of a recipe, with those of the losses of distillation that are not named set to 0."""
    off: dict[str, Any] = {name: 0.0 for name in SETTINGS["all"] if name not in names}
    return replace(weights, **off)


def _start(plan: Plan, seed: int) -> Path:
    """The file of the weights that every run of a seed starts from: random, with those of the file that `plan` names.

    Raises:
        InputError: the file that `plan` names cannot be read, or has no tensor of the student.
    """
    import torch

    from distill.student import import_trunk
    from pose import models
    from pose.errors import InputError
    from pose.models import checkpoint

    path = plan.base.out / f"start-{seed}.safetensors"
    if not path.exists():
        torch.manual_seed(seed)
        model = models.build(plan.base.student, len(plan.base.train.source.skeleton))
        if plan.start.endswith(".onnx"):
            import_trunk(model, Path(plan.start), plan.base.student)
        elif plan.start != RANDOM:
            names = [name for name in model.state_dict() if not name.startswith("head.")]
            if checkpoint.load_matching(model, checkpoint.read_for(model, plan.start)) == names:
                raise InputError(
                    f"--start {plan.start} has no tensor of {plan.base.student}; name another file, or {RANDOM}"
                )
        checkpoint.save(model, path)
    return path


def ablate(plan: Plan) -> Ablation:
    """Train what is not trained yet, and write `ablation.json` after each run.

    Raises:
        InputError: the folder holds an ablation under other conditions; or see `distill.student.distill`.
    """
    from distill import ablation_record as records
    from distill.student import distill

    path = plan.base.out / RESULTS
    results = _opened(plan, path)
    for setting, seed in plan.runs():
        done = results.settings[setting].runs if setting in results.settings else []
        if seed in [run.seed for run in done]:
            continue
        request = plan.request(setting, seed)
        figures = distill(request)
        trained = records.Trained(seed=seed, ap=_known(figures["ap"]), pck=_known(figures["pck"]))
        results = _with_run(results, setting, trained)
        records.write(path, results)
    return results


def _opened(plan: Plan, path: Path) -> Ablation:
    """The results so far."""
    from distill import ablation_record as records
    from pose.errors import InputError
    from pose.files import sha256

    base = plan.base
    conditions: dict[str, str | int | float] = {
        "training data": base.train.digest,
        "validation data": base.validation.digest,
        "recipe": str(replace(base.recipe, seed=0)),
        **({"data weights": str(base.train.weights)} if base.train.weights else {}),
        "start": plan.start if plan.start in (RANDOM, TEACHER) else sha256(Path(plan.start)),
        **({"teacher's weights": sha256(base.teacher_file)} if base.teacher_file else {}),
    }
    new = records.Ablation(
        student=base.student,
        teacher=base.teacher,
        validated=len(base.validation.source),
        steps=base.recipe.steps(len(base.train.source)),
        conditions=conditions,
        settings={},
    )
    if not path.exists():
        return new
    before = records.read(path)
    named = {name: (getattr(new, name), getattr(before, name)) for name in ("student", "teacher", "validated", "steps")}
    named |= {name: (value, before.conditions.get(name, "")) for name, value in conditions.items()}
    other = next((name for name, (now, then) in named.items() if now != then), None)
    if other is not None:
        raise InputError(f"{path} is of another '{other}'; give the same options to go on with it, or another --out")
    return before


def _with_run(results: Ablation, setting: str, trained: Trained) -> Ablation:
    """The results with one more run; every interval is computed again."""
    from distill import ablation_record as records

    runs = {name: part.runs for name, part in results.settings.items()}
    runs[setting] = [*runs.get(setting, []), trained]
    baseline = runs.get("none", [])
    ordered = [name for name in SETTINGS if name in runs]
    settings = {name: records.summarised(SETTINGS[name], runs[name], baseline) for name in ordered}
    return results.model_copy(update={"settings": settings})


def _known(points: float) -> float | None:
    """None for the nan of a figure that the data does not define."""
    return points if points == points else None


def main(
    student: options.Student = "distilpose_s",
    teacher: options.Teacher = "tokenpose_s",
    teacher_file: options.TeacherFile = None,
    data: options.Data = None,
    data_weight: options.DataWeights = None,
    images: options.Images = None,
    skeleton: options.SkeletonFile = None,
    category: flags.Category = None,
    boxes: options.Boxes = "annotation",
    exif: flags.Exif = None,
    strict: flags.Strict = False,
    val: options.Validation = None,
    val_images: options.ValImages = None,
    people: options.People = 4000,
    recipe: options.RecipeName = "drawn",
    epochs: options.Epochs = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Runs of each setting, with seeds 0, 1, ...")] = 3,
    setting: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=f"Of {', '.join(SETTINGS)}; repeatable [default: all of them].")
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            metavar="random|teacher|FILE",
            help="Weights of all runs of a seed before their first step: random, or the teacher's or a file's but the head.",
        ),
    ] = RANDOM,
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Folder of the runs; the same command goes on with them."),
        cli.Writes(lambda folder: [folder / RESULTS], resumed=True),
    ] = Path("runs/ablation"),
    workers: options.Workers = 0,
    json: cli.Json = None,
) -> None:
    """Train a student with each combination of losses, from the same start and for the same steps."""
    from distill import ablation_record, processes, teachers
    from distill import recipe as recipes
    from distill import request as requests
    from distill import task as tasks
    from pose import models
    from pose.errors import InputError

    unknown = [name for name in setting or [] if name not in SETTINGS]
    if unknown:
        raise InputError(f"--setting {unknown[0]!r} is not known; choose among {', '.join(SETTINGS)}")
    student, teacher = models.resolve(student), models.resolve(teacher, teacher=True)
    tasks.check_names(student, teacher)
    chosen = recipes.read(recipe, epochs)
    train, validation = requests.people(
        *(data, images, skeleton, boxes, val, val_images, people, 0),
        unlabelled=teacher != requests.LABELS,
        weights=data_weight,
        category=category,
        exif=exif,
        strict=strict,
    )
    is_network = teacher != requests.LABELS and not teachers.is_foreign(teacher)
    if start == TEACHER and not is_network:
        raise InputError(f"--start teacher: '{teacher}' is no network whose weights a student can take; use --start random")
    if start not in (RANDOM, TEACHER) and not Path(start).is_file():
        raise InputError(f"--start {start}: there is no such file; give one, or {RANDOM}, or {TEACHER}")
    if is_network:  # one teacher for all seeds
        teacher_file = teachers.weights_of(teacher, teacher_file, train, validation, 0)
    base = requests.Request(out, student, teacher, teacher_file, train, validation, chosen, workers=workers)
    results = ablate(Plan(base, tuple(setting or SETTINGS), tuple(range(seeds)), start))
    if not processes.state().is_main_process:
        return
    if json:
        ablation_record.write(json, results)
    for name, part in results.settings.items():
        cli.console().print(f"{name}: AP {_text(part.ap)}, over none {_text(part.gain)}")


def _text(interval: object) -> str:
    from distill.ablation_record import Interval

    if not isinstance(interval, Interval):
        return "undefined"
    if interval.low is None or interval.high is None:
        return f"{interval.mean:.1f}"
    return f"{interval.mean:.1f} ({interval.low:.1f} to {interval.high:.1f})"


if __name__ == "__main__":
    cli.run(main, "distill.ablation", "python -m distill.ablation --people 2000 --epochs 5 --seeds 3 --out runs/ablation")
