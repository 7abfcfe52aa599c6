"""The networks inside the families: residual, residual with derivatives by hand, joints as tokens.

`SmoothNet` has its derivatives written out, for mechanics made of derivatives. Mechanics needs few:
how the outputs change along the motion (one tangent, pushed forward), how one number made of them
changes with every input (one cotangent, pulled back), and how a pulled-back gradient changes along
a direction. Each costs about as much as the value, however many coordinates there are, and all are
plain tensor operations, so that training needs one backward pass. A Jacobian would cost nv times
the value, a Hessian nv² times.

`JointEncoder` and `JointDecoder` turn each joint's share of the inputs into a vector, and a vector
into the joint's answer. Every joint has its own matrices (joints differ in inertia and placement,
which the network is not given); what happens between the tokens is shared by all joints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from discover.errors import ModelError
from discover.models.layout import Layout, joint_features

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": nn.functional.silu,
    "gelu": nn.functional.gelu,
    "tanh": torch.tanh,
    "softplus": nn.functional.softplus,
}


def activation_named(name: str) -> Callable[[Tensor], Tensor]:
    """The activation, or ModelError with the choices."""
    if name not in ACTIVATIONS:
        raise ModelError(f"activation '{name}' unknown; expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class ResidualNet(nn.Module):
    """Linear in, `depth` residual blocks x + act(W x), linear out; (B, n_in) -> (B, n_out)."""

    def __init__(self, n_in: int, n_out: int, width: int, depth: int, activation: str) -> None:
        super().__init__()
        if width < 1 or depth < 0:
            raise ModelError(f"expected width >= 1 and depth >= 0, found {width} and {depth}")
        self.activation = activation_named(activation)
        self.first = nn.Linear(n_in, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Linear(width, n_out)
        with torch.no_grad():  # start near the mean, so that early steps do not undo a bad guess
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.first(x))
        for block in self.blocks:
            x = x + self.activation(block(x))
        return self.last(x)


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
    """The record of one evaluation: outputs (B, n_out), first and second slopes a layer."""

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
