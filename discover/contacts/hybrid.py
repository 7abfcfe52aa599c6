"""The hybrid law: free motion, surfaces, and a law of touch, as one executable step.

law(q, v, tau) -> (q', v'). A single hard contact has a closed solution, found by a short
bisection of the direction of sliding; several at once and MuJoCo's soft law are
solved by `kinematics.contact`; springs are explicit forces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy
import torch
from torch import Tensor

import kinematics
from discover.contacts.free_law import FreeLaw
from discover.contacts.gaps import coordinate_of
from discover.contacts.moving import Motion
from discover.contacts.surfaces import Surface
from discover.contacts.touch_laws import TouchLaw
from discover.errors import ModelError
from kinematics.contact.law import Hard, Soft
from kinematics.contact.scene import Scene
from kinematics.contact.shapes import Geom, HalfSpace, Point
from kinematics.contact.step import advance, step

FREE, IMPACT, SLIDING, STICKING = range(4)
MODES = ("free", "impact", "sliding", "sticking")
_DIRECTIONS = 32  # of sliding that are tried
_HALVINGS = 52
_APPROACH = 2.0  # speeds that free motion gains in a step, beyond which a touch is an impact
_SLIP = 1e-2  # of the speed before: slower after a touch is sticking


@dataclass(frozen=True, kw_only=True)
class HybridLaw:
    """Free motion, surfaces and touch.

    free, surfaces, touch  the three parts; touch None where nothing is touched or no law was found
    """

    free: FreeLaw
    surfaces: tuple[Surface, ...]
    touch: TouchLaw | None

    @property
    def dt(self) -> float:
        """[s]"""
        return self.free.dt

    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        """(q', v') of states q (n, nq), v (n, nv) under joint forces tau (n, nv)."""
        return self.answer(q, v, tau)[:2]

    def answer(self, q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(q', v', mode): the index in MODES (n,) of the strongest touch of each state."""
        q_next, v_next = self.free.next(q, v, tau)
        mode = torch.zeros(len(q), dtype=torch.long)
        if not self.surfaces or self.touch is None:
            return q_next, v_next, mode
        motion = Motion.of(self.free, q, v, tau)
        closed = self._closed(motion)
        rows = closed.any(1).nonzero()[:, 0]
        if not len(rows):
            return q_next, v_next, mode
        q_next, v_next = q_next.clone(), v_next.clone()
        count = closed[rows].sum(1)
        if self.touch.kind == "penalty":
            parts = [(rows, self._sprung)]
        elif self.touch.kind == "hard":
            parts = [(rows[count == 1], self._one_hard), (rows[count > 1], self._scene_step)]
        else:
            parts = [(rows, self._scene_step)]
        for at, solve in parts:
            if len(at):
                q_next[at], v_next[at] = solve(q[at], v[at], tau[at])
        mode[rows] = self._modes(q[rows], v[rows], tau[rows], q_next[rows], v_next[rows])
        return q_next, v_next, mode

    def guards(self, motion: Motion) -> Tensor:
        """(n, surfaces) gaps at their timing: free where all are positive."""
        return torch.stack([s.gap.value(motion) for s in self.surfaces], 1)

    def _closed(self, motion: Motion) -> Tensor:
        closed = self.guards(motion) < 0
        if self.touch is not None and self.touch.kind == "hard":
            # an overlap that opens fast enough on its own asks for no impulse
            for number, s in enumerate(self.surfaces):
                now = s.gap.value(motion, "now")
                rate = (s.gap.jacobian(motion)[:, 0] * motion.free).sum(-1)
                closed[:, number] &= (now > 0) | (rate < -0.2 * now / self.dt)
        return closed

    def _one_hard(self, q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        touch = self.touch
        assert touch is not None
        motion = Motion.of(self.free, q, v, tau)
        which = self._closed(motion).double().argmax(1)
        J, gap = self._picked(motion, which)
        H = self.free.mass(q)
        back = torch.linalg.solve(H, J.mT)
        A = J @ back
        u = (J @ motion.free[..., None])[..., 0]
        came = -(J[:, 0] * v).sum(-1)
        closing = torch.where(gap > 0, -gap / self.dt, -0.2 * gap / self.dt)
        rebound = touch.restitution * came.clamp_min(0.0)
        aim = torch.where(rebound > 0, torch.maximum(closing, rebound), closing)
        impulse = one_contact(A, u, aim, touch.friction, touch.family == "convex")
        x = motion.free + (back @ impulse[..., None])[..., 0]
        return self._moved(q, x)

    def _picked(self, motion: Motion, which: Tensor) -> tuple[Tensor, Tensor]:
        J = torch.stack([s.gap.jacobian(motion) for s in self.surfaces], 1)
        gaps = torch.stack([s.gap.value(motion, "now") for s in self.surfaces], 1)
        at = torch.arange(len(which))
        return J[at, which], gaps[at, which]

    def _moved(self, q: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(q', v') of a step that ends with x in the axes of its start."""
        robot = self.free.robot
        if self.free.step.frame == "world":
            return advance(robot, q, x, self.dt)
        return kinematics.integrate(robot, q, x, self.dt), x

    def _sprung(self, q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        touch = self.touch
        assert touch is not None
        motion = Motion.of(self.free, q, v, tau)
        total = torch.zeros_like(v)
        for s in self.surfaces:
            J = s.gap.jacobian(motion)
            depth = (-s.gap.value(motion)).clamp_min(0.0)
            u = (J @ v[..., None])[..., 0]
            spring = depth**touch.power
            force = touch.stiffness * spring - touch.damping * u[:, 0] * (
                spring if touch.crossed else 1.0
            )
            force = torch.where(depth > 0, force.clamp_min(0.0), 0.0)
            slide = u[:, 1:] / u[:, 1:].norm(dim=-1, keepdim=True).clamp_min(1e-9)
            along = torch.cat((force[:, None], -touch.friction * force[:, None] * slide), 1)
            total = total + (J.mT @ along[..., None])[..., 0]
        if self.free.step.starts:
            jump = torch.linalg.solve(self.free.mass(q), total[..., None])[..., 0]
            return self._moved(q, motion.free + self.dt * jump)
        return self.free.next(q, v, tau + total)

    def _scene_step(self, q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        return step(self._robot, self.scene, q, v, tau, self.dt)

    @cached_property
    def _robot(self) -> Any:
        """The robot with found limits in the place of those described."""
        robot = self.free.robot
        low, high = (
            torch.full_like(x, s) for x, s in ((robot.lower, -torch.inf), (robot.upper, torch.inf))
        )
        for s in self.surfaces:
            if s.gap.kind == "limit":
                at = coordinate_of(robot, s.gap.dof) if len(low) == robot.nq else s.gap.dof
                (low if s.gap.sign > 0 else high)[at] = s.gap.offset
        return robot.replace(lower=low, upper=high)

    @cached_property
    def scene(self) -> Scene:
        """The surfaces as a scene of `kinematics.contact`, its law that of touch."""
        touch = self.touch
        law: Any = None
        how: dict[str, Any] = {}
        if touch is not None:
            how = {"friction": touch.friction, "condim": 3 if touch.friction > 1e-9 else 1}
            if touch.kind == "hard":
                family = "convex" if touch.family == "convex" else "coulomb"
                law = Hard(restitution=touch.restitution, friction=family)
            elif touch.kind == "soft":
                law = Soft(refsafe=False)
                how |= {"solref": touch.solref, "solimp": touch.solimp}
        geoms: list[Geom] = []
        pairs: list[tuple[str, str]] = []
        planes: dict[tuple, str] = {}
        for number, s in enumerate(self.surfaces):
            if s.gap.kind == "limit":
                continue
            assert s.gap.point is not None
            assert s.gap.normal is not None
            offset = s.offset - s.gap.radius
            key = (s.surface, *(round(x, 6) for x in s.gap.normal.tolist()), round(offset, 6))
            if key not in planes:
                planes[key] = f"plane{len(planes)}"
                normal = s.gap.normal.numpy()
                geoms.append(HalfSpace(normal, offset, s.surface, planes[key], **how))
            at = s.gap.point.numpy()
            geoms.append(Point(s.body, at, s.gap.radius, f"point{number}", **how))
            pairs.append((planes[key], f"point{number}"))
        return Scene(geoms=geoms, pairs=pairs, law=law)

    def _modes(self, q: Tensor, v: Tensor, tau: Tensor, q_next: Tensor, v_next: Tensor) -> Tensor:
        """Of touched states (n,): free where the impulse is nil."""
        motion = Motion.of(self.free, q, v, tau)
        after = self.free.carried(q, q_next, v_next)
        which = self.guards(motion).argmin(1)
        J, _ = self._picked(motion, which)
        before = (J @ v[..., None])[..., 0]
        gained = (J[:, 0] * (motion.free - v)).sum(-1).abs()
        slip = (J[:, 1:] @ after[..., None])[..., 0].norm(dim=-1)
        pushed = (after - motion.free).abs().amax(-1) > 1e-9 * v.abs().amax().clamp_min(1e-9)
        speed = before.norm(dim=-1) + gained
        mode = torch.where(slip < _SLIP * speed, STICKING, SLIDING)
        mode = torch.where(-before[:, 0] > _APPROACH * gained + 1e-9, IMPACT, mode)
        return torch.where(pushed, mode, FREE)

    def sympy_guards(self) -> list[sympy.Expr]:
        """phi(q) of each surface, closed where it is negative: in the law's own symbols for limits,
        else in the place x, y, z [m] of the touching point."""
        x = sympy.symbols("x y z", real=True)
        out = []
        for s in self.surfaces:
            if s.gap.kind == "limit":
                q = sympy.Symbol(f"q{s.gap.dof + 1}", real=True)
                out.append(sympy.Float(s.gap.sign) * (q - sympy.Float(s.offset)))
                continue
            terms = [
                sympy.Float(n) * c for n, c in zip(s.normal or (), x, strict=True) if abs(n) > 1e-12
            ]
            out.append(sum(terms, sympy.Float(-s.offset)))
        return out

    def export(self, target: str = "text") -> str:
        """The law as text: "text" for people, "scene" a Python script that makes and steps it.

        Raises ModelError for other targets.
        """
        if target == "text":
            return "\n".join(self.lines)
        if target != "scene":
            raise ModelError(f"expected a target of text or scene, found {target!r}; choose one")
        lines = [
            "# Hybrid law: free motion of an identified robot in a scene. Needs kinematics.",
            "import kinematics",
            "from kinematics.contact.law import Hard, Soft",
            "from kinematics.contact.scene import Scene",
            "from kinematics.contact.shapes import HalfSpace, Point",
            "from kinematics.contact.step import step",
            f"robot = kinematics.load({self.free.law.to_urdf()!r})",
            "geoms = [",
        ]
        for g in self.scene.shapes:
            m = g.material
            how = f"friction={m.friction!r}, condim={m.condim}, solref={m.solref!r}"
            how += f", solimp={m.solimp!r}"
            if g.kind == "plane":
                n = g.rotation[:, 2]
                place = float(n @ g.at)
                lines.append(
                    f"    HalfSpace({n.tolist()!r}, {place!r}, {g.body!r}, {g.name!r}, {how}),"
                )
            else:
                lines.append(
                    f"    Point({g.body!r}, {g.at.tolist()!r}, {float(g.size[0])!r}, "
                    f"{g.name!r}, {how}),"
                )
        pairs = [
            (self.scene.shapes[p.first].name, self.scene.shapes[p.second].name)
            for p in self.scene.touching
        ]
        lines += [
            "]",
            f"scene = Scene(geoms=geoms, pairs={pairs!r}, law={self.scene.law!r})",
            f"def law(q, v, tau):\n    return step(robot, scene, q, v, tau, {self.dt!r})",
        ]
        return "\n".join(lines) + "\n"

    @cached_property
    def lines(self) -> list[str]:
        """The law in words, a line each part."""
        out = [f"free motion: {self.free.law!r}", f"step: {self.free.step}"]
        guards = self.sympy_guards()
        for s, guard in zip(self.surfaces, guards, strict=True):
            short = guard.xreplace({n: n.round(6) for n in guard.atoms(sympy.Float)})
            out.append(f"surface: {s}; closed where {short} < 0 ({s.gap.timing} gap)")
        out.append(f"touch: {self.touch}" if self.touch else "touch: no law found")
        return out

    def __repr__(self) -> str:
        return f"HybridLaw({len(self.surfaces)} surfaces, {self.touch or 'no law of touch'})"


def one_contact(A: Tensor, u: Tensor, aim: Tensor, mu: float, convex: bool) -> Tensor:
    """Impulse λ (n, 3) of one hard contact with Delassus matrix A (n, 3, 3).

    u (n, 3) without the contact; the normal velocity u_n + (A λ)_n becomes at least `aim` (n,),
    friction stays within mu λ_n and acts against what slides (Coulomb). Where `convex`, the aim
    grows by mu times the sliding speed.
    """
    n = len(u)
    down = torch.zeros(n, 3, dtype=u.dtype)
    down[:, 0] = aim
    held = (torch.linalg.pinv(A, rtol=1e-10) @ (down - u)[..., None])[..., 0]
    sticks = held[:, 1:].norm(dim=-1) <= mu * held[:, 0]

    def slid(angle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Impulse (..., n, 3) of sliding along an angle (..., n), and how the slip then lies to it:
        across and along."""
        way = torch.stack((angle.cos(), angle.sin()), -1)
        # λ = λn (1, -mu way); with convex friction the aim has mu |u_t'| in it, as way · u_t'
        ray = torch.cat((torch.ones_like(way[..., :1]), -mu * way), -1)
        gain = (A @ ray[..., None])[..., 0]
        along = gain[..., 0]
        need = (aim - u[:, 0]).expand_as(along)
        if convex:
            along = along - mu * (gain[..., 1:] * way).sum(-1)
            need = need + mu * (u[:, 1:] * way).sum(-1)
        normal = (need / along).clamp_min(0.0)
        slip = u[:, 1:] + normal[..., None] * gain[..., 1:]
        across = way[..., 0] * slip[..., 1] - way[..., 1] * slip[..., 0]
        return normal[..., None] * ray, across, (slip * way).sum(-1)

    # where the slip turns from one side of its assumed direction to the other, that one is right
    turn = torch.arange(_DIRECTIONS + 1, dtype=u.dtype) + 0.37
    grid = (turn * (2 * math.pi / _DIRECTIONS))[:, None].expand(-1, n)
    _, across, along = slid(grid)
    crosses = (across[:-1] >= 0) & (across[1:] <= 0) & (along[:-1] + along[1:] > 0)
    first = crosses.double().argmax(0)
    at = torch.arange(n)
    low, high = grid[first, at], grid[first + 1, at]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        before = slid(middle)[1] >= 0
        low, high = torch.where(before, middle, low), torch.where(before, high, middle)
    impulse = slid((low + high) / 2)[0]
    impulse = torch.where(sticks[:, None], held, impulse)
    return torch.where((u[:, 0] < aim)[:, None], impulse, 0.0)
