"""Small files in the formats of published data sets and of annotation tools, written from one drawn person.

Each function gives the file of a person whose joints are the first of COCO-17 at `POINTS`, as far as the format has them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pose.skeleton import AIC_14, COCO_17, MPII_16, Skeleton

W, H = 120, 160  # of each photo
POINTS = {joint: (30.0 + 3 * place, 20.0 + 7 * place) for place, joint in enumerate(COCO_17.joints)}
POINTS |= {"head_top": (33.0, 12.0), "neck": (50.0, 50.0), "pelvis": (60.0, 100.0), "thorax": (52.0, 55.0)}
BOX = [20, 10, 80, 140]
COCO_LIMBS = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9], [8, 10], [9, 11]]


def triples(joints: list[str], v: int = 2) -> list[float]:
    """Numbers of joints in the spelling of the registered skeletons; 0, 0, 0 where `POINTS` has none."""
    return [number for joint in joints for number in ((*POINTS[joint], v) if joint in POINTS else (0, 0, 0))]


def coco(names: list[str], numbers: list[float], *, limbs: Any = (), **fields: Any) -> dict[str, Any]:
    """The parts that all have: one photo, one person."""
    return {
        "images": [{"id": 1, "file_name": "1.png", "width": W, "height": H}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": numbers, "bbox": BOX, **fields}],
        "categories": [{"id": 1, "name": "person", "supercategory": "person", "keypoints": names, "skeleton": limbs}],
    }


def spelt(skeleton: Skeleton, spelling: Any) -> list[str]:
    return [spelling(joint) for joint in skeleton.joints]


def aic() -> Any:
    """mmpose's conversion: capitals and blanks, no area, no iscrowd."""
    names = [joint.replace("_", " ").title().replace("Head Top", "Head top") for joint in AIC_14.joints]
    return coco(names, triples(list(AIC_14.joints)), limbs=[[3, 2], [2, 1]], num_keypoints=14)


def aic_released() -> Any:
    """The release itself: a list, boxes as corners, visibilities 1 visible, 2 occluded, 3 outside."""
    numbers = [{2: 1, 0: 3}.get(n, n) if place % 3 == 2 else n for place, n in enumerate(triples(list(AIC_14.joints)))]
    person = {"human1": [20, 10, 100, 150]}
    return [{"image_id": "1", "human_annotations": person, "keypoint_annotations": {"human1": numbers}, "url": ""}]


def crowdpose() -> Any:
    """14 joints whose category has the limbs of COCO, with numbers up to 17; no area."""
    joints = [*(joint for joint in COCO_17.joints[5:]), "head_top", "neck"]
    names = [joint.replace("head_top", "head") for joint in joints]
    held = coco(names, triples(joints), limbs=COCO_LIMBS, iscrowd=0, num_keypoints=14)
    held["images"][0]["crowdIndex"] = 0.33
    return held


def mhp() -> Any:
    """MPII's joints as `Upper-neck`; an area of the box, a face_box."""
    names = spelt(MPII_16, lambda joint: joint.replace("neck", "upper_neck").replace("_", "-").capitalize())
    return coco(names, triples(list(MPII_16.joints)), limbs=[[1, 2]], iscrowd=0, area=11200.0, face_box=[1, 2, 3, 4])


def posetrack18() -> Any:
    """Frames in folders, without sizes; ids of 11 digits; no area, no iscrowd; ears never labelled."""
    joints = ["nose", "head_bottom", "head_top", *COCO_17.joints[3:]]
    held = coco(joints, triples(joints), limbs=COCO_LIMBS, track_id=0, scores=[], bbox_head=[1, 2, 3, 4])
    held["annotations"][0]["keypoints"][9:15] = [0] * 6
    image = {
        "file_name": "images/val/000342_mpii_test/1.png",
        "id": 10003420000,
        "frame_id": 10003420000,
        "vid_id": "000342",
    }
    held["images"] = [{**image, "nframes": 100, "is_labeled": True, "ignore_regions_x": [], "ignore_regions_y": []}]
    held["annotations"][0] |= {"image_id": 10003420000, "id": 1000342000000}
    return held


def humanart() -> Any:
    """COCO's 17 beside 21 others in a field of their own; photos in folders; another number of keypoints."""
    more = {"keypoints_21": [1, 2, 2] * 21, "self_contact": [], "annotator": 7, "area": 4000, "num_keypoints": 21}
    held = coco(list(COCO_17.joints), triples(list(COCO_17.joints)), limbs=COCO_LIMBS, iscrowd=0, **more)
    held["images"][0]["file_name"] = "HumanArt/images/2D_virtual_human/anime/1.png"
    return held


def jhmdb() -> Any:
    """15 joints with a belly, and a head that is no head top; no area, no iscrowd."""
    joints = ["neck", "belly", "head", *(f"{side}_{part}" for part in ("shoulder", "hip") for side in ("right", "left"))]
    joints += [f"{side}_{part}" for part in ("elbow", "knee", "wrist", "ankle") for side in ("right", "left")]
    return coco(joints, triples(joints), limbs=[[1, 3]], track_id=0, scores=[], id=1000002280001)


def halpe() -> Any:
    """136 joints that the category does not name: COCO's 17, 9 of head, trunk and feet, 110 of face and hands."""
    numbers = triples([*COCO_17.joints, "head_top", "neck", "pelvis"]) + [50, 140, 2] * 6 + [40, 40, 0] * 110
    return coco([], numbers, area=6000.5, iscrowd=0, num_keypoints=17)


