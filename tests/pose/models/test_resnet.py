"""ResNet: sizes of the published depths, the place of the strides, frozen batch norms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pose.models.backbones.resnet import BLOCKS, FrozenBatchNorm2d, ResNet
from pose.models.profile import parameters


@pytest.mark.parametrize(("depth", "size"), [(50, 23_508_032), (101, 42_500_160), (152, 58_143_808)])
def test_size_of_each_depth(depth: int, size: int) -> None:
    with torch.device("meta"):
        network = ResNet(BLOCKS[depth])
    assert parameters(network) == size  # torchvision's count less the classifier's 2,049,000


def test_a_map_of_each_stage() -> None:
    network = ResNet((1, 2, 1), width=8).eval()
    with torch.no_grad():
        maps = network(torch.randn(2, 3, 64, 96))
    assert [tuple(one.shape) for one in maps] == [(2, 32, 16, 24), (2, 64, 8, 12), (2, 128, 4, 6)]
    assert network.channels == (32, 64, 128)


def test_the_caffe_form_has_the_same_weights_and_halves_in_the_first_convolution() -> None:
    ours, caffe = ResNet((1, 1), width=8).eval(), ResNet((1, 1), width=8, caffe=True).eval()
    caffe.load_state_dict(ours.state_dict())
    block, caffe_block = ours.get_submodule("layer2.0"), caffe.get_submodule("layer2.0")
    assert [block.get_submodule(name).stride for name in ("conv1", "conv2")] == [(1, 1), (2, 2)]
    assert [caffe_block.get_submodule(name).stride for name in ("conv1", "conv2")] == [(2, 2), (1, 1)]
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        (first, second), (caffe_first, caffe_second) = ours(images), caffe(images)
    assert torch.equal(first, caffe_first)
    assert not torch.allclose(second, caffe_second, atol=1e-3)


def test_frozen_batch_norms_are_constants() -> None:
    network = ResNet((1,), width=8, norm=FrozenBatchNorm2d).train()
    ordinary = ResNet((1,), width=8)
    names = set(network.state_dict())
    assert names == {name for name in ordinary.state_dict() if not name.endswith("num_batches_tracked")}
    assert not [name for name, _ in network.named_parameters() if "bn" in name or "downsample.1" in name]
    network.load_state_dict({name: value + 0.1 for name, value in ordinary.state_dict().items() if name in names})
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randn(4, 3, 32, 32)
    assert torch.equal(network(images)[0], network.eval()(images)[0])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(not isinstance(module, nn.BatchNorm2d) or not module.training for module in network.modules())
