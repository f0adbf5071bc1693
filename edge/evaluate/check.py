"""Accuracy of the artefacts of one program beside the program itself, on the same crops, here and on devices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from calib_data.sources import content_digest
from edge import run
from edge.evaluate.answers import Answers, Scene, answer
from edge.evaluate.columns import (
    accuracy,
    chance_pck,
    pixels_apart,
    pixels_per_joint,
    worst_people,
)
from edge.evaluate.records import Check, Column, FloatTwin, Pixels
from pose import cli
from pose.errors import BackendError
from pose.files import size
from pose.scoring import shared_joints

if TYPE_CHECKING:
    import numpy as np

    from calib_data.coco import Reading
    from calib_data.sample import PoseSource
    from edge.devices.base import Device
    from edge.dist import Artefact
    from pose.card import Precision
    from pose.program import Program
    from pose.skeleton import Skeleton
    from targets.base import Runner

_NO_TORCH = "torch is not installed"


@dataclass(frozen=True)
class _Scorer:
    """Columns of runners, against the float program."""

    scene: Scene
    answers: dict[str, Answers]
    skeleton: Skeleton
    seed: int

    def _apart(self, name: str, other: str) -> Pixels:
        return pixels_apart(self.answers[name], self.answers[other], self.scene.spec, self.seed)

    def column(self, name: str) -> Column:
        """Accuracy of one runner, and the distance of its keypoints from the float program's."""
        mine, fp32 = self.answers[name], self.answers["fp32"]
        column = accuracy(self.scene, mine, self.skeleton, self.seed)
        per_joint = {} if name == "fp32" else pixels_per_joint(mine, fp32, self.skeleton, self.scene.spec)
        return column.model_copy(update={"keypoint_px": self._apart(name, "fp32"), "per_joint_px": per_joint})

    def lowered(self, name: str) -> Column:
        """The column of an artefact here."""
        apart = self._apart(name, "fake_quant") if "fake_quant" in self.answers else None
        return self.column(name).model_copy(update={"fake_quant_px": apart})

    def on_device(self, name: str, host: str) -> Column:
        """The column of an artefact on a device; `host` is the same artefact here."""
        return self.column(name).model_copy(update={"host_px": self._apart(name, host)})

    def float_twin(self, artefact: Artefact, name: str) -> FloatTwin:
        """The float artefact beside one."""
        apart = self._apart(name, "fp32") if "fake_quant" in self.answers else None  # else it is the float column itself
        return FloatTwin(artefact=str(artefact.path), bytes=size(artefact.path), torch_px=apart)


def check(artefact: Artefact, source: PoseSource, *, limit: int | None = None, threads: int = 1, seed: int = 0) -> Check:
    """Accuracy of the float program, the int8 program (fake quantization) and the artefact in its runtime.

    Raises:
        InputError: the artefact or the program beside it does not match its card, or the data cannot be scored.
        BackendError: a runtime failed, or answered NaN or infinity.
    """
    (result,) = check_all([artefact], source, limit=limit, threads=threads, seed=seed).values()
    return result


