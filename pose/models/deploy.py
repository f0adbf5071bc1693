"""Train form -> deploy form: the same function as the trained network, in the operators that backends run fastest.

* Batch norm disappears: into the convolution before it (backbones), into the linears after it (`TokenBatchNorm`).
* The patch embedding is a strided convolution; query, key and value are three linears, the attention's scale inside query's.
* Attention is two `bmm` of rank 3 over batch x heads: a `matmul` of rank 4 would become `expand` + `bmm` in every backend.
* Keypoint tokens are not expanded and concatenated: the visual tokens are padded with K zero rows, and one constant
  `[1, K + P, D]` is added (keypoint tokens, then the position embedding and what `DeployPose.centre` takes out of patches).
* The last block computes the keypoint tokens alone, once visual tokens are cut off: nothing else is read.
* Coordinates, scores and sigmas come from three linears, so that sigmas vanish from what ships.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pose.models.distilpose import DistilPose
from pose.models.encoder import Block, PatchEmbedding, TokenBatchNorm, merge_heads, split_heads
from pose.models.output import PoseOutput
from pose.models.protocols import Groups, parameter_groups


def pose_output(tensors: Sequence[Tensor]) -> PoseOutput:
    """`DeployPose.tensors` by name."""
    coords, scores, sigmas, keypoint_tokens, visual_tokens = tensors
    return PoseOutput(coords, scores, sigmas, None, keypoint_tokens, visual_tokens)


class DeployBlock(nn.Module):
    """A pre-norm block over `[N, L, D]`; a norm that was folded away is an identity."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        attention = block.attention
        weights = attention.qkv.weight.detach().chunk(3)
        query, key, value = (_linear(weight, torch.zeros(len(weight))) for weight in weights)
        self.heads = attention.heads
        self.norm1, (self.query, self.key, self.value) = _fold(block.norm1, query, key, value)
        with torch.no_grad():
            self.query.weight.mul_(attention.scale)
            self.query.bias.mul_(attention.scale)
        self.out = copy.deepcopy(attention.out)
        self.norm2, (self.up,) = _fold(block.norm2, copy.deepcopy(block.mlp.up))
        self.activation = copy.deepcopy(block.mlp.activation)
        self.down = copy.deepcopy(block.mlp.down)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        return self._attend(tokens, normed, *self._memory(normed))

    def _memory(self, normed: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of all tokens, `[N * heads, L, D / heads]`."""
        return split_heads(self.key(normed), self.heads), split_heads(self.value(normed), self.heads)

    def _attend(self, tokens: Tensor, normed: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The block's output for some of the tokens."""
        query = split_heads(self.query(normed), self.heads)
        weights = torch.bmm(query, key.transpose(1, 2)).softmax(-1)
        tokens = tokens + self.out(merge_heads(torch.bmm(weights, value), self.heads))
        return tokens + self.down(self.activation(self.up(self.norm2(tokens))))


class Readout(DeployBlock):
    """The last block. Visual tokens are outputs only while training, so they are computed apart and can be cut off."""

    def split(self, tokens: Tensor, keypoints: int) -> tuple[Tensor, Tensor]:
        """Keypoint tokens `[N, K, D]` and visual tokens `[N, P, D]`, K + P = L."""
        normed = self.norm1(tokens)
        key, value = self._memory(normed)
        both = slice(None, keypoints), slice(keypoints, None)
        keypoint, visual = (self._attend(tokens[:, part], normed[:, part], key, value) for part in both)
        return keypoint, visual


class DeployHead(nn.Module):
    """Keypoint tokens `[N, K, D]` -> coords `[N, K, 2]` in 0..1, scores `[N, K]`, sigmas `[N, K, 2]` in heatmap pixels."""

    def __init__(self, head: nn.Sequential) -> None:
        super().__init__()
        norm, linear = head[0], head[1]
        assert isinstance(linear, nn.Linear)
        parts = (_linear(linear.weight[rows], linear.bias[rows]) for rows in (slice(0, 2), slice(2, 3), slice(3, 5)))
        self.norm, (self.coords, self.scores, self.sigmas) = _fold(norm, *parts)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tokens = self.norm(tokens)
        return self.coords(tokens).sigmoid(), self.scores(tokens).flatten(1), F.softplus(self.sigmas(tokens))


class DeployPose(nn.Module):
    """Images `[N, 3, H, W]` -> `PoseOutput` with everything but heatmaps. See the module; `deploy` makes it."""

    position: Tensor
    centred_weight = "patch.weight"  # of the layer whose channels `centre` may shift

    def __init__(self, model: DistilPose) -> None:
        super().__init__()
        self.keypoints = model.keypoints
        self.backbone = without_batch_norm(copy.deepcopy(model.backbone))
        self.patch = _strided(model.patch)
        position = model.position.detach()
        self.start = nn.Parameter(torch.cat([model.keypoint_token.detach(), position], dim=1))
        self.register_buffer("position", F.pad(position, (0, 0, self.keypoints, 0)))
        *blocks, last = [block for block in model.encoder.get_submodule("blocks").children() if isinstance(block, Block)]
        self.blocks = nn.ModuleList(DeployBlock(block) for block in blocks)
        self.readout = Readout(last)
        self.head = DeployHead(model.head)

    @torch.no_grad()
    def centre(self, middle: Tensor) -> None:
        """Move a constant of each channel, `[D]`, from the patch embedding's output into `start`: the sum is the same."""
        assert self.patch.bias is not None
        self.patch.bias -= middle
        self.start[:, self.keypoints :] += middle

    def parameter_groups(self) -> Groups:
        """The backbone, the matrices of the blocks, and the rest; see `pose.models.protocols.Student`."""
        return parameter_groups(self, [self.backbone], [self.blocks, self.readout])

    def forward(self, images: Tensor) -> PoseOutput:
        return pose_output(self.tensors(images))

    def tensors(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """coords, scores, sigmas, keypoint tokens, visual tokens."""
        visual = self.patch(self.backbone(images)).flatten(2).transpose(1, 2)
        tokens = F.pad(visual, (0, 0, self.keypoints, 0)) + self.start
        for block in self.blocks:
            tokens = block(tokens) + self.position
        keypoint, visual = self.readout.split(tokens, self.keypoints)
        return *self.head(keypoint), keypoint, visual


def deploy(model: nn.Module) -> DeployPose:
    """The deploy form of a trained DistilPose: equal to the model in evaluation mode, and trainable.

    The position embedding that is added at the input becomes part of the trainable `start`.
    """
    if not isinstance(model, DistilPose):
        raise TypeError(f"only regression students have a deploy form, not {type(model).__name__}")
    return DeployPose(model)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


@torch.no_grad()
def _fold(norm: nn.Module, *linears: nn.Linear) -> tuple[nn.Module, tuple[nn.Linear, ...]]:
    """The norm and the linears that read it, with a batch norm folded into them: W(a x + b) + c = (W a) x + (W b + c)."""
    if not isinstance(norm, TokenBatchNorm):
        return copy.deepcopy(norm), linears
    assert norm.running_var is not None
    assert norm.running_mean is not None
    factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    offset = norm.bias - norm.running_mean * factor
    return nn.Identity(), tuple(_linear(x.weight * factor, x.weight @ offset + x.bias) for x in linears)


def _strided(patch: PatchEmbedding) -> nn.Conv2d:
    """The patch embedding as a convolution whose stride is the patch."""
    rows, columns = patch.patch
    dim, features = patch.linear.weight.shape
    conv = nn.Conv2d(features // (rows * columns), dim, patch.patch, patch.patch)
    with torch.no_grad():
        conv.weight.copy_(patch.linear.weight.view(dim, rows, columns, -1).permute(0, 3, 1, 2))
    conv.bias = nn.Parameter(patch.linear.bias.detach().clone())
    return conv


def without_batch_norm(module: nn.Module) -> nn.Module:
    """Fold every `BatchNorm2d` into the convolution registered just before it; backbones register them in that order.

    The module itself is changed, and returned.
    """
    previous = ""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            conv = module.get_submodule(previous)
            assert isinstance(conv, nn.Conv2d)
            module.set_submodule(previous, fuse_conv_bn_eval(conv.eval(), child.eval()))
            module.set_submodule(name, nn.Identity())
        else:
            without_batch_norm(child)
        previous = name
    return module
