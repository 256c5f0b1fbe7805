"""Weights that stay as they lie on the disk, half as wide as what is computed with, and are widened layer by layer.

Few CPUs calculate in bfloat16 or float16; the others take 15 times as long over a convolution in it as in single precision,
and more over larger ones (measured: torch 2.13, AVX2). To hold a whole network in single precision takes twice the memory
its file has, and reading it in. So the file stays mapped into memory, and the weights of a layer are widened while that
layer calculates. The values are the same: every half number is a single one too.
"""

import functools

import torch
from torch import nn
from torch.nn import functional


def computes_in_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices by itself (AVX-512 BF16 or AMX, as torch sees it)."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def widen_as_used(network: nn.Module) -> None:
    """Let the large layers of a network calculate in single precision with the half-width weights they keep.

    All other parameters are widened for good: they are few. So is the first layer of all, because its type is what diffusers
    takes for the whole network's.

    Args:
        network: on the CPU, its weights float16 or bfloat16; others stay as they are.
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
