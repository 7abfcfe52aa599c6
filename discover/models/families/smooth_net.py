"""A residual network whose derivatives are written out, for mechanics made of derivatives.

Mechanics asks for few of them: how the outputs change along the motion (one tangent, pushed
forward), how one number made of them changes with every input (one cotangent, pulled back), and
how a pulled-back gradient changes along a direction. Each costs about as much as the value, however
many coordinates there are, and all are plain tensor operations, so that training needs one backward
pass. A Jacobian by hand would cost nv times the value, a Hessian nv² times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from discover.errors import ModelError

Bend = tuple[Tensor, Tensor, Tensor]


def _softplus(z: Tensor) -> Bend:
    s = torch.sigmoid(z)
    return nn.functional.softplus(z), s, s * (1 - s)


def _tanh(z: Tensor) -> Bend:
    t = torch.tanh(z)
    slope = 1 - t * t
    return t, slope, -2 * t * slope


def _silu(z: Tensor) -> Bend:
    s = torch.sigmoid(z)
    bend = s * (1 - s)
    return z * s, s + z * bend, bend * (2 + z * (1 - 2 * s))


# activation -> (value, first and second derivative)
SMOOTH: dict[str, Callable[[Tensor], Bend]] = {
    "softplus": _softplus,
    "tanh": _tanh,
    "silu": _silu,
}


class Tape(NamedTuple):
    """What one evaluation leaves behind: outputs (B, n_out), first and second slopes a layer."""

    out: Tensor
    slopes: list[Tensor]
    bends: list[Tensor]


class SmoothNet(nn.Module):
    """Linear in, `depth` residual blocks x + act(W x), linear out; (B, n_in) -> (B, n_out)."""

    def __init__(self, n_in: int, n_out: int, width: int, depth: int, activation: str) -> None:
        super().__init__()
        if activation not in SMOOTH:
            raise ModelError(
                f"activation '{activation}' unknown here; expected one of {', '.join(SMOOTH)}"
            )
        self.bend = SMOOTH[activation]
        self.first = nn.Linear(n_in, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Linear(width, n_out)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()

    def forward(self, x: Tensor) -> Tape:
        h, slope, bend = self.bend(self.first(x))
        slopes, bends = [slope], [bend]
        for block in self.blocks:
            y, slope, bend = self.bend(block(h))
            h = h + y
            slopes.append(slope)
            bends.append(bend)
        return Tape(self.last(h), slopes, bends)

    def push(self, tape: Tape, dx: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Change of the outputs along dx (B, k, n_in), (B, k, n_out), and of each layer's input."""
        dz = dx @ self.first.weight.T
        dh = tape.slopes[0].unsqueeze(1) * dz
        layers = [dz]
        for weight, slope in zip(self._weights(), tape.slopes[1:], strict=True):
            dz = dh @ weight.T
            dh = dh + slope.unsqueeze(1) * dz
            layers.append(dz)
        return dh @ self.last.weight.T, layers

    def pull(self, tape: Tape, dy: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Gradient (B, n_in) of dy . outputs for a fixed dy (B, n_out), and that at each layer."""
        g = dy @ self.last.weight
        layers = [g]
        for weight, slope in zip(reversed(self._weights()), tape.slopes[:0:-1], strict=True):
            g = g + (slope * g) @ weight
            layers.append(g)
        return (tape.slopes[0] * g) @ self.first.weight, layers[::-1]

    def push_pull(self, tape: Tape, pushed: list[Tensor], pulled: list[Tensor]) -> Tensor:
        """Change (B, k, n_in) of the gradient of `pull` along the directions of `push`: a Hessian
        times k vectors."""
        change: Tensor | None = None
        layers = zip(
            reversed([self.first.weight, *self._weights()]),
            reversed(tape.slopes),
            reversed(tape.bends),
            reversed(pushed),
            reversed(pulled),
            strict=True,
        )
        for index, (weight, slope, bend, dz, g) in enumerate(layers):
            own = (bend * g).unsqueeze(1) * dz
            if change is not None:
                own = own + slope.unsqueeze(1) * change
            back = own @ weight
            last = index == len(self.blocks)
            change = back if change is None or last else change + back
        assert change is not None  # there is at least the first layer
        return change

    def _weights(self) -> list[Tensor]:
        return [block.weight for block in self.blocks]  # type: ignore[misc]
