"""The embedded data set: drawn people with exact COCO-17 keypoints, as many as wanted, without a download."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import cv2
import numpy as np

from calib_data.sample import Labels
from calib_data.synthetic.body import Body, sample_body
from calib_data.synthetic.canvas import Canvas
from calib_data.synthetic.figure import OTHER, View, draw_person, inside, keypoints_3d, visibility
from calib_data.synthetic.scene import HEIGHT, WIDTH, background, hide, light_direction, photograph
from calib_data.synthetic.wardrobe import sample_look
from pose.errors import InputError
from pose.skeleton import COCO_17

VERSION = 3  # of the drawing: any change that alters a sample raises it, so that nothing made from other samples is reused
_ODDS_BEHIND, _ODDS_BEFORE, _ODDS_HIDDEN, _ODDS_CUT = 0.35, 0.07, 0.25, 0.12


@dataclass(frozen=True)
class _Scene:
    """One drawn person: the labels, and what the camera makes the image from."""

    index: int
    labels: Labels
    canvas: Canvas
    rng: np.random.Generator  # as it is when the photograph is taken

    def image(self) -> np.ndarray:
        return photograph(self.canvas.image, copy.deepcopy(self.rng))


class SyntheticPeople:
    """Drawn people, one in each image; a `calib_data.sample.PoseSource`.

    Person i depends on the seed and i alone: not on the length, the order of access or the process. Images are uint8
    [288, 256, 3]. As in COCO, a joint behind something, the person's own body included, has v 1; one that is outside the
    image, or none of whose parts shows near it, has v 0 and is at the origin (`figure.visibility`). The box is the tight
    box of the whole drawn body and its joints within the image, hidden parts included, and the area is that body's
    pixels: COCO's area is that of the segment, not of the box, and hidden parts count so that an occluder does not make
    the object keypoint similarity stricter. Image and person ids count from 1 (pycocotools takes 0 for "no match").

    Labels are exact because they are read off the drawing; the last scene is kept, so that asking for labels and image of
    one person draws once.

    Args:
        length: number of people.
        seed: another seed gives other people; sets of different seeds share nobody.

    Raises:
        InputError: the length is below 1 or the seed below 0.
    """

    skeleton = COCO_17

    def __init__(self, length: int, seed: int = 0) -> None:
        if length < 1:
            raise InputError(f"a synthetic set of {length} samples is empty; give 1 or more")
        if seed < 0:
            raise InputError(f"seed {seed} is negative; use 0 or more")
        self._indices, self.seed = range(length), seed
        self._last: _Scene | None = None

    def __len__(self) -> int:
        return len(self._indices)

    def labels(self, index: int) -> Labels:
        return self._scene(index).labels

    def image(self, index: int) -> np.ndarray:
        return self._scene(index).image()

    def _scene(self, index: int) -> _Scene:
        index, scene = self._indices[index], self._last
        if scene is None or scene.index != index:
            scene = self._last = self._drawn(index)
        return scene

    def _drawn(self, index: int) -> _Scene:
        rng = np.random.default_rng((self.seed, index))
        while True:
            canvas, body, pixels = _picture(rng)
            flags = visibility(canvas, body, pixels)
            if np.count_nonzero(flags == 2) >= 5:
                break
        labels = Labels(
            box=_tight_box(canvas.mask, pixels[inside(canvas, pixels)]),
            keypoints=np.column_stack([pixels * (flags > 0)[:, None], flags]),
            area=float(np.count_nonzero(canvas.mask)),
            image_id=index + 1,
            person_id=index + 1,
        )
        return _Scene(index, labels, canvas, rng)


VALIDATION_PEOPLE, VALIDATION_SEED = 300, 1


def validation(people: int = VALIDATION_PEOPLE) -> SyntheticPeople:
    """The people that students are validated on and artefacts are checked on; no training set has this seed."""
    return SyntheticPeople(people, VALIDATION_SEED)


def _picture(rng: np.random.Generator) -> tuple[Canvas, Body, np.ndarray]:
    """A scene with its person of interest, before the camera's faults, and the person's joints in pixels [17, 2]."""
    canvas = Canvas(background(rng), light_direction(rng))
    body = sample_body(rng)
    joints = keypoints_3d(body)
    view = _place(joints, rng)
    pixels = view.project(joints)
    box = np.concatenate([pixels.min(0), np.ptp(pixels, axis=0)])
    if rng.random() < _ODDS_BEHIND:
        _bystander(canvas, box, view.scale * rng.uniform(0.55, 1.05), 0.45, rng)
    draw_person(canvas, body, sample_look(rng), view, own=True)
    if rng.random() < _ODDS_BEFORE:
        _bystander(canvas, box, view.scale * rng.uniform(0.95, 1.2), 0.85, rng)
    if rng.random() < _ODDS_HIDDEN:
        hide(canvas, box, OTHER, rng)
    return canvas, body, pixels


def _tight_box(mask: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """x, y, width, height about a body's pixels and those of its joints: a thin limb's joint may round to beside it."""
    x, y, width, height = cv2.boundingRect(mask)
    places = np.clip(np.rint(labelled), 0, np.array(mask.shape[::-1]) - 1)
    low = np.minimum((x, y), places.min(0))
    high = np.maximum((x + width - 1, y + height - 1), places.max(0))
    return np.concatenate([low, high - low + 1])


def _place(joints: np.ndarray, rng: np.random.Generator) -> View:
    """A view in which the body's longer side (width counts 4/3) takes most of the image, now and then cut by its border."""
    unit = View(np.zeros(2), 1.0, rng.uniform(3.5, 9))
    low, high = unit.project(joints).min(0), unit.project(joints).max(0)
    size = max(high[1] - low[1], (high[0] - low[0]) * 4 / 3, 0.45)
    scale = rng.uniform(152, 204) / size
    crop = 1.4 * scale * size * np.array([0.75, 1.0])  # of the usual padding: flesh sticks out beyond the joints
    shift = rng.uniform(-0.5, 0.5, 2) * np.maximum(np.array([WIDTH, HEIGHT]) - crop + 8, 0)
    if rng.random() < _ODDS_CUT:
        shift += rng.choice((-1, 1), 2) * rng.uniform(0.2, 0.45, 2) * scale * (high - low) * (rng.random(2) < 0.6)
    return View(np.array([WIDTH, HEIGHT]) / 2 + shift - scale * (low + high) / 2, scale, unit.distance)


def _bystander(canvas: Canvas, box: np.ndarray, scale: float, least: float, rng: np.random.Generator) -> None:
    """Another person beside the box, at least that share of its width away from its centre."""
    side = rng.choice((-1, 1)) * rng.uniform(least, least + 0.6) * max(box[2], 0.35 * box[3])
    centre = box[:2] + box[2:] * (0.5, rng.uniform(0.35, 0.6)) + (side, 0)
    draw_person(canvas, sample_body(rng), sample_look(rng), View(centre, scale, 6.0), own=False)
