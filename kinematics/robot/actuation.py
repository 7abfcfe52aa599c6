"""Actuation: what controls do to the joints, and the step that a description asks for.

An actuator pulls on joints through constant lever arms (a gear, a selection of joints, a matrix of
transmissions), after its control, and then its force, were limited. Position and velocity servos
add a spring and a damper:

    tau = Rᵀ clip(gain · clip(u) + offset) - stiffness q - damping v

with R the (nu, nv) lever arms. Robots with fewer controls than joints, or with more, need no
invented torques.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from kinematics.errors import RobotError

_SHAPES = ("arms", "gain", "offset", "low", "high", "force_low", "force_high")


@dataclass(frozen=True, kw_only=True, eq=False)
class Actuation:
    """nu actuators on nv joint coordinates.

    names       (nu,) of the actuators
    arms        (nu, nv) joint force of each unit of actuator force [N·m/N or 1]
    gain, offset   (nu,) force = gain · control + offset, in the actuator's unit
    low, high   (nu,) limits of the controls, infinite where there are none
    force_low, force_high   (nu,) limits of the forces
    stiffness, damping      (nv, nv) of servos, in joint coordinates [N·m/rad, N·m·s/rad]; zero
                for motors. They act in q - 0, so that a servo's target enters by gain · control
    """

    names: tuple[str, ...]
    arms: Tensor
    gain: Tensor
    offset: Tensor
    low: Tensor
    high: Tensor
    force_low: Tensor
    force_high: Tensor
    stiffness: Tensor
    damping: Tensor

    def __post_init__(self) -> None:
        nu = len(self.names)
        ok = self.arms.ndim == 2 and len(self.arms) == nu
        ok = ok and all(getattr(self, n).shape == (nu,) for n in _SHAPES[1:])
        ok = ok and all(x.shape == (self.nv, self.nv) for x in (self.stiffness, self.damping))
        if not ok:
            raise RobotError(
                f"expected an actuation of {nu} names with arms (nu, nv) and one value an actuator "
                f"elsewhere, found arms {tuple(self.arms.shape)}; see kinematics.Actuation"
            )

    @classmethod
    def of(
        cls,
        arms: Any,
        *,
        names: tuple[str, ...] | None = None,
        low: Any = -torch.inf,
        high: Any = torch.inf,
        gain: Any = 1.0,
        offset: Any = 0.0,
    ) -> Actuation:
        """Motors with lever arms (nu, nv), or (nv,) gears for one motor a joint; limits, gain and
        offset a number or one value an actuator. Raises RobotError."""
        try:
            matrix = torch.as_tensor(arms, dtype=torch.float64)
            if matrix.ndim == 1:
                matrix = torch.diag(matrix)
            if matrix.ndim != 2:
                raise ValueError("arms need two axes")
            nu, nv = matrix.shape

            def each(x: Any) -> Tensor:
                return torch.as_tensor(x, dtype=torch.float64).expand(nu).clone()

            sized = {"gain": each(gain), "offset": each(offset)}
            sized |= {"low": each(low), "high": each(high)}
        except (TypeError, ValueError, RuntimeError) as error:
            raise RobotError(
                f"expected lever arms (nu, nv) and one value an actuator, found "
                f"{' '.join(str(error).split())[:100]}; give numbers"
            ) from error
        none = torch.zeros(nv, nv, dtype=torch.float64)
        return cls(
            names=names or tuple(f"u{i + 1}" for i in range(nu)),
            arms=matrix,
            force_low=each(-torch.inf),
            force_high=each(torch.inf),
            stiffness=none,
            damping=none,
            **sized,
        )

    @property
    def nu(self) -> int:
        """Number of controls."""
        return len(self.names)

    @property
    def nv(self) -> int:
        """Number of joint coordinates."""
        return int(self.arms.shape[1])

    @property
    def servo(self) -> bool:
        """Whether any of them is a position or velocity servo."""
        return bool((self.stiffness != 0).any() or (self.damping != 0).any())

    def on(self, coordinates: list[int]) -> Actuation:
        """The same actuators on some of the joint coordinates, the others being held at zero."""
        rows = torch.as_tensor(coordinates, dtype=torch.long)
        return replace(
            self,
            arms=self.arms[:, rows],
            stiffness=self.stiffness[rows][:, rows],
            damping=self.damping[rows][:, rows],
        )

    def forces(self, u: Any) -> Tensor:
        """Joint forces (…, nv) [N·m | N] of controls u (…, nu) at q = 0 and v = 0."""
        u = torch.as_tensor(u)
        if u.shape[-1:] != (self.nu,):
            raise RobotError(
                f"expected {self.nu} controls ({', '.join(self.names)}), found {tuple(u.shape)}; "
                "the last axis is the control"
            )
        gain, offset, low, high, least, most, arms = (
            x.to(u) for x in (self.gain, self.offset, self.low, self.high,
                              self.force_low, self.force_high, self.arms)
        )  # fmt: skip
        force = gain * torch.minimum(torch.maximum(u, low), high) + offset
        return torch.minimum(torch.maximum(force, least), most) @ arms

    def __call__(self, q: Any, v: Any, u: Any) -> Tensor:
        """Joint forces (…, nv) of controls u (…, nu) at a state. q is used by servos only, which
        are read where every coordinate is a length or an angle."""
        tau = self.forces(u)
        if not self.servo:
            return tau
        q, v = torch.as_tensor(q).to(tau), torch.as_tensor(v).to(tau)
        return tau - q @ self.stiffness.to(tau) - v @ self.damping.to(tau)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and words; infinities as text, which strict JSON can hold."""

        def plain(x: Any) -> Any:
            if isinstance(x, list):
                return [plain(y) for y in x]
            return str(x) if x in (torch.inf, -torch.inf) else x

        return {
            f.name: list(self.names) if f.name == "names" else plain(getattr(self, f.name).tolist())
            for f in fields(self)
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Actuation:
        """The inverse of `to_dict`."""

        def number(x: Any) -> Any:
            return [number(y) for y in x] if isinstance(x, list) else float(x)

        nu = len(record["names"])
        held = {
            n: torch.tensor(number(x), dtype=torch.float64)
            for n, x in record.items()
            if n != "names"
        }
        if not nu:
            held["arms"] = held["arms"].reshape(0, len(held["stiffness"]))
        return cls(names=tuple(map(str, record["names"])), **held)


@dataclass(frozen=True, kw_only=True)
class Stepping:
    """The step that a description asks its simulator for.

    timestep    [s]
    integrator  "semi_implicit_euler", "rk4", "implicit_damping" (semi-implicit Euler whose joint
                damping acts at the end of the step) or "implicit_velocity" (all forces of velocity)
    """

    timestep: float
    integrator: str
