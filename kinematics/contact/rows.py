"""From contacts, joint limits and dry friction at a state to the convex problem of its step.

Soft rows follow MuJoCo ("Computation", sections Constraint model and Parameters): a row asks for
the acceleration -b · rate - k · d · position and has compliance R = (1 - d)/d · inverse weight.
Hard rows ask for a velocity: the gap may close within the step but not more, an impact keeps its
share of the approach speed, an overlap is undone by and by; R is a small share of J M⁻¹ Jᵀ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kinematics.algorithms.crba import crba
from kinematics.contact.law import Hard, Soft, impedance, spring
from kinematics.contact.problem import STICKING, Problem
from kinematics.robot import joints
from kinematics.robot.tree import Robot

_TINY = 1e-15  # mjMINVAL
_LEAST_FRICTION = 1e-5  # mjMINMU
_SOLREF, _SOLIMP = (0.02, 1.0), (0.9, 0.95, 0.001, 0.5, 2.0)  # MuJoCo's defaults
_AHEAD = 3.0  # steps ahead of which hard contacts enter the problem


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What a step's problem is made of, one flat batch axis B.

    mass (B, nv, nv), with what is implicit of the joint terms; free (B, nv) the acceleration
    without constraints, that of a free joint's linear part as in a frame that does not turn;
    gap (B, nc), jacobian (B, nc, 3, nv) and present (B, nc) of the candidate contacts.
    """

    robot: Robot
    scene: Any
    law: Soft | Hard
    q: Tensor
    v: Tensor
    mass: Tensor
    free: Tensor
    dt: float
    gap: Tensor
    present: Tensor
    jacobian: Tensor

    @property
    def number(self) -> _Numbers:
        """The scene's numbers as tensors like q."""
        return numbers(self.robot, self.scene, self.q)

    def rates(self) -> Tensor:
        """Contact velocities J v (B, nc, 3)."""
        return torch.matmul(self.jacobian, self.v[:, None, :, None])[..., 0]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The problem, and where its rows came from.

    picked (B, m) candidate contacts in the problem, kept (B, m) false for those that only fill up
    the batch; edges: four one-sided rows a contact instead of a cone, of friction (B, m, 2).
    """

    problem: Problem
    picked: Tensor
    kept: Tensor
    edges: Tensor | None

    def contact_forces(self, forces: Tensor, nc: int) -> Tensor:
        """Forces (B, nc, 3) in the contacts' frames, from those of the rows (B, rows)."""
        count, m = self.picked.shape
        if self.edges is None:
            own = forces[:, : 3 * m].reshape(count, m, 3)
        else:
            edge = forces[:, : 4 * m].reshape(count, m, 2, 2)
            along = self.edges * (edge[..., 0] - edge[..., 1])
            own = torch.cat((edge.sum((-1, -2))[..., None], along), -1)
        own = torch.where(self.kept[..., None], own, 0.0)
        at = self.picked[..., None].expand(-1, -1, 3)
        return forces.new_zeros(count, nc, 3).scatter_add(1, at, own)

    def sticking(self, forces: Tensor, zones: Tensor, nc: int) -> Tensor:
        """Whether each candidate (B, nc) holds rather than slides, where it pushes at all."""
        if self.edges is None:
            own = zones == STICKING
        else:  # inside a pyramid all edges push
            own = (forces[:, : 4 * self.picked.shape[1]].reshape(*self.picked.shape, 4) > 0).all(-1)
        whole = torch.zeros(len(own), nc, dtype=torch.bool, device=own.device)
        return whole.scatter(1, self.picked, own & self.kept) if own.shape[1] else whole

    def joint_forces(self, forces: Tensor) -> Tensor:
        """Joint forces (B, nv) of limits and dry friction."""
        first = (3 if self.edges is None else 4) * self.picked.shape[1]
        tail = self.problem.jacobian[:, first:]
        return torch.matmul(forces[:, None, first:], tail)[:, 0]


@dataclass(frozen=True, kw_only=True)
class _Numbers:
    """Constants of scene and robot, on the device and of the dtype of the states."""

    friction: Tensor
    condim: Tensor
    solref: Tensor
    solreffriction: Tensor
    solimp: Tensor
    margin: Tensor
    weight: Tensor  # (nc) inverse weight of the normal
    restitution: Tensor
    limit_dof: Tensor  # (k) of the limited sides: velocity, position, direction and place
    limit_q: Tensor
    limit_sign: Tensor
    limit_at: Tensor
    limit_solref: Tensor
    limit_solimp: Tensor
    limit_margin: Tensor
    loss_dof: Tensor  # (l) velocities with dry friction
    loss: Tensor
    loss_solref: Tensor
    loss_solimp: Tensor
    dof_weight: Tensor  # (nv)


