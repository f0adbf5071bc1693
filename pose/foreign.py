"""Foreign teachers: a published network of heatmaps or SimCC as an ONNX or TFLite file, and a YAML that describes it.

The packaged YAML files are in `pose/teachers`; a new teacher is a new YAML, no code: docs/add-a-teacher.md.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pose import centre, decode, files, skeleton
from pose.errors import InputError
from pose.foreign_network import ForeignTeacher
from pose.heatmaps import HeatmapGrid, activate, gate, require_heatmaps, require_keypoints
from pose.sessions import Session, open_session
from pose.simcc import SimCCTeacher
from pose.skeleton import Skeleton
from pose.teacher_file import Centre, Keypoints, TeacherFile

PACKAGED = Path(__file__).with_name("teachers")


class HeatmapTeacher(ForeignTeacher):
    """A foreign network that predicts heatmaps; see `ForeignTeacher`."""

    def __init__(self, name: str, described: TeacherFile, skeleton: Skeleton, path: Path, session: Session) -> None:
        assert described.heatmaps is not None
        self._maps = described.heatmaps
        super().__init__(name, described, skeleton, path, session)
        corners = (self.crop.width, self.crop.height) if self._maps.grid == "corners" else None
        self.grid = HeatmapGrid(self._maps.offset, corners)
        direct, chosen = described.keypoints, described.centre
        self.chooses_person = bool(direct or chosen)
        if not self.chooses_person:
            decode.require_grid(described.decode.method, self.grid, self._where)
        self.outputs = [self._maps.output]
        self.outputs += [direct.output] if direct else []
        self.outputs += [chosen.output, chosen.displacements, chosen.offsets] if chosen else []
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
        heatmaps, coords, scores = self._read(self._run(crops))
        require_heatmaps(heatmaps, self.skeleton.joints, self._where)
        if self.chooses_person:
            require_keypoints(coords, scores, self._where)
            heatmaps = gate(heatmaps, coords, self.grid)
        return heatmaps, coords, scores

    def _read(self, numbers: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        heatmaps = self._as_heatmaps(numbers[0])
        if self._described.keypoints:
            return heatmaps, *self._of_triples(numbers[1], self._described.keypoints)
        if self._described.centre:
            return heatmaps, *self._of_maps(heatmaps, numbers[1:], self._described.centre)
        return heatmaps, *self.decode(heatmaps)

    def _as_heatmaps(self, raw: np.ndarray) -> np.ndarray:
        described = self._maps
        maps = raw.transpose(0, 3, 1, 2) if described.layout == "NHWC" else raw
        scale, zero_point = (
            np.broadcast_to(np.asarray(part, np.float32), len(described.joints))[self._channels, None, None]
            for part in (described.scale, described.zero_point or 0)
        )
        values = (np.asarray(maps[:, self._channels], np.float32) - zero_point) * scale
        return np.ascontiguousarray(activate(values, described.activation))

    def _of_triples(self, raw: np.ndarray, direct: Keypoints) -> tuple[np.ndarray, np.ndarray]:
        values = raw.reshape(len(raw), len(self._maps.joints), 3)[:, self._channels].astype(np.float32)
        x, y, score = (values[..., direct.order.index(axis)] for axis in "xys")
        return np.stack([x, y], -1), score

    def _of_maps(self, heatmaps: np.ndarray, maps: list[np.ndarray], chosen: Centre) -> tuple[np.ndarray, np.ndarray]:
        scores, *pairs = maps if self._maps.layout == "NHWC" else [one.transpose(0, 2, 3, 1) for one in maps]
        axes = [chosen.order.index(axis) for axis in "xy"]
        displacements, offsets = (pair.reshape(*pair.shape[:3], -1, 2)[..., self._channels, :][..., axes] for pair in pairs)
        return centre.keypoints(heatmaps.transpose(0, 2, 3, 1), scores[..., 0], displacements, offsets)

    def _check(self) -> None:
        """Raises InputError unless the network has the YAML's input and outputs; it is run on one black crop."""
        maps, where = self._maps, self._where
        answers = self._answers_to_black()
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
        self._check_heads(channels, answers)

    def _check_heads(self, channels: int, answers: list[np.ndarray]) -> None:
        """Raises InputError unless the outputs with the network's own keypoints are of the heatmaps' joints and cells."""
        if self._described.keypoints and answers[1].size != channels * 3:
            actual = list(answers[1].shape)
            raise InputError(
                f"{self._where}: output '{self.outputs[1]}' is {actual}, not {channels} triples; correct the YAML"
            )
        if self._described.centre:
            axis = 3 if self._maps.layout == "NHWC" else 1
            for name, answer, count in zip(self.outputs[1:], answers[1:], (1, 2 * channels, 2 * channels), strict=True):
                expected = list(answers[0].shape)
                expected[axis] = count
                if list(answer.shape) != expected:
                    actual = list(answer.shape)
                    raise InputError(f"{self._where}: output '{name}' is {actual}, not {expected}; correct the YAML")

    def _check_numbers(self) -> None:
        """Raises InputError where the numbers of the input or of an output have no known meaning."""
        super()._check_numbers()
        maps, kind = self._maps, self._session.outputs[self._maps.output]
        is_float = np.issubdtype(kind, np.floating)
        if not is_float and maps.zero_point is None:
            raise InputError(
                f"{self._where}: output '{maps.output}' is {kind}, and the file does not say what its integers mean; "
                "describe them by heatmaps.zero_point and heatmaps.scale in its YAML"
            )
        if is_float and maps.zero_point is not None:
            raise InputError(f"{self._where}: output '{maps.output}' is read as {kind}; leave zero_point out of its YAML")
        for name in self.outputs[1:]:
            if not np.issubdtype(self._session.outputs[name], np.floating):
                raise InputError(
                    f"{self._where}: output '{name}' is {self._session.outputs[name]}, not float; leave "
                    f"{'keypoints' if self._described.keypoints else 'centre'} out of its YAML"
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
        raise InputError(
            f"teacher '{teacher}' is not known; choose one of {', '.join(packaged())}, a network of the package "
            "(tokenpose_l, hrnet_w32, ...: `python -m distill.teacher --help`), or give a .yaml file"
        )
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
