"""A rigid-body law taken home: compiled steps, source text, robot files, a network's interface."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import kinematics
from discover.errors import LawError
from discover.laws.contract import Law, on_numbers
from discover.laws.export import formulas
from discover.laws.export.header import header, with_header
from discover.laws.export.robot_files import robot_file
from discover.laws.export.step_program import step_program, turn_program
from discover.laws.export.step_source import step_source
from discover.laws.extensions import LawExtension
from discover.laws.extensions.memory import MemoryLaw
from discover.laws.provenance import Provenance
from discover.laws.rigid_body import stepping
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.interface import behind_interface
from discover.laws.rigid_body.step_map import StepMap
from kinematics import Robot


class PortableLaw(Law):
    """What `RigidBodyLaw` offers to those who use it elsewhere."""

    robot: Robot
    extensions: tuple[LawExtension, ...]
    step_map: StepMap | None
    provenance: Provenance | None
    interface: Any

    @property
    def extensions_without_memory(self) -> tuple[LawExtension, ...]:
        """What acts on queries that follow themselves."""
        return tuple(x for x in self.extensions if not isinstance(x, MemoryLaw))

    @property
    @abstractmethod
    def _coefficients(self) -> Tensor:
        """Those of the family of `_family`: one, then those of the terms."""

    @abstractmethod
    def _family(self, robot: Robot) -> Family:
        """The family whose only basis column are the robot's own parameters."""

    @abstractmethod
    def _robot_for(self, dtype: torch.dtype, device: torch.device) -> Robot:
        """The robot in a dtype and on a device."""

    @on_numbers
    def step(
        self, q: Tensor, v: Tensor, u: Tensor, dt: float | None = None, *, steps: int = 1
    ) -> tuple[Tensor, Tensor]:
        """The state (q', v') `steps` steps later, as a model with this law answers it.

        u (…, nu): the controls of the robot's actuation, or joint forces (…, nv) where it has none;
        they are held. dt [s]: the law's own step, unless another is given, which a law that was
        taken from accelerations needs. Compiled for numbers; gradients flow through an eager step.
        Raises ModelError.
        """
        return stepping.step(self, q, v, u, stepping.step_of(self.step_map, dt), steps)

    def eager_step(self, q: Tensor, v: Tensor, tau: Tensor, step: StepMap) -> tuple[Tensor, Tensor]:
        """One step of tensors under joint forces tau, through which gradients flow."""
        family = self._family(self._robot_for(q.dtype, q.device))
        q_next, a = family.step(self._coefficients.to(q), q, v, tau, step)
        return step.within_turns(q_next), v + step.dt * a

    @functools.cached_property
    def compiled_steps(self) -> dict[tuple[StepMap, str], stepping.CompiledStep | None]:
        """Steps that were compiled, by step map and dtype."""
        return {}

    def as_model(self, model: Any = None) -> Callable[..., Any]:
        """The law behind a network's own interface: (observation, action) -> next observation.

        model: what `discover.wrap` gave, or anything with `states`, `controls` and `predicts`; by
        default the model that the law was taken from. Raises ModelError.
        """
        return behind_interface(self, self.interface if model is None else model)

    @property
    def integrator(self) -> str | None:
        """The scheme of its step, one of `discover.laws.rigid_body.step_map.SCHEMES`."""
        return None if self.step_map is None else self.step_map.scheme

    @property
    def dt(self) -> float | None:
        """Its step [s]."""
        return None if self.step_map is None else self.step_map.dt

    @property
    def substeps(self) -> int | None:
        """The equal parts that a step is made of."""
        return None if self.step_map is None else self.step_map.substeps

    # ---- as text ------------------------------------------------------------------------------

    def export(self, target: str, of: str = "acceleration") -> str:
        """The law as text: "sympy", "python", "torch", "jax", "c" or "latex".

        of: "acceleration", or "step" for the step (q, v, u) -> (q', v') as a function. Its head
        states units, region, step and origin. Without its memory: for queries that follow
        themselves. Raises LawError for other targets, ModelError for a law without a step.
        """
        if of not in ("acceleration", "step"):
            raise LawError(f"expected of='acceleration' or 'step', found {of!r}")
        if of == "acceleration":
            text = formulas.export(self.robot, self.extensions_without_memory, target)
            return with_header(self._header(), text, target)
        step = stepping.step_of(self.step_map, None)
        program = step_program(self.robot, self.extensions_without_memory, step)
        text = step_source(program, step, self.robot.nq, target, turn_program(step, self.robot.nq))
        return with_header(self._header(step), text, target)

    def _header(self, step: StepMap | None = None) -> list[str]:
        memory = [x.description for x in self.extensions if isinstance(x, MemoryLaw)]
        left_out = [f"left out: {text}" for text in memory]
        return header(self.robot, self.family, self.domain, self.provenance, step, left_out)

    def to_urdf(self) -> str:
        """The identified robot as URDF text, see `kinematics.to_urdf`: with possible bodies that
        move like those identified, and a warning of what the file cannot state. RobotError."""
        return robot_file(kinematics.to_urdf, self.robot, self.extensions, self._header())

    def to_mjcf(self, **options: Any) -> str:
        """The same as MJCF, with the law's own step where it has one; see `kinematics.to_mjcf`."""
        own = stepping.mujoco_options(self.step_map) if self.robot.stepping is None else {}
        return robot_file(
            kinematics.to_mjcf, self.robot, self.extensions, self._header(), **(own | options)
        )
