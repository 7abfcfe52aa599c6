"""A network over observations, seen as a next-state model (q, v, u) -> (q_next, v_next)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kinematics
from discover.errors import ModelError
from discover.laws.rigid_body.step_map import StepMap
from discover.laws.rigid_body.stepping import LARGEST
from discover.models.external.networks import Network
from discover.observations.action import ActionLayout
from discover.observations.fused import observed_step
from discover.observations.layout import ObservationLayout, State
from discover.observations.normaliser import Normaliser
from kinematics import Robot
from kinematics.programs import CompiledProgram, ProgramError, compile_trace

TARGETS = ("next", "difference")


class ObservedModel:
    """What `discover.wrap` gives: model(q, v, u) -> (q_next, v_next), batched, after dt seconds.

    q (…, nq) [rad | m], v (…, nv), u (…, nu) the controls (joint forces where the robot has no
    actuators). The state is written as the network's observation, normalised, and its answer read
    back as a state. Answers have q's dtype.

    outputs, dt, actuation, substeps, integrator, name   what `discover.examine` reads
    observation, predicts, action   the layouts; predicts is that of the answer
    notes       what is worth knowing about the network and its observation, a line each
    """

    outputs = "next_state"

    def __init__(
        self,
        network: Network,
        robot: Robot,
        *,
        observation: ObservationLayout,
        predicts: ObservationLayout,
        action: ActionLayout,
        normalisers: Mapping[str, Normaliser],
        target: str,
        dt: float,
        actuation: Any = None,
        substeps: int | None = None,
        integrator: str | None = None,
        name: str = "model",
        clip: bool = False,
    ) -> None:
        self.clip = clip
        self.network, self.robot = network, robot
        self.observation, self.predicts, self.action = observation, predicts, action
        self.normalisers = dict(normalisers)
        self.target, self.dt = target, dt
        self.actuation, self.substeps, self.integrator = actuation, substeps, integrator
        self.name = name
        self.notes: list[str] = []

    def __repr__(self) -> str:
        members = len(self.network.members)
        kind = f"ensemble of {members}" if members > 1 else self.network.members[0].opened.source
        return (
            f"ObservedModel({kind}: {self.observation.size} observed numbers, {self.action.size} "
            f"actions -> {self.target}, dt = {self.dt:g} s)"
        )

    def __call__(self, q: Any, v: Any, u: Any) -> State:
        given = torch.as_tensor(q)
        batch, flat = self._flat(q, v, u)
        mean, _ = self._answers(*flat)
        return self._state(mean.mean(dim=0), flat, batch, given)

    # ---- states, observations and actions -----------------------------------------------------

    def states(self, observation: Any, before: State | None = None) -> State:
        """The states (q, v) that recorded observations (…, size) show; with the states `before`,
        those one step later, whose angles go on from there."""
        if before is None:
            return self.observation.state(observation)
        return self.observation.state(observation, before, self.dt, self._share)

    @property
    def unseen(self) -> Tensor:
        """Which coordinates (nv,) are at positions that no observed number shows."""
        return ~torch.as_tensor(self.observation.determination.q_seen_of_v)

    def controls(self, action: Any) -> Tensor:
        """The controls u (…, nu) of recorded actions (…, size)."""
        return self.action.controls(action)

    def interface(self, step: Callable[[Tensor, Tensor, Tensor], State]) -> Callable[..., Tensor]:
        """A step of states (q, v, u) -> (q_next, v_next) behind the network's own interface:
        (observation, action) -> next observation, unnormalised, of a law or a simulator."""

        def observed(observation: Any, action: Any) -> Tensor:
            q, v = self.states(observation)
            return self.predicts.observe(*step(q, v, self.controls(action)))

        return observed

    def fused_step(self, law: Any, step: StepMap) -> CompiledProgram | None:
        """The same of a rigid-body law as machine code, (observation, action) -> next observation;
        None where the observation is not simple enough, or the program would be too long."""
        extensions = law.extensions_without_memory
        shortest = sum(law.complexity.operations.values()) * step.evaluations
        if shortest > LARGEST:
            return None
        try:
            program = observed_step(
                law.robot, extensions, step, self.observation, self.predicts, self.action
            )
        except (ModelError, ProgramError):
            return None
        return None if program is None else compile_trace(program)

    # ---- ensembles and variances --------------------------------------------------------------

    @property
    def members(self) -> list[Callable[[Any, Any, Any], State]]:
        """The members of an ensemble, each a next-state model of its own."""
        if len(self.network.members) > 1:
            return [self._member(k) for k in range(len(self.network.members))]
        return [self._row(k) for k in range(self.member_count)]

    @property
    def member_count(self) -> int:
        """How many answers the network gives to a question."""
        q = self.robot.neutral().to(torch.float64)[None]
        v = q.new_zeros(1, self.robot.nv)
        _, flat = self._flat(q, v, q.new_zeros(1, len(self.action.names)))
        return len(self._answers(*flat)[0])

    def spread(self, q: Any, v: Any, u: Any) -> Tensor:
        """How unsure the network says it is of the accelerations (…, nv) [rad/s² | m/s²]: the
        standard deviation among its members, or that of its variance head, over dt.

        Raises ModelError for a network that has neither.
        """
        given = torch.as_tensor(q)
        batch, flat = self._flat(q, v, u)
        means, deviations = self._answers(*flat)
        if len(means) > 1:
            each = torch.stack([self._state(m, flat, batch, given)[1] for m in means])
            return each.std(dim=0) / self.dt
        if deviations is None:
            raise ModelError(
                f"{self.name} is one network that answers one number each: no spread to compare; "
                'wrap a list of networks, or declare answer = ["mean", "log_variance"]'
            )
        return self._propagated(means[0], deviations[0], flat, batch, given)

    def _propagated(
        self,
        mean: Tensor,
        deviation: Tensor,
        flat: tuple[Tensor, Tensor, Tensor],
        batch: tuple[int, ...],
        given: Tensor,
    ) -> Tensor:
        """Standard deviations of observed numbers (B, size) as those of accelerations, number by
        number: independent, and small enough for the layout to be linear over them."""
        _, centre = self._state(mean, flat, batch, given)
        total = torch.zeros_like(centre)
        for k in range(mean.shape[-1]):
            moved = mean.clone()
            moved[:, k] += deviation[:, k]
            total += (self._state(moved, flat, batch, given)[1] - centre).square()
        return total.sqrt() / self.dt

    def _member(self, k: int) -> Callable[[Any, Any, Any], State]:
        alone = Network([self.network.members[k]], self.network.kind)
        return ObservedModel(
            alone,
            self.robot,
            observation=self.observation,
            predicts=self.predicts,
            action=self.action,
            normalisers=self.normalisers,
            target=self.target,
            dt=self.dt,
            actuation=self.actuation,
            substeps=self.substeps,
            integrator=self.integrator,
            name=f"{self.name}, member {k + 1}",
            clip=self.clip,
        )

    def _row(self, k: int) -> Callable[[Any, Any, Any], State]:
        def member(q: Any, v: Any, u: Any) -> State:
            given = torch.as_tensor(q)
            batch, flat = self._flat(q, v, u)
            return self._state(self._answers(*flat)[0][k], flat, batch, given)

        return member

    # ---- one call -----------------------------------------------------------------------------

    def _flat(
        self, q: Any, v: Any, u: Any
    ) -> tuple[tuple[int, ...], tuple[Tensor, Tensor, Tensor]]:
        q, v, u = (torch.as_tensor(x).detach().to("cpu", torch.float64) for x in (q, v, u))
        widths = {"q": self.robot.nq, "v": self.robot.nv, "u": len(self.action.names)}
        for (name, n), x in zip(widths.items(), (q, v, u), strict=True):
            if x.shape[-1:] != (n,):
                raise ModelError(
                    f"{name}: expected last axis {n} ({self.robot.name}), found {tuple(x.shape)}"
                )
        batch = np.broadcast_shapes(q.shape[:-1], v.shape[:-1], u.shape[:-1])
        flat = [x.expand(*batch, x.shape[-1]).reshape(-1, x.shape[-1]) for x in (q, v, u)]
        return batch, (flat[0], flat[1], flat[2])

    def _answers(self, q: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the network answers, in the units of the observation: (members, B, size)."""
        action = self.action.of(u)
        steps = []
        for back in range(self.network.kind.warm_up, -1, -1):
            past = kinematics.integrate(self.robot, q, v, -back * self.dt) if back else q
            steps.append(
                (
                    self._inward("observation", self.observation.observe(past, v, clip=self.clip)),
                    self._inward("action", action),
                )
            )
        means, deviations = self.network.each(steps)
        target = self.normalisers.get("target")
        if target is not None:
            means = target.outward(means)
            deviations = None if deviations is None else deviations * target.std
        if self.target == "difference":
            means = means + self.predicts.observe(q, v, clip=self.clip)
        return means, deviations

    def _inward(self, name: str, x: Tensor) -> Tensor:
        return self.normalisers[name].inward(x) if name in self.normalisers else x

    @property
    def _share(self) -> float:
        """Of the velocity's change within a step, what displacements go on with."""
        if self.substeps and self.integrator in _SEMI_IMPLICIT:
            return (self.substeps + 1) / (2 * self.substeps)
        return 0.5

    def _state(
        self,
        observation: Tensor,
        flat: tuple[Tensor, Tensor, Tensor],
        batch: tuple[int, ...],
        given: Tensor,
    ) -> State:
        q, v, _ = flat
        q_next, v_next = self.predicts.state(
            observation, before=(q, v), dt=self.dt, share=self._share
        )
        dtype = given.dtype if given.is_floating_point() else torch.float64
        ends = [x.reshape(*batch, -1).to(given.device, dtype) for x in (q_next, v_next)]
        return ends[0], ends[1]


_SEMI_IMPLICIT = ("semi_implicit_euler", "implicit_damping", "implicit_velocity")
