"""Repairs of the numbers of annotations: fractions instead of pixels, missing boxes and areas, areas that mean nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calib_data.coco_file import PeopleTable
from calib_data.repairs import Repair, Repairs

GROWTH = 1.2  # of boxes about joints: with a crop's padding of 1.25 the crop is 1.5 times their longer side
_FRACTION = 1.5  # coordinates of a whole file up to this are fractions: people may reach beyond the photo by half of it
_LARGEST = 4  # widths or heights of its image that a box and joints may span: a photo may show a small part of somebody
_LEAST_SIDE = 8  # pixels of images in which such coordinates are no pixels
# Share of width x height of its box that an area may have, and that of the median of a file. In COCO the median is 0.5,
# and 0.1 to 0.8 for nearly all people; area 1 everywhere, or that of the whole image, would make every AP 0 or 100.
_AREA, _USUAL_AREA = (0.01, 1.5), (0.1, 1.5)
_HOLDS = 0.95  # share of people whose boxes, read as (left, top, right, bottom), lie in the image with half of their joints
# Share of the joints of people away from the image's edge that such boxes hold. In COCO it is 0.96, as annotated boxes do
# not hold every joint, and 0.08 if its (left, top, width, height) is read so. Where half of the boxes would reach out of
# their images if they were (left, top, width, height) (of COCO's and LSP's two thirds do), that is enough; else most people
# have to have all of their joints in them.
_HELD, _WHOLE = 0.9, 0.8
_OFFSET = 0.3  # widths or heights from the image's edge from which the two readings of a box differ
_TELLING, _TELLING_JOINTS = 3, 40  # people away from the edge, and joints of them, from whom the reading follows
_BEYOND = 0.25  # share of boxes in images without joints that reach out of them, from which they are corners
_JOINTS = 5  # of a person who counts among them
_ALL_INSIDE = 20  # people among whom true corners would reach out of some image
_FEW = 3  # people whose areas may be the same by chance


def joint_boxes(keypoints: np.ndarray) -> np.ndarray:
    """Boxes float64 [N, 4] of the labelled joints of keypoints [N, K, 3], grown to 1.2 times their size; NaN of none."""
    x, y, visibility = np.moveaxis(keypoints, (2, 1), (0, 1))  # [K, N] each: numpy is slow along short rows
    labelled = visibility > 0
    low, high = (
        np.stack([extreme(np.where(labelled, axis, start), 0, initial=start) for axis in (x, y)], 1)
        for extreme, start in ((np.min, np.inf), (np.max, -np.inf))
    )
    none = ~labelled.any(0)
    low[none], high[none] = np.nan, np.nan
    size = (high - low) * GROWTH
    return np.hstack([(low + high - size) / 2, size])


def repair(
    people: PeopleTable,
    sizes: Mapping[int, tuple[int, int]],
    repairs: Repairs,
    *,
    in_fractions: bool = False,
    least: int = 1,
) -> None:
    """Repair a table in place; people who cannot be repaired are left out.

    Args:
        sizes: (width, height) of every image of the people.
        in_fractions: the format says that coordinates are in 0..1.
        least: labelled joints of a person; others are left as they are.

    Afterwards every person with so many labelled joints who is no crowd has a box with an area that overlaps the image, and
    an area above 0.
    """
    images = np.array([sizes[number] for number in people.image_ids.tolist()], np.float64).reshape(-1, 2)
    _unlabel_origin(people, repairs)
    is_person = (people.labelled >= least) & ~people.is_crowd
    _scale(people, images, is_person, repairs, in_fractions)
    _read_corners(people, images, is_person, repairs)
    somewhere = is_person & ((people.labelled > 0) | _have_sides(people))
    far, outside = is_person & _any_far(people, images), somewhere & _all_outside(people, images)
    repairs.add(Repair.FAR, people.ids[far].tolist())
    repairs.add(Repair.OUTSIDE, people.ids[outside & ~far].tolist())
    lost = far | outside
    people.keep(~lost)
    images, is_person = images[~lost], is_person[~lost]
    _repair_boxes(people, images, is_person, repairs)
    is_person = (people.labelled >= least) & ~people.is_crowd
    _repair_areas(people, is_person, repairs)
    wrong = np.isfinite(people.stated) & (people.stated != people.labelled) & is_person
    repairs.add(Repair.COUNT_WRONG, people.ids[wrong].tolist())


def _scale(people: PeopleTable, images: np.ndarray, is_person: np.ndarray, repairs: Repairs, stated: bool) -> None:
    """Fractions of the image to pixels."""
    labelled = people.keypoints[..., 2] > 0
    rows, joints = np.nonzero(labelled & is_person[:, None])
    boxed = is_person & _have_sides(people)
    if stated or (len(rows) > 1 and are_fractions(people.keypoints[rows, joints, :2], images[rows])):
        people.keypoints[..., :2] *= images[:, None]
        repairs.add(Repair.JOINT_FRACTIONS, [] if stated else people.ids[is_person].tolist())
    if stated or are_fractions(people.boxes[boxed], images[boxed]):
        people.boxes *= np.hstack([images, images])
        repairs.add(Repair.BOX_FRACTIONS, [] if stated else people.ids[boxed].tolist())


def _have_sides(people: PeopleTable) -> np.ndarray:
    """Whether the last two numbers of each box are above 0, bool [N]."""
    return np.all(people.boxes[:, 2:] > 0, axis=1)


def _unlabel_origin(people: PeopleTable, repairs: Repairs) -> None:
    """Joints on the image's very corner are the (0, 0) of joints without a label, where a file shows that it writes them so.

    It does where several joints of one person lie there, or where `num_keypoints` does not count them.
    """
    x, y, visibility = np.moveaxis(people.keypoints, -1, 0)
    at_origin = (x == 0) & (y == 0) & (visibility > 0)
    count = at_origin.sum(1)
    uncounted = (count > 0) & (people.stated == people.labelled - count)
    counted = (count > 0) & (people.stated == people.labelled)
    rows = uncounted | (count > 1) | ((count > 0) & ~counted & (count > 1).any())
    people.keypoints[at_origin & rows[:, None], 2] = 0
    repairs.add(Repair.AT_ORIGIN, people.ids[rows].tolist())


def _read_corners(people: PeopleTable, images: np.ndarray, is_person: np.ndarray, repairs: Repairs) -> None:
    """Boxes of a file that are (left, top, right, bottom) to (left, top, width, height)."""
    boxed = is_person & _have_sides(people)
    rows = boxed & (people.labelled >= _JOINTS)
    if people.labelled[is_person].any():
        if not _are_corners(people.boxes[rows], people.keypoints[rows], images[rows]):
            return
    elif not _reach_out(people.boxes[boxed], images[boxed]):
        return
    corners = (people.boxes[:, 2:] > people.boxes[:, :2]).all(1)  # of crowds, too
    people.boxes[corners, 2:] -= people.boxes[corners, :2]
    repairs.add(Repair.BOX_CORNERS, people.ids[corners].tolist())


def _are_corners(boxes: np.ndarray, keypoints: np.ndarray, images: np.ndarray) -> bool:
    """Whether boxes [N, 4] are (left, top, right, bottom), by keypoints [N, K, 3] and the sizes of their images [N, 2].

    Read so, a (left, top, width, height) away from the image's edge ends before its person: many joints lie outside.
    """
    low, high, labelled = boxes[:, :2], boxes[:, 2:], keypoints[..., 2] > 0
    held = labelled & ((keypoints[..., :2] >= low[:, None] - 1) & (keypoints[..., :2] <= high[:, None] + 1)).all(-1)
    telling = (low > _OFFSET * high).any(1)
    joints = labelled[telling].sum()
    if telling.sum() < _TELLING or joints < _TELLING_JOINTS:
        return False
    fits = (high > low).all(1) & (high <= images + 1).all(1) & (2 * held.sum(1) >= labelled.sum(1))
    reach_out = (low + high > images + 1).any(1)[telling].mean()
    if len(boxes) >= _ALL_INSIDE and not reach_out:
        return False
    whole = (held == labelled).all(1)[telling].mean()
    return bool(fits.mean() >= _HOLDS and held[telling].sum() >= _HELD * joints and (reach_out >= 0.5 or whole >= _WHOLE))


def _reach_out(boxes: np.ndarray, images: np.ndarray) -> bool:
    """Whether boxes [N, 4] without joints are (left, top, right, bottom): read otherwise, many reach out of their images."""
    low, high = boxes[:, :2], boxes[:, 2:]
    fits = (high > low).all(1) & (high <= images + 1).all(1)
    beyond = (low + high > images + 1).any(1)
    return bool(beyond.sum() >= _TELLING and fits.mean() >= _HOLDS and beyond.mean() >= _BEYOND)


def _any_far(people: PeopleTable, images: np.ndarray) -> np.ndarray:
    """Whether a labelled joint is so far from the image that it is a mistake, bool [N]."""
    x, y, visibility = np.moveaxis(people.keypoints, -1, 0)
    width, height = images.T[..., None]
    far = (np.abs(x - width / 2) > _LARGEST / 2 * width) | (np.abs(y - height / 2) > _LARGEST / 2 * height)
    return (far & (visibility > 0)).any(1)


def _all_outside(people: PeopleTable, images: np.ndarray) -> np.ndarray:
    """Whether neither a labelled joint nor any part of the box is in the image, bool [N]."""
    x, y, visibility = np.moveaxis(people.keypoints, -1, 0)
    width, height = images.T[..., None]
    inside = (x >= 0) & (y >= 0) & (x <= width) & (y <= height) & (visibility > 0)
    return ~inside.any(1) & ~overlap(people.boxes, images)


def are_fractions(boxes: np.ndarray, images: np.ndarray) -> bool:
    """Whether boxes or points [N, ...] are in 0..1 of their images [N, 2] and not in pixels."""
    return len(boxes) > 0 and bool((images >= _LEAST_SIDE).all()) and bool((np.abs(boxes) <= _FRACTION).all())


def overlap(boxes: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Whether boxes [N, 4] are from a pixel to a few images wide and high, with a part in their images [N, 2], bool [N]."""
    low, size = boxes[:, :2], boxes[:, 2:]
    return (size <= _LARGEST * images).all(1) & (size >= 1).all(1) & (low < images).all(1) & (low + size > 0).all(1)


