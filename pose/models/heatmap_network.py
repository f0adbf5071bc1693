"""What the networks have in common that end in a map of features and one convolution to heatmaps."""

from __future__ import annotations

from torch import Tensor, nn

from pose.crop import CropSpec
from pose.models.official import Layout, by_prefix
from pose.models.output import PoseOutput
from pose.models.protocols import Groups, parameter_groups


class HeatmapNetwork(nn.Module):
    """Images `[N, 3, H, W]` -> `PoseOutput` with heatmaps `[N, K, H/4, W/4]`, raw outputs of a 1x1 convolution.

    Args:
        backbone, neck: one after the other, images -> features `[N, channels, H/4, W/4]`.
        keypoints: K.
    """

    def __init__(self, backbone: nn.Module, neck: nn.Module, channels: int, keypoints: int) -> None:
        super().__init__()
        self.backbone, self.neck = backbone, neck
        self.head = nn.Conv2d(channels, keypoints, 1)
        nn.init.normal_(self.head.weight, std=0.001)  # training starts from empty maps
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> PoseOutput:
        return PoseOutput(heatmaps=self.head(self.neck(self.backbone(images))))

    def parameter_groups(self) -> Groups:
        """The backbone, the matrices between tokens, if there are any, and the rest; see `protocols.Student`."""
        return parameter_groups(self, [self.backbone], [self.neck])


def heatmap_layouts(neck: str = "", crop: CropSpec | None = None) -> tuple[Layout, ...]:
    """The layouts of the authors' repositories and of mmpose 1.x and 0.x.

    Args:
        neck: name of the neck there.
        crop: that the authors' networks take, see `Layout`.
    """
    parts = {"backbone.": "", "neck.": f"{neck}.", "head.": "final_layer."}

    def in_mmpose(head: str) -> Layout:
        prefixes = {ours: ours if ours == "backbone." else f"{head}.{theirs}" for ours, theirs in parts.items()}
        return Layout(f"{head}.final_layer.", by_prefix(prefixes))

    return Layout("final_layer.", by_prefix(parts), crop), in_mmpose("head"), in_mmpose("keypoint_head")
