"""Joints as tokens: each joint's share of the inputs becomes a vector, and a vector its answer.

Every joint has its own encoder and decoder matrices (joints differ in inertia and placement, which
nobody tells the network); what happens between the tokens is shared by all joints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from discover.models.layout import Layout, joint_features


def _gather(groups: list[list[int]], nothing: int) -> Tensor:
    """Index groups padded to one length with the index of a zero column."""
    longest = max(len(group) for group in groups)
    return torch.tensor([group + [nothing] * (longest - len(group)) for group in groups])


class JointEncoder(nn.Module):
    """Normalised inputs (B, n_in) -> tokens (B, nb, width)."""

    index: Tensor

    def __init__(self, layout: Layout, trig: bool, width: int) -> None:
        super().__init__()
        groups: list[list[int]] = []
        sizes = []
        for kind, iq, _ in layout.joints():
            q = torch.ones(1, iq.stop - iq.start)
            sizes.append(joint_features(kind, q, trig).shape[-1])
        total, start = sum(sizes), 0
        for size, (_, _, iv) in zip(sizes, layout.joints(), strict=True):
            own = list(range(start, start + size))
            own += [total + i for i in range(iv.start, iv.stop)]
            own += [total + layout.nv + i for i in range(iv.start, iv.stop)]
            groups.append(own)
            start += size
        self.register_buffer("index", _gather(groups, total + 2 * layout.nv), persistent=False)
        nb, wide = self.index.shape
        self.weight = nn.Parameter(torch.randn(nb, wide, width) / wide**0.5)
        self.bias = nn.Parameter(torch.randn(nb, width) * 0.5)

    def forward(self, x: Tensor) -> Tensor:
        padded = torch.cat((x, x.new_zeros(len(x), 1)), dim=-1)
        return torch.einsum("bjf,jfw->bjw", padded[:, self.index], self.weight) + self.bias


class JointDecoder(nn.Module):
    """Tokens (B, nb, width) -> answers (B, n_out), joint after joint in each block of nv."""

    place: Tensor

    def __init__(self, layout: Layout, blocks: int, width: int) -> None:
        super().__init__()
        sizes = [iv.stop - iv.start for _, _, iv in layout.joints()]
        widest = max(sizes)
        self.weight = nn.Parameter(0.1 * torch.randn(len(sizes), width, blocks * widest) / width)
        place = [
            j * blocks * widest + block * widest + i
            for block in range(blocks)
            for j, size in enumerate(sizes)
            for i in range(size)
        ]
        self.register_buffer("place", torch.tensor(place), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        y = torch.einsum("bjw,jwo->bjo", tokens, self.weight)
        return y.flatten(1)[:, self.place]
