"""Foreign teachers: a published heatmap network as an ONNX or TFLite file, and a YAML that describes its input and output.

The packaged YAML files are in `pose/teachers`; a new teacher is a new YAML, no code: docs/add-a-teacher.md.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pose import centre, decode, files, skeleton
from pose.crop import CropSpec
from pose.errors import BackendError, InputError, one_line
from pose.heatmaps import HeatmapGrid, activate, gate, require_heatmaps, require_keypoints
from pose.sessions import Session, open_session
from pose.skeleton import Skeleton
from pose.teacher_file import Centre, Input, Keypoints, TeacherFile

PACKAGED = Path(__file__).with_name("teachers")


def input_batch(images: np.ndarray, wanted: Input, session: Session) -> np.ndarray:
    """Images uint8 [N, H, W, 3], RGB, of the network's size, as the input that a YAML describes."""
    steps = session.input_steps
    pixels = (images.astype(np.float32) - np.array(wanted.mean, np.float32)) / np.array(wanted.std, np.float32)
    if wanted.colour == "BGR":
        pixels = pixels[..., ::-1]
    if wanted.layout == "NCHW":
        pixels = pixels.transpose(0, 3, 1, 2)
    if wanted.takes_pixels and wanted.dtype == "int8":
        pixels = pixels - 128
    elif not wanted.takes_pixels and steps:
        return np.ascontiguousarray(steps.integers(pixels, session.input_dtype))
    if wanted.dtype != "float32":
        pixels = pixels.round()
    return np.ascontiguousarray(pixels, wanted.dtype)