def wholebody() -> Any:
    """COCO-WholeBody: the body's 17, the others in fields of their own."""
    more = {
        "foot_kpts": [0] * 18,
        "face_kpts": [0] * 204,
        "lefthand_kpts": [0] * 63,
        "face_valid": False,
        "face_box": [0] * 4,
    }
    return coco(list(COCO_17.joints), triples(list(COCO_17.joints)), limbs=COCO_LIMBS, iscrowd=0, area=5000, **more)


def wholebody_joined() -> Any:
    """All 133 joints of COCO-WholeBody in `keypoints`, as conversions have them, without names."""
    return coco([], triples(list(COCO_17.joints)) + [50, 140, 2] * 116, area=6000, iscrowd=0)


def mpii() -> Any:
    """mmpose's and HRNet's list: coordinates from 1, `scale` over 200 pixels, -1 for what is not labelled."""
    points = [[POINTS[joint][0] + 1, POINTS[joint][1] + 1] for joint in MPII_16.joints]
    points[0] = [-1.0, -1.0]
    return [{"image": "1.png", "center": [61, 71], "scale": 0.7, "joints": points, "joints_vis": [0] + [1] * 15}]


AP_10K = ["left_eye", "right_eye", "nose", "neck", "root_of_tail"]
AP_10K += [f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "front_paw")]
AP_10K += [f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "back_paw")]


def ap10k() -> Any:
    """54 species, each a category with the same joints."""
    held = coco(AP_10K, triples(AP_10K), limbs=[[1, 2], [2, 3]], iscrowd=0, area=9000)
    species = [{**held["categories"][0], "id": number, "name": f"species {number}"} for number in range(1, 55)]
    held["categories"], held["annotations"][0]["category_id"] = species, 26
    return held


def onehand10k() -> Any:
    """21 joints of a hand; every visibility is 0 or 1; joints of no registered skeleton."""
    fingers = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
    joints = ["wrist", *(f"{finger}{number}" for finger in fingers for number in range(1, 5))]
    numbers = [number for place in range(21) for number in (30 + 2 * place, 20 + 5 * place, 1)]
    held = coco(joints, numbers, limbs=[[1, 2]], iscrowd=0, area=9000, segmentation=[[1, 2, 3, 4]])
    held["categories"][0] |= {"name": "hand", "supercategory": "hand"}
    return held


def label_studio() -> Any:
    """Ids from 0, `images\\/` and backslashes in names, an `ignore` field, area of the polygon that is not there: 0."""
    held = coco(
        spelt(COCO_17, lambda joint: joint.replace("_", " ")), triples(list(COCO_17.joints)), area=0, iscrowd=0, ignore=0
    )
    held["images"][0] |= {"id": 0, "file_name": "images\\1.png"}
    held["annotations"][0] |= {"id": 0, "image_id": 0, "category_id": 0, "segmentation": []}
    held["categories"][0]["id"] = 0
    return held


def cvat() -> Any:
    """Joints in the order of the drawing, attributes, and a skeleton with a single visible joint, whose box is flat."""
    joints = list(COCO_17.joints[::-1])
    held = coco(joints, triples(joints), iscrowd=0, area=5000, num_keypoints=17, attributes={"occluded": False})
    point = {"keypoints": [40.5, 60.5, 2] + [0, 0, 0] * 16, "num_keypoints": 1, "bbox": [40.5, 60.5, 0.0, 0.0], "area": 0.0}
    held["annotations"].append({**held["annotations"][0], "id": 2, **point})
    return held


def labelme() -> Any:
    """Another machine's path, area 1 everywhere, strings as ids."""
    held = coco(
        [joint.title().replace("_", "-") for joint in COCO_17.joints], triples(list(COCO_17.joints)), area=1.0, iscrowd=0
    )
    held["images"][0] |= {"id": "img-a", "file_name": "C:\\Users\\me\\photos\\1.png"}
    held["annotations"][0]["image_id"] = "img-a"
    return held


def coco_annotator() -> Any:
    """Booleans, an empty box where none was drawn, a polygon without keypoints, a path of the container."""
    held = coco(list(COCO_17.joints), triples(list(COCO_17.joints)), iscrowd=False, isbbox=False, area=0, color="#fff")
    held["annotations"][0]["bbox"] = [0, 0, 0, 0]
    polygon = {"segmentation": [[1, 1, 9, 1, 9, 9]], "area": 32, "bbox": [1, 1, 8, 8], "iscrowd": False}
    held["annotations"].append({"id": 9, "image_id": 1, "category_id": 1, **polygon})
    held["images"][0] |= {"path": "/datasets/mine/1.png", "deleted": False, "annotated": True, "regenerate_thumbnail": False}
    return held


def openpose() -> Any:
    """COCO's 17 and a neck, names as OpenPose has them."""
    names = [
        "".join(word.title() for word in joint.replace("left", "l").replace("right", "r").split("_"))
        for joint in COCO_17.joints
    ]
    return coco([*names, "Neck"], triples([*COCO_17.joints, "neck"]), area=5000, iscrowd=0)


FORMATS = [
    aic, aic_released, crowdpose, mhp, posetrack18, humanart, jhmdb, halpe, wholebody, wholebody_joined, mpii, ap10k,
    onehand10k, label_studio, cvat, labelme, coco_annotator, openpose,
]  # fmt: skip


def photo() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (H, W, 3), np.uint8)