def numbers(robot: Robot, scene: Any, like: Tensor) -> _Numbers:
    """The constants of robot and scene; kept with the robot once made."""
    key = ("contact numbers", id(scene), like.dtype, like.device)
    held = robot._cache.get(key)
    if held is None or held[0] is not scene:
        held = robot._cache[key] = (scene, _numbers(robot, scene, like))
    return held[1]


def _numbers(robot: Robot, scene: Any, like: Tensor) -> _Numbers:
    from kinematics.contact.geometry import invweight

    def given(x: Any) -> Tensor:
        wide = x if isinstance(x, Tensor) else torch.tensor(x, dtype=torch.float64)
        return wide.detach().to(like)

    def each(name: str, default: Any) -> Tensor:
        found = getattr(scene, name, None)
        if found is not None:
            return given(found)
        value = given(default)
        return value.expand(robot.nv, *value.shape)

    sides = []
    if getattr(scene, "limits", True):
        for joint in robot.independent_joints:
            if robot.kinds[joint] in joints.QUATERNION:
                continue
            dof, at = robot.v_slices[joint].start, robot.q_slices[joint].start
            for sign, bound in ((1.0, robot.lower[at]), (-1.0, robot.upper[at])):
                if bool(bound.isfinite()):
                    sides.append((dof, at, sign, float(bound)))
        dry = (robot.friction.detach() > 0).nonzero()[:, 0].tolist()
    else:
        dry = []
    dof = torch.tensor([s[0] for s in sides], dtype=torch.long, device=like.device)
    loss_dof = torch.tensor(dry, dtype=torch.long, device=like.device)
    solref, solimp = each("limit_solref", _SOLREF), each("limit_solimp", _SOLIMP)
    weight = getattr(scene, "dof_invweight", None)
    return _Numbers(
        friction=given(scene.friction),
        condim=torch.as_tensor(scene.condim).to(like.device),
        solref=given(scene.solref),
        solreffriction=given(scene.solreffriction),
        solimp=given(scene.solimp),
        margin=given(scene.includemargin),
        weight=given(invweight(robot, scene)),
        restitution=given(scene.restitution),
        limit_dof=dof,
        limit_q=torch.tensor([s[1] for s in sides], dtype=torch.long, device=like.device),
        limit_sign=given([s[2] for s in sides]),
        limit_at=given([s[3] for s in sides]),
        limit_solref=solref[dof],
        limit_solimp=solimp[dof],
        limit_margin=each("limit_margin", 0.0)[dof],
        loss_dof=loss_dof,
        loss=given(robot.friction)[loss_dof],
        loss_solref=each("loss_solref", _SOLREF)[loss_dof],
        loss_solimp=each("loss_solimp", _SOLIMP)[loss_dof],
        dof_weight=given(dof_inverse_weight(robot) if weight is None else weight),
    )


def dof_inverse_weight(robot: Robot) -> Tensor:
    """diag(M⁻¹) (nv) at the neutral configuration, averaged over the three turns of a ball joint
    and over turns and shifts of a free one (MuJoCo's dof_invweight0)."""
    mass = crba(robot, robot.neutral()).detach()
    inverse = torch.linalg.inv(mass[(0,) * (mass.ndim - 2)]).diagonal().clone()
    for joint in robot.independent_joints:
        if robot.kinds[joint] in joints.QUATERNION:
            at = robot.v_slices[joint]
            inverse[at] = inverse[at].reshape(-1, 3).mean(1).repeat_interleave(3)
    return inverse


def rows(situation: Situation) -> Rows:
    """The problem of the step from this situation."""
    return (_soft if isinstance(situation.law, Soft) else _hard)(situation)