class HeatmapTeacher:
    """A foreign network that predicts heatmaps.

    Attributes:
        name: of the YAML.
        path: the model file.
        skeleton: its K joints, in the order of every K below.
        crop: the crops that it takes.
        grid: where the cells of its heatmaps lie in the crop.
        outputs: names of those that are read: the heatmaps, and what the network's own keypoints are read from.
    """

    def __init__(self, name: str, described: TeacherFile, skeleton: Skeleton, path: Path, session: Session) -> None:
        self.name, self.path, self.skeleton = name, path, skeleton
        size = described.input
        self.crop = CropSpec(size.width, size.height, size.mean, size.std, described.padding)
        corners = (size.width, size.height) if described.heatmaps.grid == "corners" else None
        self.grid = HeatmapGrid(described.heatmaps.offset, corners)
        self._described, self._session = described, session
        self.outputs = [described.heatmaps.output]
        if described.keypoints:
            self.outputs += [described.keypoints.output]
        elif described.centre:
            self.outputs += [described.centre.output, described.centre.displacements, described.centre.offsets]
        self._channels = [described.heatmaps.joints.index(joint) for joint in self.skeleton.joints]
        self._check()

    @property
    def chooses_person(self) -> bool:
        """Whether its YAML names the network's own keypoints; else its heatmaps show the joints of everybody in a crop."""
        return self._described.keypoints is not None

    def heatmaps(self, crops: np.ndarray) -> np.ndarray:
        """Heatmaps float32 [N, K, h, w] of RGB crops uint8 [N, H, W, 3]; see `observe`."""
        return self.observe(crops)[0]

    def decode(self, heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates float32 [N, K, 2] in 0..1 of the crop and scores float32 [N, K], by the YAML's `decode`."""
        options = self._described.decode
        return decode.decode(heatmaps, options.method, kernel=options.blur, window=options.window, grid=self.grid)

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates [N, K, 2] and scores [N, K] of RGB crops: its own keypoints if the YAML names them, else decoded."""
        return self.observe(crops)[1:]

    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heatmaps, and the coordinates and scores of `predict`, from one run of the network.

        Where the YAML names the network's own keypoints, the heatmaps are reduced to the person that they choose.

        Raises:
            InputError: what the YAML calls heatmaps and keypoints is none, such as logits.
            BackendError: the runtime failed on these crops.
        """
        heatmaps, coords, scores = self._read(self._run(crops))
        require_heatmaps(heatmaps, self.skeleton.joints, self._where)
        if self.outputs[1:]:
            require_keypoints(coords, scores, self._where)
            heatmaps = gate(heatmaps, coords, self.grid)
        return heatmaps, coords, scores

    def prepare(self, crops: np.ndarray) -> np.ndarray:
        """The network's input for RGB crops uint8 [N, H, W, 3]."""
        wanted = self._described.input
        if crops.dtype != np.uint8 or crops.shape[1:] != (wanted.height, wanted.width, 3):
            raise ValueError(f"crops are {crops.dtype}{list(crops.shape)}, not uint8[N, {wanted.height}, {wanted.width}, 3]")
        return input_batch(crops, wanted, self._session)

    def call(self, batch: np.ndarray) -> list[np.ndarray]:
        """One inference of the runtime alone: `outputs` of an input of `prepare`, of the types that the file has."""
        return self._session.call(batch, self.outputs)

    def read(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates and scores, as of `predict`, in what `call` gave: what is left to do outside of the file."""
        numbers = [self._session.values(name, output) for name, output in zip(self.outputs, outputs, strict=True)]
        return self._read(numbers)[1:]

    def _read(self, numbers: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        heatmaps = self._as_heatmaps(numbers[0])
        if self._described.keypoints:
            return heatmaps, *self._of_triples(numbers[1], self._described.keypoints)
        if self._described.centre:
            return heatmaps, *self._of_maps(heatmaps, numbers[1:], self._described.centre)
        return heatmaps, *self.decode(heatmaps)

    def _as_heatmaps(self, raw: np.ndarray) -> np.ndarray:
        described = self._described.heatmaps
        maps = raw.transpose(0, 3, 1, 2) if described.layout == "NHWC" else raw
        scale, zero_point = (
            np.broadcast_to(np.asarray(part, np.float32), len(described.joints))[self._channels, None, None]
            for part in (described.scale, described.zero_point or 0)
        )
        values = (np.asarray(maps[:, self._channels], np.float32) - zero_point) * scale
        return np.ascontiguousarray(activate(values, described.activation))

    def _of_triples(self, raw: np.ndarray, direct: Keypoints) -> tuple[np.ndarray, np.ndarray]:
        values = raw.reshape(len(raw), len(self._described.heatmaps.joints), 3)[:, self._channels].astype(np.float32)
        x, y, score = (values[..., direct.order.index(axis)] for axis in "xys")
        return np.stack([x, y], -1), score

    def _of_maps(self, heatmaps: np.ndarray, maps: list[np.ndarray], chosen: Centre) -> tuple[np.ndarray, np.ndarray]:
        scores, *pairs = maps if self._described.heatmaps.layout == "NHWC" else [one.transpose(0, 2, 3, 1) for one in maps]
        axes = [chosen.order.index(axis) for axis in "xy"]
        displacements, offsets = (pair.reshape(*pair.shape[:3], -1, 2)[..., self._channels, :][..., axes] for pair in pairs)
        return centre.keypoints(heatmaps.transpose(0, 2, 3, 1), scores[..., 0], displacements, offsets)

    def _run(self, crops: np.ndarray) -> list[np.ndarray]:
        batch = self.prepare(crops)
        try:
            if self._session.input_shape[0] is None:
                return self._session.run(batch, self.outputs)
            answers = [self._session.run(batch[i : i + 1], self.outputs) for i in range(len(batch))]
            return [np.concatenate(parts) for parts in zip(*answers, strict=True)]
        except Exception as error:  # a runtime may raise anything on a graph that is inconsistent
            raise BackendError(f"teacher '{self.name}' ({self.path}) does not run ({one_line(error, 200)})") from error

    def _check(self) -> None:
        """Raises InputError unless the network has the YAML's input and outputs; it is run on one black crop."""
        wanted, maps = self._described.input, self._described.heatmaps
        where = self._where
        for name in self.outputs:
            if name not in self._session.outputs:
                raise InputError(f"{where} has no output '{name}'; its outputs are: {', '.join(self._session.outputs)}")
        sides = (wanted.height, wanted.width, 3) if wanted.layout == "NHWC" else (3, wanted.height, wanted.width)
        actual, described = self._session.input_shape, (1, *sides)
        fits = len(actual) == 4 and all(a in (None, b) for a, b in zip(actual, described, strict=True))
        if not fits or self._session.input_dtype != wanted.dtype:
            taken = f"{self._session.input_dtype}{list(actual)}"
            raise InputError(
                f"{where} takes {taken}, its YAML says {wanted.dtype}{list(described)}; correct the YAML's input"
            )
        self._check_numbers()
        try:
            answers = self._run(np.zeros((1, wanted.height, wanted.width, 3), np.uint8))
        except BackendError as error:
            raise InputError(f"{error}; is the file whole?") from error
        channels = len(maps.joints)
        if any(answer.dtype.kind not in "fiu" for answer in answers):
            raise InputError(f"{where}: its outputs are {', '.join(str(answer.dtype) for answer in answers)}, not numbers")
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
        maps, where = self._described.heatmaps, self._where
        if self._described.keypoints and answers[1].size != channels * 3:
            raise InputError(
                f"{where}: output '{self.outputs[1]}' is {list(answers[1].shape)}, not {channels} triples; correct the YAML"
            )
        if self._described.centre:
            axis = 3 if maps.layout == "NHWC" else 1
            for name, answer, count in zip(self.outputs[1:], answers[1:], (1, 2 * channels, 2 * channels), strict=True):
                expected = list(answers[0].shape)
                expected[axis] = count
                if list(answer.shape) != expected:
                    raise InputError(f"{where}: output '{name}' is {list(answer.shape)}, not {expected}; correct the YAML")

    def _check_numbers(self) -> None:
        """Raises InputError where the numbers of the input or of an output have no known meaning."""
        wanted, maps = self._described.input, self._described.heatmaps
        steps, kind = self._session.input_steps, self._session.outputs[maps.output]
        if wanted.dtype in ("uint8", "int8") and not wanted.takes_pixels:
            if steps is None:
                raise InputError(
                    f"{self._where} takes {wanted.dtype} and does not say what its integers mean; leave mean and std out of "
                    "its YAML: the pixels go in as they are"
                )
            ends = (np.array([0.0, 255.0])[:, None] - wanted.mean) / wanted.std
            kept = steps.values(steps.integers(ends, self._session.input_dtype))
            if (np.abs(kept - ends) > 0.1 * np.ptp(ends)).any():
                raise InputError(
                    f"{self._where} takes {kept.min():.3g} to {kept.max():.3g}, and mean and std of its YAML make "
                    f"{ends.min():.3g} to {ends.max():.3g} of the pixels; correct them, or leave both out"
                )
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

    @property
    def _where(self) -> str:
        return f"teacher '{self.name}' ({self.path})"


def packaged() -> list[str]:
    """Names of the teachers whose YAML comes with the package."""
    return sorted(path.stem for path in PACKAGED.glob("*.yaml"))


def load_teacher(
    teacher: str | Path, *, folder: Path | None = None, file: Path | None = None, threads: int = 1
) -> HeatmapTeacher:
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
    return HeatmapTeacher(path.stem, described, joints, model, open_session(model, threads))


def _require_each_joint_once(described: TeacherFile, joints: Skeleton) -> None:
    names = [joint for joint in described.heatmaps.joints if joint is not None]
    if sorted(names) != sorted(joints.joints):
        wrong = sorted(set(names) ^ set(joints.joints)) or sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"heatmaps.joints must hold each joint of {joints.name} once; look at {', '.join(wrong)}")
