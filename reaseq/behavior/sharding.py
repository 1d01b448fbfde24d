"""Weights in parts: each process holds a part of every block, and the whole of a block only while it is computed
(PyTorch's fully sharded data parallel, FSDP2, after ZeRO, arXiv 1910.02054). What is saved is whole, as without.
"""

from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.llm_blocks import LlmBlocks


def shard(model: ReaSeqDenoiser, device: str) -> None:
    """Share the blocks' weights among the processes, in place, and put the parts on the device, one block at a time;
    embeddings and heads stay whole in each process and where they are."""
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    blocks = model.blocks
    assert isinstance(blocks, nn.Module)
    layers = blocks.llm.layers if isinstance(blocks, LlmBlocks) else blocks
    for module in (*cast(nn.ModuleList, layers), blocks):
        fully_shard(module, mesh=mesh)
    for module in blocks.modules():
        if isinstance(module, FSDPModule):  # gradients are summed, as those of the weights that are whole are
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def whole_tensor(value: Tensor) -> Tensor:
    """The whole, on the CPU, of a tensor that is held in parts, of all processes at once; any other as it is."""
    return value.full_tensor().cpu() if isinstance(value, DTensor) else value


def placed_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A whole tensor, which every process has, on the parameter's device and in parts where that is."""
    value = value.to(parameter.device)
    if not isinstance(parameter, DTensor):
        return value
    return distribute_tensor(value, parameter.device_mesh, parameter.placements, src_data_rank=None)


def clip_gradients(parameters: list[nn.Parameter], most: float) -> None:
    """Scale gradients down to a joint norm of `most`, in place."""
    held = [p for p in parameters if p.grad is not None]
    if not any(isinstance(p, DTensor) for p in held):
        torch.nn.utils.clip_grad_norm_(held, most)
        return
    each = [torch.linalg.vector_norm(p.grad) for p in held if p.grad is not None]
    norms = torch.stack([norm.full_tensor() if isinstance(norm, DTensor) else norm for norm in each])
    factor = (most / (torch.linalg.vector_norm(norms) + 1e-6)).clamp(max=1.0)
    for gradient in (p.grad for p in held if p.grad is not None):
        (gradient.to_local() if isinstance(gradient, DTensor) else gradient).mul_(factor)
