"""PRTR (Li et al., CVPR 2021), the top-down form: a DETR whose queries are joints, assigned to them by their probabilities.

The assignment (`pose.decode.assign_queries`) is no part of the network: it runs outside of the graph that is lowered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose.models.backbones.detr import Attention, DecoderLayer, EncoderLayer, Perceptron, split_projections
from pose.models.backbones.hrnet_classifier import HRNetClassifier
from pose.models.backbones.resnet import BLOCKS, FrozenBatchNorm2d, LastMap
from pose.models.encoder import sine_position
from pose.models.output import PoseOutput
from pose.models.regression import RegressionStudent, full_precision

_SIGMA = 2.0  # heatmap pixels, where our head for sigmas starts
_NAMES = {  # theirs -> ours; the first that fits
    "backbone.0.body.": "backbone.",
    "backbone.body.": "backbone.",
    "transformer.encoder.layers.": "encoder.",
    "transformer.decoder.layers.": "decoder.",
    "transformer.decoder.norm.": "norm.",
    "class_embed.": "head.class_embed.",
    "kpt_embed.": "head.kpt_embed.",
    "query_embed.weight": "queries",
}


class PRTRHead(nn.Module):
    """Queries `[..., Q, D]` -> coordinates in 0..1 `[..., Q, 2]`, logits `[..., Q, K + 1]` (the last: no joint), sigmas.

    `sigmas` `[..., Q, 2]`, in heatmap pixels, is ours, for the simulated-heatmap loss; it starts as a constant.
    """

    def __init__(self, dim: int, keypoints: int) -> None:
        super().__init__()
        self.class_embed = nn.Linear(dim, keypoints + 1)
        self.kpt_embed = Perceptron(dim, 2)
        self.sigmas = nn.Linear(dim, 2)
        nn.init.zeros_(self.sigmas.weight)
        nn.init.constant_(self.sigmas.bias, torch.tensor(_SIGMA).expm1().log().item())

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with full_precision(tokens):
            tokens = tokens.float()
            return self.kpt_embed(tokens).sigmoid(), self.class_embed(tokens), F.softplus(self.sigmas(tokens))


class PRTR(RegressionStudent):
    """Images `[N, 3, H, W]` -> `PoseOutput` of queries, with the predictions of every decoder layer.

    Args:
        backbone: images -> features `[N, channels, H / 32, W / 32]`.
        grid: (rows, columns) of the features.
        queries, dim, heads, hidden, depth: of the transformer; `depth` layers in the encoder and in the decoder.
    """

    auxiliary = ("head.sigmas",)
    position: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        keypoints: int,
        grid: tuple[int, int] = (8, 6),
        queries: int = 100,
        dim: int = 256,
        heads: int = 8,
        hidden: int = 2048,
        depth: int = 6,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.input_proj = nn.Conv2d(channels, dim, 1)
        self.encoder = nn.ModuleList(EncoderLayer(dim, heads, hidden) for _ in range(depth))
        self.decoder = nn.ModuleList(DecoderLayer(dim, heads, hidden, Attention(dim, heads)) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.queries = nn.Parameter(torch.randn(queries, dim))
        self.head = PRTRHead(dim, keypoints)
        self.register_buffer("position", sine_position(*grid, dim), persistent=False)
        for part in (self.encoder, self.decoder):
            for matrix in (parameter for parameter in part.parameters() if parameter.ndim == 2):
                nn.init.xavier_uniform_(matrix)

    def published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `RegressionStudent`."""
        return {_renamed(key): value for key, value in split_projections(state).items()}

    def encoder_parts(self) -> Iterable[nn.Module]:
        """The layers of encoder and decoder."""
        return self.encoder, self.decoder

    def forward(self, images: Tensor) -> PoseOutput:
        features = self.input_proj(self.backbone(images))
        memory, position = features.flatten(2).transpose(1, 2), self.position
        if memory.shape[1] != position.shape[1]:  # of smaller crops (progressive resizing)
            position = sine_position(features.shape[-2], features.shape[-1], features.shape[1]).to(features)
        for layer in self.encoder:
            memory = layer(memory, position)
        placed, embedding = memory + position, self.queries[None]
        tokens = torch.zeros_like(embedding).expand(images.shape[0], -1, -1)
        layers = []
        for layer in self.decoder:
            tokens = layer(tokens, embedding, placed, memory)
            layers.append(self.norm(tokens))
        coords, logits, sigmas = self.head(torch.stack(layers, dim=1))
        return PoseOutput(
            coords=coords[:, -1],
            scores=logits[:, -1, :, :-1].softmax(-1),
            sigmas=sigmas[:, -1],
            layer_coords=coords,
            layer_logits=logits,
        )


def _renamed(key: str) -> str:
    return next((ours + key.removeprefix(theirs) for theirs, ours in _NAMES.items() if key.startswith(theirs)), key)


def prtr_w32(keypoints: int) -> PRTR:
    """HRNet-W32 with its classification head: 57.2 M parameters, 10.18 G multiply-adds."""
    backbone = HRNetClassifier(32)
    return PRTR(backbone, backbone.outputs, keypoints)


def prtr_r50(keypoints: int) -> PRTR:
    """ResNet-50 with ImageNet's batch norms, for crops in the order B, G, R: 41.5 M parameters, 5.44 G multiply-adds."""
    backbone = LastMap(BLOCKS[50], norm=FrozenBatchNorm2d)
    return PRTR(backbone, backbone.channels[-1], keypoints)
