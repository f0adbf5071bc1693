"""Foreign teachers: a published network of heatmaps or SimCC as an ONNX or TFLite file, and a YAML that describes it.

The packaged YAML files are in `pose/teachers`; a new teacher is a new YAML, no code: docs/add-a-teacher.md.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pose import decode, files, skeleton
from pose.errors import InputError
from pose.foreign_network import ForeignTeacher
from pose.heatmaps import HeatmapGrid, activate, gate, require_heatmaps, require_keypoints
from pose.sessions import Session, open_session
from pose.simcc import SimCCTeacher
from pose.skeleton import Skeleton
from pose.teacher_file import TeacherFile

PACKAGED = Path(__file__).with_name("teachers")


class HeatmapTeacher(ForeignTeacher):
    """A foreign network that predicts heatmaps; see `ForeignTeacher`."""

    def __init__(self, name: str, described: TeacherFile, skeleton: Skeleton, path: Path, session: Session) -> None:
        assert described.heatmaps is not None
        self._maps = described.heatmaps
        super().__init__(name, described, skeleton, path, session)
        corners = (self.crop.width, self.crop.height) if self._maps.grid == "corners" else None
        self.grid = HeatmapGrid(self._maps.offset, corners)
        self._check()

    def heatmaps(self, crops: np.ndarray) -> np.ndarray:
        """Heatmaps float32 [N, K, h, w] of RGB crops uint8 [N, H, W, 3]; see `observe`."""
        return self.observe(crops)[0]

    def decode(self, heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates float32 [N, K, 2] in 0..1 of the crop and scores float32 [N, K], by the YAML's `decode`."""
        options = self._described.decode
        return decode.decode(heatmaps, options.method, kernel=options.blur, window=options.window, grid=self.grid)

    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heatmaps, and the coordinates and scores of `predict`, from one run of the network.

        Where the YAML names the network's own keypoints, the heatmaps are reduced to the person that they choose.

        Raises:
            InputError: what the YAML calls heatmaps and keypoints is none, such as logits.
            BackendError: the runtime failed on these crops.
        """
        direct = self._described.keypoints
        outputs = [self._maps.output, *([direct.output] if direct else [])]
        raw, *triples = self._run(crops, outputs)
        heatmaps = self._as_heatmaps(raw)
        require_heatmaps(heatmaps, self.skeleton.joints, self._where)
        if direct is None:
            return heatmaps, *self.decode(heatmaps)
        values = self._as_triples(triples[0])
        x, y, score = (values[..., direct.order.index(axis)] for axis in "xys")
        coords = np.stack([x, y], -1)
        require_keypoints(coords, score, self._where)
        return gate(heatmaps, coords, self.grid), coords, score

    def _as_heatmaps(self, raw: np.ndarray) -> np.ndarray:
        described = self._maps
        maps = raw.transpose(0, 3, 1, 2) if described.layout == "NHWC" else raw
        scale, zero_point = (
            np.broadcast_to(np.asarray(part, np.float32), len(described.joints))[self._channels, None, None]
            for part in (described.scale, described.zero_point or 0)
        )
        values = (np.asarray(maps[:, self._channels], np.float32) - zero_point) * scale
        return np.ascontiguousarray(activate(values, described.activation))

    def _as_triples(self, raw: np.ndarray) -> np.ndarray:
        return raw.reshape(len(raw), len(self._maps.joints), 3)[:, self._channels].astype(np.float32)

    def _check(self) -> None:
        """Raises InputError unless the network has the YAML's input and outputs; it is run on one black crop."""
        maps, direct, where = self._maps, self._described.keypoints, self._where
        answers = self._answers_to_black([maps.output] + ([direct.output] if direct else []))
        channels = len(maps.joints)
        if answers[0].ndim != 4 or not answers[0].size or answers[0].shape[3 if maps.layout == "NHWC" else 1] != channels:
            expected = f"{maps.layout} with {channels} channels"
            raise InputError(
                f"{where}: output '{maps.output}' is {list(answers[0].shape)}, not {expected}; correct the YAML"
            )
        sides = answers[0].shape[1:3] if maps.layout == "NHWC" else answers[0].shape[2:]
        if maps.grid == "corners" and min(sides) < 2:
            raise InputError(
                f"{where}: heatmaps of {sides[1]} x {sides[0]} cells have no corners; say grid: cells in its YAML"
            )
        if direct and answers[1].size != channels * 3:
            expected = f"{channels} triples"
            raise InputError(
                f"{where}: output '{direct.output}' is {list(answers[1].shape)}, not {expected}; correct the YAML"
            )

    def _check_numbers(self) -> None:
        """Raises InputError where the numbers of the input or of an output have no known meaning."""
        super()._check_numbers()
        maps, direct = self._maps, self._described.keypoints
        kind = self._session.outputs[maps.output]
        is_float = np.issubdtype(kind, np.floating)
        if not is_float and maps.zero_point is None:
            raise InputError(
                f"{self._where}: output '{maps.output}' is {kind}, and the file does not say what its integers mean; "
                "describe them by heatmaps.zero_point and heatmaps.scale in its YAML"
            )
        if is_float and maps.zero_point is not None:
            raise InputError(f"{self._where}: output '{maps.output}' is read as {kind}; leave zero_point out of its YAML")
        if direct and not np.issubdtype(self._session.outputs[direct.output], np.floating):
            raise InputError(
                f"{self._where}: output '{direct.output}' is {self._session.outputs[direct.output]}, not float; leave "
                "keypoints out of its YAML"
            )


def packaged() -> list[str]:
    """Names of the teachers whose YAML comes with the package."""
    return sorted(path.stem for path in PACKAGED.glob("*.yaml"))


def load_teacher(
    teacher: str | Path, *, folder: Path | None = None, file: Path | None = None, threads: int = 1
) -> ForeignTeacher:
    """Open a teacher by the name of a packaged YAML, or by the path of another one.

    Args:
        folder: that holds the YAML's `file`; by default `$POSE_DATA` for a packaged YAML, the YAML's own folder otherwise.
        file: the model file itself, instead of the YAML's.
        threads: of the runtime.

    Raises:
        InputError: an unknown name, a YAML that is wrong or does not fit the model, a model file that is missing or broken.
        BackendError: the runtime that the model needs is not installed.
    """
    own = Path(teacher).suffix in (".yaml", ".yml")
    if not own and teacher not in packaged():
        raise InputError(f"teacher '{teacher}' is not known; choose one of {', '.join(packaged())} or give a .yaml file")
    path = Path(teacher) if own else PACKAGED / f"{teacher}.yaml"
    described = files.read_yaml(path, TeacherFile)
    try:
        joints = skeleton.load(described.skeleton, path.parent)
        _require_each_joint_once(described, joints)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    home = path.parent if own else Path(os.environ.get("POSE_DATA", "."))
    model = file or (folder or home) / described.file
    kind = HeatmapTeacher if described.heatmaps else SimCCTeacher
    return kind(path.stem, described, joints, model, open_session(model, threads))


def _require_each_joint_once(described: TeacherFile, joints: Skeleton) -> None:
    names = [joint for joint in described.joints if joint is not None]
    if sorted(names) != sorted(joints.joints):
        wrong = sorted(set(names) ^ set(joints.joints)) or sorted({name for name in names if names.count(name) > 1})
        part = "heatmaps" if described.heatmaps else "simcc"
        raise InputError(f"{part}.joints must hold each joint of {joints.name} once; look at {', '.join(wrong)}")
