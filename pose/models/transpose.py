"""TransPose (Yang et al., ICCV 2021): attention between the pixels of a feature map; heatmaps `[N, K, 64, 48]` for 192x256.

R: the first two stages of ResNet-50, tokens of stride 8, raised to stride 4 in the end. H: HRNet up to stage 3, tokens of
stride 4. Attention over the 3,072 tokens of H has one head, whose weights take 38 MB a crop in each layer.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from pose.models.backbones.detr import EncoderLayer, split_projections
from pose.models.backbones.hrnet import HRNet
from pose.models.backbones.resnet import BLOCKS, LastMap
from pose.models.backbones.upsampling import upsampling
from pose.models.encoder import sine_position
from pose.models.heatmap_network import HeatmapNetwork
from pose.models.official import Layout, by_prefix


class PixelEncoder(nn.Module):
    """Features `[N, inputs, H, W]` -> `[N, dim, H, W]`: each pixel is a token, row by row.

    Args:
        grid: (H, W). hidden: width of the layers' perceptrons.
    """

    def __init__(self, inputs: int, dim: int, grid: tuple[int, int], depth: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inputs, dim, 1, bias=False)
        self.position = nn.Parameter(sine_position(*grid, dim).view(-1, 1, dim), requires_grad=False)  # [H * W, 1, dim]
        self.layers = nn.ModuleList(EncoderLayer(dim, heads, hidden) for _ in range(depth))

    def forward(self, features: Tensor) -> Tensor:
        features = self.reduce(features)
        tokens, position = features.flatten(2).transpose(1, 2), self.position.transpose(0, 1)
        for layer in self.layers:
            tokens = layer(tokens, position)
        return tokens.transpose(1, 2).unflatten(-1, features.shape[-2:])


_PARTS = {
    "backbone.": "",
    "neck.0.reduce.": "reduce.",
    "neck.0.position": "pos_embedding",
    "neck.0.layers.": "global_encoder.layers.",
    "neck.1.": "deconv_layers.",
    "head.": "final_layer.",
}


class TransPose(HeatmapNetwork):
    """Images `[N, 3, H, W]` -> heatmaps `[N, K, H/4, W/4]`, for one size of images.

    Args:
        backbone: images -> features that `encoder` takes. doublings: of the resolution, behind the encoder.
    """

    layouts = (Layout("global_encoder.", by_prefix(_PARTS)),)

    def __init__(self, backbone: nn.Module, encoder: PixelEncoder, doublings: int, keypoints: int) -> None:
        dim = encoder.reduce.out_channels
        raised = upsampling(dim, dim, doublings) if doublings else nn.Identity()
        super().__init__(backbone, nn.Sequential(encoder, raised), dim, keypoints)

    def published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state dict with queries, keys and values apart, which torch's attention packs."""
        return split_projections(state)


def _on_resnet(keypoints: int, depth: int) -> TransPose:
    backbone = LastMap(BLOCKS[50][:2])
    encoder = PixelEncoder(backbone.channels[-1], 256, (32, 24), depth, heads=8, hidden=1024)
    return TransPose(backbone, encoder, 1, keypoints)


def _on_hrnet(keypoints: int, width: int, dim: int, depth: int) -> TransPose:
    encoder = PixelEncoder(width, dim, (64, 48), depth, heads=1, hidden=2 * dim)
    return TransPose(HRNet(width, stages=3), encoder, 0, keypoints)


def transpose_r_a3(keypoints: int) -> TransPose:
    """Three layers: 5.0 M parameters without the position, 4.51 G multiply-adds and 0.91 G in attention."""
    return _on_resnet(keypoints, 3)


def transpose_r_a4(keypoints: int) -> TransPose:
    """Four layers: 5.8 M parameters without the position, 5.11 G multiply-adds and 1.21 G in attention."""
    return _on_resnet(keypoints, 4)


def transpose_h_s(keypoints: int) -> TransPose:
    """HRNet-W32, four layers: 7.8 M parameters without the position, 5.10 G multiply-adds, 4.83 G in attention."""
    return _on_hrnet(keypoints, 32, 64, 4)


def transpose_h_a4(keypoints: int) -> TransPose:
    """HRNet-W48, four layers: 17.0 M parameters without the position, 9.96 G multiply-adds, 7.25 G in attention."""
    return _on_hrnet(keypoints, 48, 96, 4)


def transpose_h_a6(keypoints: int) -> TransPose:
    """HRNet-W48, six layers: 17.2 M parameters without the position, 10.41 G multiply-adds, 10.87 G in attention."""
    return _on_hrnet(keypoints, 48, 96, 6)
