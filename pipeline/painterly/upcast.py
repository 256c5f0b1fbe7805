"""Keeps weights in half precision, as they are on the disk, and upcasts them layer by layer as they are used.

Few CPUs compute in bfloat16 or float16. The others take 15 times as long for a convolution in half precision as in single
precision, and even longer for large convolutions (measured: torch 2.13, AVX2). A whole network in single precision takes twice
the memory of its file, and the whole file must be read first. So the file stays mapped into memory, and the weights of a layer
are upcast while that layer computes. The result is the same: every half-precision number is also a single-precision number.
"""

import functools

import torch
from torch import nn
from torch.nn import functional


def computes_in_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices natively (AVX-512 BF16 or AMX, as torch reports it)."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def widen_as_used(network: nn.Module) -> None:
    """Make the large layers of a network compute in single precision with the half-precision weights they keep.

    All other parameters are upcast permanently, because they are few. The very first layer is upcast too, because diffusers takes
    its type for that of the whole network.

    Args:
        network: on the CPU, with float16 or bfloat16 weights; other weights stay as they are.
    """
    first = next(network.parameters(), None)
    for layer in network.modules():
        held = None
        if isinstance(layer, nn.Linear) and layer.weight is not first:
            held, layer.forward = layer.weight, functools.partial(_linear, layer)  # type: ignore[method-assign]
        elif isinstance(layer, nn.Conv2d) and layer.weight is not first:
            held, layer.forward = layer.weight, functools.partial(_convolution, layer)  # type: ignore[method-assign]
        for parameter in layer.parameters(recurse=False):
            if parameter is not held:
                parameter.data = parameter.data.float()


def _linear(layer: nn.Linear, values: torch.Tensor) -> torch.Tensor:
    return functional.linear(values, layer.weight.to(values.dtype), layer.bias)


def _convolution(layer: nn.Conv2d, values: torch.Tensor) -> torch.Tensor:
    weight = layer.weight.to(values.dtype)
    return functional.conv2d(values, weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)
