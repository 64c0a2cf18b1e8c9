"""An 8-bit copy of a causal LM, to sample from on a CPU: integer products are several times as fast there as float32's.

Every linear layer, the output layer included, gets 8-bit weights with a scale of their own for each output channel. Its input is
rounded at run time with a scale of its own for each row, so that what a row computes does not depend on the rows beside it (LLM.int8,
Dettmers et al., 2022, has these vector-wise scales). All else (embeddings, norms, attention) stays as it is, and is shared with the
original, not copied. The products are oneDNN's, through the operators that torch's own compiler uses for 8-bit layers.

The copy is another policy, if only slightly (`python -m bench.int8_policy` measures it): its logprobs are its own. Not for training, not
for evaluation unless it is asked for, and not for a GPU.

Shapes: N rows, I inputs, O outputs.
"""

from __future__ import annotations

import copy
import functools
import logging
import platform
import time
from typing import TYPE_CHECKING, Any, Literal

import torch

from probing.models.loading import pick_device
from probing.samplers.base import SamplerError
from probing.samplers.config import INT8_PARAMETERS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

# Measured, 256 rows: 0.9 times float32's rate with 3 M parameters, 1.9 with 135 M, 3.5 with 494 M. The number of rows matters less: one
# layer, in processor time of one thread with VNNI, is faster than float32's from 2 rows on with 896 inputs and outputs (1.1 times; 1.7 with
# 8 rows, 2.6 with 64) and from 1 row on with 896 x 4864 (5 times), so a batch that runs out of rows at its end still gains.
WEIGHT_LEVELS = 127  # steps on either side of zero that weights are rounded to
ROUNDED_ROWS = 8192  # channels rounded at a time: a large output layer's float copies would be the largest tensors of all
TINY = torch.finfo(torch.float32).tiny


class Int8Linear(torch.nn.Module):
    """A linear layer with 8-bit weights: x [..., I] float32 -> [..., O] float32.

    Raises SamplerError when a weight is not finite, which 8 bits could not show.
    """

    def __init__(self, weight_OI: torch.Tensor, bias_O: torch.Tensor | None) -> None:
        super().__init__()
        rounded, scales = zip(*(_rounded(part.detach().float()) for part in weight_OI.split(ROUNDED_ROWS)), strict=True)
        self.scale_O = torch.cat(scales)
        if not torch.isfinite(self.scale_O).all():
            raise SamplerError("the model's weights are not finite; they may have diverged")
        self.packed = _packed(torch.cat(rounded))
        self.zero_O = torch.zeros(len(self.scale_O), dtype=torch.int32)
        self.bias = bias_O
        self.out_features, self.in_features = weight_OI.shape
        self.levels = input_levels()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x_NI = x.reshape(-1, self.in_features)
        highest_N1, lowest_N1 = x_NI.amax(dim=1, keepdim=True), x_NI.amin(dim=1, keepdim=True)  # a norm or aminmax is far slower
        largest_N1 = torch.maximum(highest_N1, -lowest_N1).clamp_(min=TINY)
        bytes_NI = (x_NI * (self.levels / largest_N1)).add_(self.levels + 1.5).to(torch.uint8)  # cut off: rounds to the nearest
        y_NO = _product(bytes_NI, self.levels, self.packed, self.scale_O, self.zero_O).mul_(largest_N1 / self.levels)
        if self.bias is not None:
            y_NO += self.bias
        return y_NO.view(*x.shape[:-1], self.out_features)


