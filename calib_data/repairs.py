"""What is repaired or left out when people are read, and the sentence that says so: the one list of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from pose.errors import InputError

_NAMED = 3  # annotations that a message names


class Repair(Enum):
    """A repair: its sentence, in which `{what}` is a number of annotations, and whether `--strict` refuses the file.

    `--strict` refuses what leaves an annotation out or replaces a stated value; it accepts what only completes the file.
    """

    AREA_MISSING = "no area in {what}: width x height of the box is taken", False
    AREA_FAR = "area far from width x height of the box in {what}: width x height is taken", True
    BOX_MISSING = "no usable box in {what}: the box of the labelled joints, grown to 1.2 times its size, is taken", False
    ON_ONE_POINT = "labelled joints on one point in {what}: annotated boxes are taken instead of those of the joints", False
    BOX_CORNERS = "boxes as (left, top, right, bottom) in {what}: read as such", True
    BOX_FRACTIONS = "boxes in 0..1 in {what}: multiplied by the size of the image", True
    JOINT_FRACTIONS = "keypoints in 0..1 in {what}: multiplied by the size of the image", True
    AT_ORIGIN = "joints labelled at (0, 0) in {what}: read as not labelled", True
    COUNT_WRONG = "another num_keypoints than labelled joints in {what}: counted anew", False
    IDS_RENUMBERED = "ids missing or used twice in {what}: all annotations are numbered anew", False
    CATEGORIES_MERGED = "several categories with the same joints: {detail} are read as one; --category chooses one", False
    JOINTS_LEFT_OUT = "joints left out: {detail}; to keep them, name all joints in a YAML: --skeleton", False
    LIMBS_LEFT_OUT = "the category's 'skeleton' does not fit its joints: no lines are drawn between them", False
    NO_MIRROR = "no mirror images are read from the joints' names ({detail}): name them as flip_pairs", False
    SIZE_MISSING = "no size of {detail}: read from the photos", False
    NO_KEYPOINTS = "left out: {what} without keypoints", False
    WRONG_LENGTH = "left out: {what} with another number of keypoint numbers than {detail}", True
    NOT_A_NUMBER = "left out: {what} with keypoints that are no numbers of pixels", True
    VISIBILITY = "left out: {what} with a visibility other than 0, 1 or 2 (every third keypoint number)", True
    NO_BOX = "left out: {what} without a box of a pixel or more, whose labelled joints span none either", True
    FAR = "left out: {what} with labelled joints far outside the image", True
    OUTSIDE = "left out: {what} with a box and all labelled joints outside the image", True
    NO_OBJECT = "left out: {what} that are no JSON objects with an image_id and an iscrowd of 0 or 1", True
    NO_CATEGORY = "left out: {what} of categories that are not in 'categories'", True
    ONLY_CATEGORY = "category_id of {what} is not in 'categories': that of its one category is taken", True
    OTHER_CATEGORIES = "left out: {what} with keypoints of other categories: {detail}; --category chooses one", False
    NO_IMAGE = "left out: {what} of images that are not in 'images'", True
    DETECTION_IMAGE = "left out: {what} of images that are not in the annotations", False
    DETECTION_CATEGORY = "left out: {what} of other categories", False
    DETECTION_WRONG = "left out: {what} without a score or an area", True
    OUTSIDE_BOX = "left out: {what} under a pixel or outside the image", True

    @property
    def sentence(self) -> str:
        return self.value[0]

    @property
    def is_strict(self) -> bool:
        return self.value[1]


@dataclass
class Repairs:
    """The repairs of one file.

    Attributes:
        file: its name, for messages. noun: what it holds.
        strict: refuse the file instead of a repair that `--strict` refuses.
    """

    file: str
    noun: str = "annotation"
    strict: bool = False
    _sentences: dict[Repair, str] = field(default_factory=dict)
    _others: list[Repairs] = field(default_factory=list)

    def of(self, file: str, noun: str) -> Repairs:
        """Those of another file that belongs to this one; they are listed after these."""
        other = Repairs(file, noun, self.strict)
        self._others.append(other)
        return other

    def add(self, repair: Repair, names: Sequence[object] = (), detail: str = "") -> None:
        """Note a repair of the annotations `names` (their ids, or their places in the file).

        Raises:
            InputError: `--strict` refuses it.
        """
        if not len(names) and not detail:
            return
        what = f"{len(names)} {self.noun}{_plural(self.noun) if len(names) != 1 else ''}"
        named = ", ".join(map(str, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")
        sentence = repair.sentence.format(what=f"{what} ({named})" if named else what, detail=detail)
        if self.strict and repair.is_strict:
            raise InputError(f"{self.file}: {sentence}; correct the file, or leave out --strict")
        self._sentences[repair] = sentence

    def __iter__(self) -> Iterator[str]:
        """The sentences, each with the file that it is about, in the order of `Repair`."""
        yield from (f"{self.file}: {self._sentences[repair]}" for repair in Repair if repair in self._sentences)
        for other in self._others:
            yield from other

    def __contains__(self, repair: Repair) -> bool:
        return repair in self._sentences

    @property
    def first_loss(self) -> str:
        """Why there may be nobody left: the first sentence about annotations that are left out; "" without one."""
        return next((text for text in self._sentences.values() if text.startswith("left out")), "")


def _plural(noun: str) -> str:
    return "es" if noun.endswith("x") else "s"
