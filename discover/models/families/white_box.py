"""White-box control: the simulator itself, its inertial parameters unknown and trained by gradient.

This is the one family that imports kinematics, and it says so: what it "discovers" was given to
it. It marks what a perfect structure can do with the same data, nothing more.

Parameters stay physically possible: the pseudo-inertia of each body is U U^T with U upper
triangular and a positive diagonal (Rucker and Wensing, 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from discover.errors import ModelError
from discover.models.contract import ModelConfig
from discover.models.mechanics import Continuous, ContinuousConfig
from kinematics import Robot, aba


@dataclass(frozen=True, kw_only=True)
class WhiteBoxConfig(ContinuousConfig):
    robot: Mapping[str, Any] = field(default_factory=dict)
    """The description (`Robot.to_dict`): its tree and axes are used, its masses only as a start."""
    spread: float = 0.3
    """How far the start is from the description, as a standard deviation of log-parameters."""
    friction: bool = False
    """Learn one viscous coefficient a joint."""


def pseudo_inertia(pi: Tensor) -> Tensor:
    """(nb, 10) m, m c, Ixx Iyy Izz... in the order of `Robot.pi` -> (nb, 4, 4), positive definite
    for a possible body."""
    m, h = pi[:, 0], pi[:, 1:4]
    xx, xy, yy, xz, yz, zz = pi[:, 4:].unbind(-1)
    inertia = torch.stack((xx, xy, xz, xy, yy, yz, xz, yz, zz), dim=-1).unflatten(-1, (3, 3))
    trace = inertia.diagonal(dim1=-2, dim2=-1).sum(-1)
    second = 0.5 * trace[:, None, None] * torch.eye(3).to(pi) - inertia
    top = torch.cat((second, h.unsqueeze(-1)), dim=-1)
    bottom = torch.cat((h, m.unsqueeze(-1)), dim=-1).unsqueeze(1)
    return torch.cat((top, bottom), dim=1)


def inertial_parameters(pseudo: Tensor) -> Tensor:
    """The inverse of `pseudo_inertia`."""
    second, h, m = pseudo[:, :3, :3], pseudo[:, :3, 3], pseudo[:, 3, 3]
    trace = second.diagonal(dim1=-2, dim2=-1).sum(-1)
    inertia = trace[:, None, None] * torch.eye(3).to(pseudo) - second
    rows, columns = (0, 0, 1, 0, 1, 2), (0, 1, 1, 2, 2, 2)
    return torch.cat((m.unsqueeze(-1), h, inertia[:, rows, columns]), dim=-1)


class WhiteBox(Continuous):
    """a = aba(robot(pi), q, v, tau), pi learned."""

    kind: ClassVar[str] = "white_box"
    config_schema: ClassVar[type[ModelConfig]] = WhiteBoxConfig
    needs_robot: ClassVar[bool] = True
    config: WhiteBoxConfig

    def assemble(self) -> None:
        if not self.config.robot:
            raise ModelError(
                "model 'white_box' needs the robot's description: give robot = Robot.to_dict()"
            )
        self.robot = Robot.from_dict(dict(self.config.robot))
        if (self.robot.nq, self.robot.nv) != (self.layout.nq, self.layout.nv):
            raise ModelError(
                f"the description has nq={self.robot.nq}, nv={self.robot.nv}, expected "
                f"nq={self.layout.nq}, nv={self.layout.nv}"
            )
        pseudo = pseudo_inertia(self.robot.pi.to(torch.float64))
        size = pseudo.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
        # descriptions round their numbers: a floor keeps every body just possible
        root = torch.linalg.cholesky(pseudo + 1e-9 * size * torch.eye(4, dtype=pseudo.dtype))
        below = root.tril(-1) + self.config.spread * root.diagonal(dim1=-2, dim2=-1).mean(-1)[
            :, None, None
        ] * torch.randn_like(root).tril(-1)
        diagonal = root.diagonal(dim1=-2, dim2=-1).log()
        self.log_diagonal = nn.Parameter(diagonal + self.config.spread * torch.randn_like(diagonal))
        self.below = nn.Parameter(below)
        if self.config.friction:
            self.log_friction = nn.Parameter(torch.full((self.layout.nv,), -4.0))

    def pi(self) -> Tensor:
        """The learned inertial parameters (nb, 10), in the order of `Robot.pi`."""
        root = self.below.tril(-1) + torch.diag_embed(torch.exp(self.log_diagonal))
        return inertial_parameters(root @ root.mT)

    def acceleration(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        if self.config.friction:
            tau = tau - torch.exp(self.log_friction) * v
        robot = self.robot.to(dtype=q.dtype, device=q.device).replace(pi=self.pi())
        return aba(robot, q, v, tau)
