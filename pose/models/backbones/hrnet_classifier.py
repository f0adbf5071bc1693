"""HRNet as for image classification (Wang et al., TPAMI 2020, figure 5 d): all four branches gathered in one coarse map.

PRTR and RLE read it. The names of its parts are those of HRNet's checkpoints.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from pose.models.backbones.hrnet import HRNet
from pose.models.backbones.stemnet import Bottleneck

_HIDDEN = (32, 64, 128, 256)  # channels inside the bottleneck that widens each branch; it gives four times as many


class HRNetClassifier(HRNet):
    """RGB `[N, 3, H, W]` -> features `[N, 2048, H / 32, W / 32]`; H and W are multiples of 32.

    Args:
        width: see `HRNet`.
    """

    outputs = 2048

    def __init__(self, width: int) -> None:
        super().__init__(width, 4, branches=4)
        widths = [4 * hidden for hidden in _HIDDEN]
        self.incre_modules = nn.ModuleList(
            nn.Sequential(Bottleneck(width * 2**branch, hidden)) for branch, hidden in enumerate(_HIDDEN)
        )
        self.downsamp_modules = nn.ModuleList(
            nn.Sequential(nn.Conv2d(fine, coarse, 3, 2, padding=1), nn.BatchNorm2d(coarse), nn.ReLU(inplace=True))
            for fine, coarse in pairwise(widths)
        )
        self.final_layer = nn.Sequential(
            nn.Conv2d(widths[-1], self.outputs, 1), nn.BatchNorm2d(self.outputs), nn.ReLU(inplace=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        first, *others = [widen(x) for widen, x in zip(self.incre_modules, self.maps(images), strict=True)]
        for halve, other in zip(self.downsamp_modules, others, strict=True):
            first = other + halve(first)
        return self.final_layer(first)