def _repair_boxes(people: PeopleTable, images: np.ndarray, is_person: np.ndarray, repairs: Repairs) -> None:
    wrong = is_person & ~overlap(people.boxes, images)
    about = joint_boxes(people.keypoints)
    usable = overlap(about, images)
    repairs.add(Repair.BOX_MISSING, people.ids[wrong & usable].tolist())
    repairs.add(Repair.NO_BOX, people.ids[wrong & ~usable].tolist())
    people.boxes[wrong] = about[wrong]
    people.boxes[np.isnan(people.boxes).any(1)] = 0
    people.keep(~(wrong & ~usable))


def _repair_areas(people: PeopleTable, is_person: np.ndarray, repairs: Repairs) -> None:
    of_box = people.boxes[:, 2:].clip(0).prod(1)
    missing = ~(people.areas > 0)
    share = np.where(missing | (of_box <= 0), np.nan, people.areas / np.where(of_box > 0, of_box, 1))
    known = share[is_person & ~missing]
    is_usual = len(known) == 0 or _USUAL_AREA[0] <= float(np.median(known)) <= _USUAL_AREA[1]
    is_usual &= not _is_constant(people.areas[is_person], of_box[is_person])
    far = is_person & ~missing & (~((share >= _AREA[0]) & (share <= _AREA[1])) | (not is_usual))
    repairs.add(Repair.AREA_MISSING, people.ids[missing & is_person].tolist())
    repairs.add(Repair.AREA_FAR, people.ids[far].tolist())
    replaced = missing | far
    people.areas[replaced] = of_box[replaced]


def _is_constant(areas: np.ndarray, of_boxes: np.ndarray) -> bool:
    """Whether all people have one area, though their boxes differ: a placeholder."""
    return len(areas) >= _FEW and bool(np.ptp(areas) == 0 and np.ptp(of_boxes) > 0)