def _soft(s: Situation) -> Rows:
    law, number = s.law, s.number
    assert isinstance(law, Soft)
    picked, kept = _pick(s.present & (s.gap < number.margin))
    J, gap = _taken(s.jacobian, picked), s.gap.gather(1, picked)
    rate = torch.matmul(J, s.v[:, None, :, None])[..., 0]
    depth = gap - number.margin[picked]
    solref, solimp = number.solref[picked], number.solimp[picked]
    d = impedance(solimp, depth)
    k, b = spring(solref, solimp, s.dt, refsafe=law.refsafe)
    friction = pair_friction(number, picked)
    weight, pull = number.weight[picked], -b * rate[..., 0] - k * d * depth
    sides, side_target, side_weight = _soft_limits(s, law)
    loss, loss_target, loss_weight = _soft_losses(s, law)
    if law.cone == "elliptic":
        slip = number.solreffriction[picked]
        slip = torch.where((slip != 0).any(-1, keepdim=True), slip, solref)
        _, rub = spring(slip, solimp, s.dt, refsafe=law.refsafe)
        head = J.flatten(1, 2)
        head_target = torch.cat((pull[..., None], -rub[..., None] * rate[..., 1:]), -1).flatten(1)
        cone = torch.where(kept, 1 / ((1 - d) / d * weight).clamp_min(_TINY), 0.0)
        mu, ratio = _cone_shape(friction, law.impratio)
        edges, edge_weight = None, cone[:, :0]
    else:
        mixed = friction[..., None, None] * J[:, :, 1:, None]
        signs = torch.tensor([1.0, -1.0]).to(J)[:, None]
        head = (J[:, :, :1, None] + signs * mixed).flatten(1, 3)
        edge_rate = torch.matmul(head, s.v[..., None])[..., 0].unflatten(1, (-1, 4))
        head_target = (-b[..., None] * edge_rate - (k * d * depth)[..., None]).flatten(1)
        slope = friction[..., 0].square()
        full = (1 - d) / d * weight * (1 + slope)
        slanted = (full * 2 * slope / law.impratio).clamp_min(_TINY)
        plain = ((1 - d) / d * weight).clamp_min(_TINY)
        smooth = (friction == 0).all(-1)
        first = torch.where(smooth, 1 / plain, 1 / slanted)
        rest = torch.where(smooth, 0.0, 1 / slanted)
        edge_weight = torch.stack((first, rest, rest, rest), -1)
        edge_weight = torch.where(kept[..., None], edge_weight, 0.0).flatten(1)
        edges, cone = friction, gap[:, :0]
        mu, ratio = cone, cone[..., None].expand(-1, -1, 2)
    problem = Problem(
        mass=s.mass,
        free=s.free,
        jacobian=torch.cat((head, sides, loss), 1),
        target=torch.cat((head_target, side_target, loss_target), 1),
        cone_weight=cone,
        mu=mu,
        ratio=ratio,
        lift=torch.zeros_like(mu),
        one_sided_weight=torch.cat((edge_weight, side_weight), 1),
        bounded_weight=loss_weight,
        bound=number.loss.expand(len(s.q), -1),
    )
    return Rows(problem=problem, picked=picked, kept=kept, edges=edges)


def _soft_limits(s: Situation, law: Soft) -> tuple[Tensor, Tensor, Tensor]:
    number = s.number
    distance, _ = one_sided(number, s.q)
    touched = distance < number.limit_margin
    columns = touched.any(0).nonzero()[:, 0]
    dof, sign = number.limit_dof[columns], number.limit_sign[columns]
    solref, solimp = number.limit_solref[columns], number.limit_solimp[columns]
    depth = distance[:, columns] - number.limit_margin[columns]
    d = impedance(solimp, depth)
    k, b = spring(solref, solimp, s.dt, refsafe=law.refsafe)
    weight = 1 / ((1 - d) / d * number.dof_weight[dof]).clamp_min(_TINY)
    weight = torch.where(touched[:, columns], weight, 0.0)
    return _units(s, dof, sign), -b * sign * s.v[:, dof] - k * d * depth, weight


def _soft_losses(s: Situation, law: Soft) -> tuple[Tensor, Tensor, Tensor]:
    number = s.number
    dof = number.loss_dof
    d = impedance(number.loss_solimp, torch.zeros_like(number.loss))
    _, b = spring(number.loss_solref, number.loss_solimp, s.dt, refsafe=law.refsafe)
    weight = 1 / ((1 - d) / d * number.dof_weight[dof]).clamp_min(_TINY)
    return _units(s, dof, torch.ones_like(d)), -b * s.v[:, dof], weight.expand(len(s.q), -1)


def _hard(s: Situation) -> Rows:
    law, number = s.law, s.number
    assert isinstance(law, Hard)
    unhindered = s.v + s.dt * s.free
    rate = s.rates()
    coming = torch.matmul(s.jacobian, unhindered[:, None, :, None])[..., 0]
    speed = (
        torch.maximum(rate.norm(dim=-1), coming.norm(dim=-1)).amax(-1, keepdim=True)
        if s.gap.shape[1]
        else s.gap
    )
    picked, kept = _pick(s.present & (s.gap < _AHEAD * s.dt * speed))
    J, gap = _taken(s.jacobian, picked), s.gap.gather(1, picked)
    friction = pair_friction(number, picked)
    mu, ratio = _cone_shape(friction, 1.0)
    approach = rate[..., 0].gather(1, picked).clamp_max(0.0)
    closing = coming[..., 0].gather(1, picked)
    stated = number.restitution[picked]
    share = torch.where(stated.isnan(), law.restitution, stated)
    aim = _aim(gap, closing, share * -approach, law, s.dt)
    target = torch.cat((aim[..., None], torch.zeros_like(J[..., :2, 0])), -1).flatten(1)
    sides, side_target = _hard_limits(s, law, unhindered)
    loss = _units(s, number.loss_dof, torch.ones_like(number.loss))
    jacobian = torch.cat((J.flatten(1, 2), sides, loss), 1)
    least = law.regularisation if s.q.dtype == torch.float64 else max(law.regularisation, 1e-4)
    own = own_inertia(s.mass, jacobian) * least
    m, r = picked.shape[1], sides.shape[1]
    cone = own[:, : 3 * m].unflatten(1, (m, 3)).mean(-1)
    cone = torch.where(kept & (cone > 0), 1 / cone, 0.0)
    problem = Problem(
        mass=s.mass,
        free=unhindered,
        jacobian=jacobian,
        target=torch.cat((target, side_target, torch.zeros_like(loss[..., 0])), 1),
        cone_weight=torch.where(cone.isfinite(), cone, 0.0),
        mu=mu,
        ratio=ratio,
        lift=friction[..., 0] if law.friction == "coulomb" else torch.zeros_like(mu),
        one_sided_weight=1 / own[:, 3 * m : 3 * m + r],
        bounded_weight=1 / own[:, 3 * m + r :],
        bound=(number.loss * s.dt).expand(len(s.q), -1),
    )
    return Rows(problem=problem, picked=picked, kept=kept, edges=None)


