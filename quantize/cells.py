"""The runs behind `quantize.compare`: each is one of `quantize.pipeline`, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from calib_data.crops import Crops
from calib_data.joined import Converted
from calib_data.sources import Data
from distill.recipe import LossWeights
from distill.request import LABELS, Request
from distill.run_files import SETTINGS
from distill.run_folder import check_resume_settings, require_new_run_dir
from distill.teachers import digest as teacher_digest
from distill.validation import score_program
from pose import card
from pose.errors import InputError
from pose.files import plain, sha256, write_json
from pose.program import Program, load_program
from pose.skeleton import Skeleton
from pose.weights import weights_file
from quantize.comparison import TRAINED, Cell, Comparison, Figures, Way, read
from quantize.pipeline import quantize
from quantize.precision import Precision

RESULT = "compare.json"
RESAMPLES = 1000  # of the people, for intervals


def compare(
    request: Request,
    held_out: Mapping[str, Data],
    steps: int,
    seeds: int,
    precision: Precision,
    calibration: int,
    command: str = "",
) -> Iterator[Comparison]:
    """What is measured so far, after each program; the file `compare.json` in `request.out` holds it, too.

    Programs that the file has are not made again, where `request.resume` is given.

    Args:
        request: its recipe is that of both ways of fine-tuning; of its losses the labels alone keep `regression`.
        held_out: name -> people that every program is scored on. steps: of each fine-tuning.

    Raises:
        InputError: the folder holds a comparison with other settings, or one and `resume` is not given; and what
            `quantize.pipeline.quantize` raises.
    """
    out, result = request.out, request.out / RESULT
    if not request.recipe.losses.regression:
        raise InputError("recipe: losses.regression is 0, so that labels alone teach nothing; give it a weight")
    if result.exists() and not request.resume:
        raise InputError(f"{result} exists already; add --resume to go on with it, or take another --out")
    require_new_run_dir(out, request.resume)
    recipe = replace(request.recipe, epochs=steps * request.recipe.batch / len(request.train.source))
    settings = _settings(replace(request, recipe=recipe), held_out, precision, calibration)
    check_resume_settings(out, settings, request.resume)
    write_json(out / SETTINGS, plain(settings))
    made = read(result).cells if result.exists() else []
    comparison = Comparison(
        command=command,
        student=request.student,
        teacher=request.teacher,
        steps=steps,
        seeds=seeds,
        people={name: len(data.source) for name, data in held_out.items()},
        cells=[cell for cell in made if cell.seed is None or cell.seed < seeds],
    )
    for seed in range(seeds):
        for way in TRAINED:
            if comparison.cell(way, seed) is None:
                folder = out / f"{way}-{seed}"
                own = replace(request, out=folder, recipe=replace(recipe, seed=seed), resume=True)
                if way == "labels":
                    own = _on_labels(own, load_program(out / f"distilled-{seed}").card.skeleton)
                quantize(own, precision, calibration)
                comparison = _with_cells(comparison, folder, way, seed, held_out)
                write_json(result, comparison.model_dump(mode="json"))
            yield comparison


def _settings(request: Request, held_out: Mapping[str, Data], precision: Precision, calibration: int) -> dict[str, Any]:
    """What a comparison's figures follow from, and `--resume` must not change."""
    taught = request.teacher, request.teacher_file, request.train, request.validation, request.recipe.seed
    people = {"training data": request.train.digest, **{name: data.digest for name, data in held_out.items()}}
    return {
        "student": request.student,
        "teacher": request.teacher,
        "weights": sha256(request.weights or weights_file(request.student)),
        "recipe": replace(request.recipe, seed=0).settings(),
        "precision": asdict(precision),
        "calibration": calibration,
        "digests": {"the teacher": teacher_digest(*taught), **people},  # names of sets have no blanks
    }


def _on_labels(request: Request, skeleton: Skeleton) -> Request:
    """The same fine-tuning without teacher and float twin: of the losses only that against the labels.

    Args:
        skeleton: of the student; of joints that the data does not have, the labels say nothing.
    """
    recipe = request.recipe
    losses = LossWeights(recipe.losses.regression, 0, 0, 0, 0, 0, recipe.losses.beta)
    train = replace(request.train, source=Converted(request.train.source, skeleton))
    return replace(request, teacher=LABELS, teacher_file=None, train=train, recipe=replace(recipe, losses=losses))


def _with_cells(comparison: Comparison, folder: Path, way: Way, seed: int, held_out: Mapping[str, Data]) -> Comparison:
    """The comparison with the program in a folder, and with those that are the same for every seed if it has none yet."""
    programs: list[tuple[Way, int | None, Program, card.Precision]] = []
    if comparison.cell("ptq", None) is None:
        ptq = load_program(folder / "ptq")
        programs = [("fp32", None, ptq, "fp32"), ("ptq", None, ptq, "int8")]
    programs += [(way, seed, load_program(folder), "int8")]
    cells = [
        Cell(way=name, seed=number, figures={people: _score(made, precision, data) for people, data in held_out.items()})
        for name, number, made, precision in programs
    ]
    return comparison.model_copy(update={"cells": [*comparison.cells, *cells]})


def _score(program: Program, precision: card.Precision, data: Data) -> Figures:
    """Figures of one of a program's graphs on people, with intervals over them."""
    crops = Crops(data.source, program.card.spec, program.card.skeleton)
    scored = score_program(program.graph(precision), crops, RESAMPLES)
    return Figures(ap=scored.ap, pck=scored.pck, ap_95=scored.ap_95, pck_95=scored.pck_95)