def _rounded(weight_OI: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """int8[O, I] and float32[O]: whole steps, and the size of a channel's step."""
    scale_O = torch.maximum(weight_OI.amax(dim=1), -weight_OI.amin(dim=1)).clamp_(min=TINY) / WEIGHT_LEVELS
    return (weight_OI / scale_O[:, None]).round_().to(torch.int8), scale_O


def _packed(rounded_OI: torch.Tensor) -> torch.Tensor:
    """Weights in the layout that the kernels read."""
    packed: torch.Tensor = torch.ops.onednn.qlinear_prepack(rounded_OI, None)
    return packed


def _product(bytes_NI: torch.Tensor, levels: int, packed: torch.Tensor, scale_O: torch.Tensor, zero_O: torch.Tensor) -> torch.Tensor:
    """float32[N, O]: the product of rounded inputs (uint8, `levels + 1` stands for 0, one step for 1) and packed weights."""
    operator: Any = torch.ops.onednn.qlinear_pointwise
    # The inputs' scale is 1: with two scales the AMX kernels multiply them in an order that depends on N, and the last bit with it.
    product: torch.Tensor = operator(bytes_NI, 1.0, levels + 1, packed, scale_O, zero_O, None, 1.0, 0, torch.float32, "none", [], "")
    return product


@functools.cache
def input_levels() -> int:
    """Steps on either side of zero that inputs are rounded to: 127, or 63 where the kernels' sums could overflow with more.

    CPUs without VNNI instructions add two products in 16 bits. Which way this one does it is seen from a product that would overflow.
    """
    most, inputs = 127, 64
    packed, ones = _packed(torch.full((8, inputs), WEIGHT_LEVELS, dtype=torch.int8)), torch.ones(8)
    product_NO = _product(torch.full((2, inputs), 2 * most + 1, dtype=torch.uint8), most, packed, ones, ones.int() * 0)
    return most if torch.allclose(product_NO, torch.tensor(float(WEIGHT_LEVELS * inputs * most))) else 63


def has_int8(device: torch.device) -> bool:
    """Whether 8-bit weights can be sampled from on a device: an x86 CPU, and a torch with oneDNN."""
    return device.type == "cpu" and platform.machine() in ("x86_64", "AMD64") and torch.backends.mkldnn.is_available()


def why_not_int8(backend: str, device: str) -> str | None:
    """Why 8-bit weights cannot be sampled from with a backend on a device (`auto`, `cpu`, ...), in words; None where they can."""
    if backend not in ("transformers", "ray"):
        return f"8-bit weights are sampled from by the transformers sampler alone, and samples are drawn by {backend}"
    found = pick_device(device)
    return None if has_int8(found) else f"8-bit weights are for x86 CPUs, and the device is {found.type} on {platform.machine()}"


def sampling_model(model: PreTrainedModel, weights: Literal["auto", "full", "int8"]) -> PreTrainedModel:
    """The model to sample from: `model` itself, or its 8-bit copy (`sampling.weights`). Raises SamplerError as `int8_copy` does."""
    worth = has_int8(model.device) and model.dtype == torch.float32 and model.num_parameters() >= INT8_PARAMETERS
    return int8_copy(model) if weights == "int8" or (weights == "auto" and worth) else model


def int8_copy(model: PreTrainedModel) -> PreTrainedModel:
    """A copy with 8-bit linear layers that shares every other tensor with `model`, in evaluation mode.

    A LoRA adapter in `model` is added into the weights. Later changes of `model` reach what is shared, and not the 8-bit weights: make a
    new copy then. Raises SamplerError off x86 CPUs, and when weights are not finite.
    """
    started = time.monotonic()
    if not has_int8(model.device):
        raise SamplerError(f"8-bit weights are for x86 CPUs, and the model is on {model.device}: set sampling.weights to full")
    with torch.device("meta"):
        made = type(model)(copy.deepcopy(model.config))
    made.generation_config = model.generation_config
    for name, module in list(made.named_modules()):
        source = model.get_submodule(name)
        if isinstance(module, torch.nn.Linear):
            weight_OI, bias_O = _linear_weights(source)
            made.set_submodule(name, Int8Linear(weight_OI, bias_O))
            continue
        source = getattr(source, "base_layer", source)
        for key in module._parameters:
            module._parameters[key] = source._parameters[key]
        for key in module._buffers:
            module._buffers[key] = source._buffers[key]
    log.info("sampling from 8-bit weights, made in %.1f s", time.monotonic() - started)
    return made.eval()


@torch.no_grad()
def _linear_weights(source: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight [O, I] and bias [O] of a linear layer, with what its LoRA adapters add to it now."""
    layer: Any = getattr(source, "base_layer", source)
    weight_OI = layer.weight
    adapted: Any = source
    if layer is not source and not adapted.merged and not adapted.disable_adapters:
        for adapter in adapted.active_adapters:
            if adapter in adapted.lora_A:
                weight_OI = weight_OI + adapted.get_delta_weight(adapter)
    return weight_OI, layer.bias
