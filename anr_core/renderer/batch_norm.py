"""Batch norm whose statistics are those of the whole batch, also where several processes share it."""

from __future__ import annotations

import torch
from torch import nn

from anr_core.processes import mean_of_all, sharers


class BatchNorm(nn.BatchNorm2d):
    """torch's, as long as a process is alone; torch's own that asks others needs a GPU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> the same, each channel with mean and deviation of its own parameters."""
        if sharers() == 1 or not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            full = x.float()
            mean = mean_of_all(full.mean((0, 2, 3)))
            centred = full - mean[:, None, None]
            variance = mean_of_all(centred.square().mean((0, 2, 3)))
            with torch.no_grad():
                count = x.numel() // x.shape[1] * sharers()
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            scale = self.weight * torch.rsqrt(variance + self.eps)
            return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)