def check_all(
    artefacts: Sequence[Artefact],
    source: PoseSource,
    *,
    limit: int | None = None,
    threads: int = 1,
    seed: int = 0,
    devices: Sequence[Device] = (),
) -> dict[str, Check]:
    """`check` of several artefacts of one program, by `Artefact.variant`: the program itself answers once for all of them.

    With devices, `Check.on_device` has a column of each device for the artefacts that a device can answer for.

    Raises:
        InputError, BackendError: see `check`; a device that fails raises nothing, its column says why.
    """
    from edge.devices import answers as device_answers

    if devices and len(artefacts) == 1:
        device_answers.require_answerable(artefacts[0])  # before people are scored
    program = artefacts[0].program
    named = {artefact.variant: artefact for artefact in artefacts}
    candidates = {name: artefact.find_twin("fp32") for name, artefact in named.items()}
    twins = {name: twin for name, twin in candidates.items() if twin is not None and twin is not named[name]}
    count = min(limit or len(source), len(source))
    spec, skeleton = program.card.spec, program.card.skeleton
    joints = shared_joints(source.skeleton, skeleton)
    runners = _runners(program, named, twins, threads)

    def track(numbers: Iterable[int]) -> Iterable[int]:
        return cli.track(numbers, "Checking", count)

    crops: list[np.ndarray] = []
    scene, answers = answer(runners, spec, source, limit, track, crops.append if devices else lambda crop: None)
    scorer = _Scorer(scene, answers, skeleton, seed)
    on_device = _score_on_devices(scorer, named, devices, crops, threads)
    fp32, chance, people = scorer.column("fp32"), chance_pck(scene, skeleton), content_digest(source)
    fake_quant = scorer.column("fake_quant") if "fake_quant" in runners else Column(error=_NO_TORCH)
    return {
        name: Check(
            artefact=str(artefact.path),
            target=artefact.card.target,
            precision=artefact.card.precision or "int8",
            bytes=size(artefact.path),
            float_twin=scorer.float_twin(twins[name], _float(name)) if name in twins else None,
            student=program.card.student,
            persons=count,
            people=people,
            joints=list(joints),
            limbs=list(skeleton.limbs),
            crop=(spec.width, spec.height),
            chance_pck=chance,
            fp32=fp32,
            fake_quant=fake_quant,
            lowered=scorer.lowered(name),
            worst=worst_people(scene, answers[name], answers["fp32"]),
            on_device=on_device[name],
        )
        for name, artefact in named.items()
    }


def _runners(program: Program, named: dict[str, Artefact], twins: dict[str, Artefact], threads: int) -> dict[str, Runner]:
    lowered = {name: artefact.open(threads) for name, artefact in named.items()}
    lowered |= {_float(name): twin.open(threads) for name, twin in twins.items()}
    if find_spec("torch") is not None:
        names: dict[str, Precision] = {"fp32": "fp32", "fake_quant": "int8"}
        return {name: run.open(program.path(precision), threads) for name, precision in names.items()} | lowered
    twin = next((name for name in lowered if name in map(_float, twins)), None)
    if twin is None:
        raise BackendError("without torch the float column is that of a float twin, and none lies beside; export it, too")
    cli.note(f"note: {_NO_TORCH}: fp32 is the float artefact, and there is no column of fake quantization")
    return {"fp32": lowered[twin]} | lowered


def _score_on_devices(
    scorer: _Scorer,
    named: dict[str, Artefact],
    devices: Sequence[Device],
    crops: Sequence[np.ndarray],
    threads: int,
) -> dict[str, dict[str, Column]]:
    """Variant -> device -> column."""
    from edge.devices import answers as device_answers

    columns: dict[str, dict[str, Column]] = {name: {} for name in named}
    answerable = {name: artefact for name, artefact in named.items() if devices and device_answers.is_answerable(artefact)}
    answers = device_answers.collect(devices, list(answerable.values()), crops, threads)
    for device, of_device in zip(devices, answers, strict=True):
        for name, mine in zip(answerable, of_device, strict=True):
            if isinstance(mine, str):
                columns[name][device.name] = Column(error=mine)
                continue
            key = f"{name} {device.name}"
            scorer.answers[key] = mine
            columns[name][device.name] = scorer.on_device(key, name)
    return columns


def _float(name: str) -> str:
    return f"{name} float"


def open_source(
    data: Path | None, images: Path | None, boxes: str, skeleton: str | None = None, **reading: Unpack[Reading]
) -> PoseSource:
    """Annotations and their images, see `calib_data.coco.open_data`; without data, the embedded drawn people.

    Raises:
        InputError: they cannot be read.
    """
    if data is None:
        from calib_data.synthetic import validation

        return validation()
    from calib_data.coco import open_data

    return open_data(data, images, skeleton, boxes, **reading)