def _aim(gap: Tensor, closing: Tensor, rebound: Tensor, law: Hard, dt: float) -> Tensor:
    """The least normal velocity after the step: it may close a gap, undoes a share of an overlap,
    and is the rebound's where the step would bring an impact."""
    aim = torch.where(gap > 0, -gap / dt, -law.correction * gap / dt)
    return torch.where(
        gap + dt * closing < 0, torch.where(rebound > 0, torch.maximum(aim, rebound), aim), aim
    )


def _hard_limits(s: Situation, law: Hard, unhindered: Tensor) -> tuple[Tensor, Tensor]:
    number = s.number
    dof, sign = number.limit_dof, number.limit_sign
    distance, _ = one_sided(number, s.q)
    speed = torch.maximum(s.v[:, dof].abs(), unhindered[:, dof].abs())
    columns = (distance < _AHEAD * s.dt * speed).any(0).nonzero()[:, 0]
    distance = distance[:, columns]
    target = torch.where(distance > 0, -distance / s.dt, -law.correction * distance / s.dt)
    return _units(s, dof[columns], sign[columns]), target


def one_sided(number: _Numbers, q: Tensor) -> tuple[Tensor, Tensor]:
    """How far (..., k) the limited sides are away at q (..., nq), and their rows (k, nv)."""
    distance = number.limit_sign * (q[..., number.limit_q] - number.limit_at)
    return distance, unit_rows(number.limit_dof, number.limit_sign, len(number.dof_weight))


def unit_rows(dof: Tensor, sign: Tensor, nv: int) -> Tensor:
    """Rows (k, nv) that pick single velocities with a sign."""
    rows = sign.new_zeros(len(dof), nv)
    return rows.index_put((torch.arange(len(dof), device=dof.device), dof), sign)


def own_inertia(mass: Tensor, jacobian: Tensor) -> Tensor:
    """The diagonal of J M⁻¹ Jᵀ (B, rows)."""
    half = torch.linalg.solve_triangular(torch.linalg.cholesky(mass), jacobian.mT, upper=False)
    return half.square().sum(1)


def pair_friction(number: _Numbers, picked: Tensor) -> Tensor:
    """Friction (B, m, 2) of the contacts in the problem: zero where they have none."""
    friction = number.friction.clamp_min(_LEAST_FRICTION)[picked]
    return torch.where((number.condim[picked] >= 3)[..., None], friction, 0.0)


def _cone_shape(friction: Tensor, impratio: float) -> tuple[Tensor, Tensor]:
    """Slope mu (B, m) of the regularised cone, and friction over mu (B, m, 2)."""
    mu = friction[..., 0] / impratio**0.5
    safe = torch.where(mu > 0, mu, 1.0)
    return mu, friction / safe[..., None]


def _pick(touching: Tensor) -> tuple[Tensor, Tensor]:
    """Indices (B, m) of the touching contacts, as many as the element with most of them has, and
    which of these do touch."""
    most = int(touching.sum(-1).max()) if touching.numel() else 0
    if most == touching.shape[1]:
        picked = torch.arange(most, device=touching.device).expand(len(touching), -1)
    else:
        picked = torch.argsort((~touching).long(), dim=-1, stable=True)[:, :most]
    return picked, touching.gather(1, picked)


def _taken(jacobian: Tensor, picked: Tensor) -> Tensor:
    if picked.shape[1] == jacobian.shape[1]:
        return jacobian
    at = picked[..., None, None].expand(-1, -1, *jacobian.shape[2:])
    return jacobian.gather(1, at)


def _units(s: Situation, dof: Tensor, sign: Tensor) -> Tensor:
    return unit_rows(dof, sign, s.v.shape[1]).expand(len(s.v), -1, -1)
