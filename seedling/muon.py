"""Muon: momentum, then the nearest semi-orthogonal matrix by Newton-Schulz (Jordan et al., 2024).

`torch.optim.Muon` always iterates in bfloat16, which CPUs without bfloat16 units run some fifty times slower than
float32; here the caller chooses. Matrices of one shape are stacked, since the seedling has many small ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch

_A, _B, _C = 3.4445, -4.7750, 2.0315  # quintic coefficients of the reference implementation


def orthogonalise(g_NRC: torch.Tensor, iterations: int = 5, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Each matrix of a stack, moved to about its nearest semi-orthogonal one (singular values near 1), rows <= columns.

    The iteration, and so the result, is in `dtype`.
    """
    x_NRC = (g_NRC / (g_NRC.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(dtype)
    for _ in range(iterations):
        a_NRR = x_NRC @ x_NRC.mT
        x_NRC = _A * x_NRC + (_B * a_NRR + _C * a_NRR @ a_NRR) @ x_NRC
    return x_NRC


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum for two-dimensional parameters; the step is scaled by sqrt(max(1, rows / columns))."""

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "dtype": dtype})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[tuple[torch.nn.Parameter, torch.Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                buffer = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter.grad))
                buffer.lerp_(parameter.grad, 1 - group["momentum"])
                by_shape[parameter.shape].append((parameter, parameter.grad.lerp(buffer, group["momentum"])))
            for (rows, columns), items in by_shape.items():
                g_NRC = torch.stack([update for _, update in items])
                dtype = group["dtype"]
                u_NRC = orthogonalise(g_NRC.mT, dtype=dtype).mT if rows > columns else orthogonalise(g_NRC, dtype=dtype)
                for (parameter, _), update in zip(items, u_NRC, strict=True):
                    parameter.add_(update.to(parameter.dtype), alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)
