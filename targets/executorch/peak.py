"""The int8 matrix product of `targets.gemm` in ExecuTorch, whose XNNPACK delegate takes the whole chain."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import executorch.extension.pybindings.portable_lib as runtime
import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
from torch import nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from targets.executorch.backend import lower_graph
from targets.gemm import CHANNELS, LAYERS, SIDE


def open_peak(threads: int) -> Callable[[], object]:
    """See `targets.gemm`; the input is quantized and the output dequantized in the delegate."""
    torch.manual_seed(0)
    network = nn.Sequential(*(nn.Conv2d(CHANNELS, CHANNELS, 1) for _ in range(LAYERS))).eval()
    image = torch.randn(1, CHANNELS, SIDE, SIDE)
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of executorch and torchao, about what they will change
        prepared = prepare_pt2e(torch.export.export(network, (image,)).module(), quantizer)
        prepared(image)
        _, content = lower_graph(torch.export.export(convert_pt2e(prepared), (image,)), "xnnpack")
    if runtime._threadpool_get_thread_count() != threads:
        runtime._unsafe_reset_threadpool(threads)
    program = runtime._load_for_executorch_from_buffer(content)

    def call() -> object:
        return len(content), program.forward([image])  # the program reads the buffer, and does not keep it

    return call
