"""The operators that a program may hold. A program's graph is code: whoever opens it runs what it names.

`aten` has operators that map files into memory, draw random numbers or hand out memory that nothing was written to. So a
program is opened only if each of its operators is listed here. These compute on tensors of the graph alone: they reach no
file, and write into no other tensor. The activations in place (`nn.ReLU(inplace=True)`) overwrite their own input.
"""

from __future__ import annotations

_ATEN = """
    conv1d.default conv2d.default conv2d.padding conv_transpose2d.input convolution.default linear.default addmm.default
    mm.default bmm.default baddbmm.default matmul.default einsum.default scaled_dot_product_attention.default
    batch_norm.default layer_norm.default group_norm.default instance_norm.default rms_norm.default
    native_layer_norm.default native_group_norm.default _native_batch_norm_legit_no_training.default
    linalg_vector_norm.default

    relu.default relu6.default gelu.default silu.default sigmoid.default tanh.default hardtanh.default hardswish.default
    hardsigmoid.default leaky_relu.default elu.default prelu.default mish.default softplus.default softmax.int
    log_softmax.int _softmax.default glu.default relu_.default relu6_.default silu_.default sigmoid_.default tanh_.default
    hardtanh_.default hardswish_.default hardsigmoid_.default leaky_relu_.default elu_.default mish_.default

    add.Tensor add.Scalar sub.Tensor sub.Scalar mul.Tensor mul.Scalar div.Tensor div.Scalar rsub.Scalar rsub.Tensor
    addcmul.default addcdiv.default lerp.Scalar lerp.Tensor neg.default abs.default sign.default exp.default expm1.default
    log.default log1p.default sqrt.default rsqrt.default reciprocal.default square.default sin.default cos.default
    erf.default pow.Tensor_Scalar pow.Tensor_Tensor floor.default ceil.default round.default remainder.Scalar
    floor_divide.default maximum.default minimum.default clamp.default clamp.Tensor clamp_min.default clamp_max.default
    where.self where.ScalarOther where.ScalarSelf masked_fill.Scalar eq.Tensor eq.Scalar ne.Tensor ne.Scalar gt.Tensor
    gt.Scalar ge.Tensor ge.Scalar lt.Tensor lt.Scalar le.Tensor le.Scalar logical_and.default logical_or.default
    logical_not.default

    sum.default sum.dim_IntList mean.default mean.dim amax.default amin.default max.dim min.dim argmax.default
    argmin.default var.correction var.dim var_mean.correction std.correction cumsum.default topk.default
    max_pool2d.default avg_pool2d.default adaptive_avg_pool2d.default adaptive_max_pool2d.default

    view.default _unsafe_view.default reshape.default flatten.using_ints unflatten.int permute.default transpose.int
    t.default movedim.int movedim.intlist unsqueeze.default squeeze.default squeeze.dim squeeze.dims expand.default
    expand_as.default repeat.default tile.default cat.default stack.default split.Tensor split.sizes
    split_with_sizes.default chunk.default unbind.int slice.Tensor select.int narrow.default index.Tensor
    index_select.default
    gather.default flip.default roll.default pad.default constant_pad_nd.default meshgrid.default meshgrid.indexing
    pixel_shuffle.default pixel_unshuffle.default channel_shuffle.default upsample_nearest2d.vec upsample_nearest2d.default
    upsample_bilinear2d.vec upsample_bilinear2d.default upsample_bicubic2d.vec upsample_bicubic2d.default
    grid_sampler.default grid_sampler_2d.default im2col.default

    arange.default arange.start arange.start_step linspace.default full.default full_like.default zeros.default
    zeros_like.default ones.default ones_like.default new_zeros.default new_ones.default new_full.default
    scalar_tensor.default clone.default contiguous.default detach.default alias.default lift_fresh_copy.default
    to.dtype to.dtype_layout to.device to.other _to_copy.default type_as.default dropout.default
    _assert_tensor_metadata.default
"""
_QUANTIZED_DECOMPOSED = """
    quantize_per_tensor.default dequantize_per_tensor.default quantize_per_channel.default dequantize_per_channel.default
"""

OPERATORS = frozenset(
    f"torch.ops.{library}.{name}"
    for library, names in (("aten", _ATEN), ("quantized_decomposed", _QUANTIZED_DECOMPOSED))
    for name in names.split()
)
"""As a program's file names them: `torch.ops.<library>.<operator>.<overload>`."""
