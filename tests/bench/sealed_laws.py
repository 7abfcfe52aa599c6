"""The sealed list: forty mechanisms, written without having read how laws are searched for.

Each law is `law(at, s, q, v, tau) -> a` on batches, float64: `at` is the robot's place, `s` a
strength that `Mechanism.model` sets so that accelerations depart from those at s = 0 by a stated
share of their spread in the region. Once scored, the list has been seen and holds nothing out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import kinematics
from tests.bench.sealed_places import (
    SAMPLES,
    Place,
    places,
    point,
    point_mass,
    without_products,
)

Law = Callable[[Place, float, Tensor, Tensor, Tensor], Tensor]
Answers = Callable[[Tensor, Tensor, Tensor], Tensor]
PLAIN, HIDDEN = 0.15, 0.015  # departures, shares of the accelerations' spread
NOISE = 0.01  # of noisy answers, a share of the spread
_NOTHING = 1e-9  # a strength at which nothing is altered


# --- drives ---------------------------------------------------------------------------------------


def stribeck(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Friction that is larger at rest and falls to its sliding value."""
    sliding = 1 + 1.5 * torch.exp(-((v / 0.4) ** 2))
    return at.aba(q, v, tau - s * at.tau * sliding * torch.tanh(v / 0.08))


def load_friction(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Friction of a gear in proportion to the torque that it carries."""
    return at.aba(q, v, tau - s * tau.abs() * torch.tanh(v / 0.2))


def torque_ripple(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Motors whose torque constant ripples with the angle."""
    phase = torch.arange(q.shape[-1], dtype=q.dtype)
    return at.aba(q, v, tau * (1 + s * torch.sin(5 * q + phase)))


def cogging(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Magnets that hold the rotors in their detents, whatever the current."""
    phase = 0.7 * torch.arange(q.shape[-1], dtype=q.dtype)
    return at.aba(q, v, tau + s * at.tau * torch.sin(7 * q + phase))


def back_emf(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A supply that limits torque, the more the faster the motor turns with it."""
    driving = (v * torch.sign(tau) / (3 * at.v)).clamp(0, 1)
    limit = at.tau / s * (1 - driving)
    return at.aba(q, v, torch.minimum(torch.maximum(tau, -limit), limit))


def thermal_derating(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Amplifiers that give less as the copper losses of all motors together rise."""
    return at.aba(q, v, tau / (1 + s * ((tau / at.tau) ** 2).sum(-1, keepdim=True)))


# --- shortcuts of simulators ----------------------------------------------------------------------


def linear_gravity(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Gravity taken towards its linear form about zero."""
    linear = at.gravity(torch.zeros_like(q)) + q @ at.gravity_slope.T
    return at.aba(q, v, tau + s * (at.gravity(q) - linear))


def missing_coriolis(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Forces of velocities that are left out in part."""
    return at.aba(q, v, tau + s * (at.bias(q, v) - at.gravity(q)))


def decoupled_joints(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A mass matrix whose couplings are left out in part."""
    mass = kinematics.crba(at.robot, q)
    couplings = mass - torch.diag_embed(mass.diagonal(dim1=-2, dim2=-1))
    return at.solve(mass - s * couplings, tau - at.bias(q, v))


def stepped_position(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A scheme that evaluates forces at the position to come."""
    return at.aba(q + s * v, v, tau)


def clamped_velocities(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A damped arm whose simulator clamps velocities before it uses them."""
    seen = torch.minimum(torch.maximum(v, -at.v / s), at.v / s)
    return at.aba(q, seen, tau - 0.4 * at.tau / at.v * seen)


# --- forces on bodies -----------------------------------------------------------------------------


def wind(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Drag of the end point in moving air."""
    tip = at.at_tip(q)
    flow = tip.velocity(v) - torch.tensor([1.5, 0.0, 0.5], dtype=q.dtype)
    return at.aba(q, v, tau + tip.joint_forces(-s * flow.norm(dim=-1, keepdim=True) * flow))


def lift(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A force at right angles to the end point's velocity, as its square."""
    tip = at.at_tip(q)
    u = tip.velocity(v)
    across = torch.linalg.cross(torch.tensor([[0.0, 1.0, 0.0]], dtype=q.dtype).expand_as(u), u)
    return at.aba(q, v, tau + tip.joint_forces(s * u.norm(dim=-1, keepdim=True) * across))


def anchored_spring(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A spring of some length between the end point and a hook."""
    tip = at.at_tip(q)
    to = torch.tensor([0.4, 0.2, 0.3], dtype=q.dtype) - tip.position
    length = to.norm(dim=-1, keepdim=True)
    return at.aba(q, v, tau + tip.joint_forces(s * (length - 0.25) * to / length))


def magnet(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A softened pull by the inverse square of the distance to a fixed point."""
    tip = at.at_tip(q)
    to = torch.tensor([0.5, 0.2, 0.6], dtype=q.dtype) - tip.position
    square = (to * to).sum(-1, keepdim=True)
    return at.aba(q, v, tau + tip.joint_forces(s * to / (square + 0.05) ** 1.5))


def waterline(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A float at the end point that is lifted as far as it is under water."""
    tip = at.at_tip(q)
    under = 0.5 * (1 + torch.tanh((-0.1 - tip.position[:, 2:]) / 0.08))
    up = torch.tensor([0.0, 0.0, 1.0], dtype=q.dtype)
    return at.aba(q, v, tau + tip.joint_forces(s * under * up))


# --- altered inertia ------------------------------------------------------------------------------


def sliding_mass(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A mass in the last link that stands further out as the middle joint bends."""
    out = 0.15 + s * torch.sin(q[:, 1])
    zero = torch.zeros_like(out)
    own = point_mass(0.5, torch.stack([out, zero, zero], -1))
    return at.with_last(q, v, tau, at.robot.pi[-1] + own)


def speed_mass(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A last link that grows heavier with the square of the first joint's speed."""
    factor = 1 + s * (v[:, :1] / at.v[0]) ** 2
    return at.with_last(q, v, tau, at.robot.pi[-1] * factor)


def added_mass(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Fluid that the end point carries along, unequal by direction in space."""
    tip = at.at_tip(q)
    shape = torch.tensor([1.0, 0.2, 0.5], dtype=q.dtype)
    fluid = tip.jacobian.mT @ (shape[:, None] * tip.jacobian)
    return at.solve(kinematics.crba(at.robot, q) + s * fluid, tau - at.bias(q, v))


def energy_inertia(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Rotors whose inertia rises with the arm's kinetic energy."""
    share = kinematics.kinetic_energy(at.robot, q, v)[:, None] / at.usual_energy
    mass = kinematics.crba(at.robot, q) + s * torch.diag_embed(share * at.usual_inertia)
    return at.solve(mass, tau - at.bias(q, v))


# --- other coordinates ----------------------------------------------------------------------------


def eccentric_encoder(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Angles read by encoders whose discs sit off centre."""
    return at.aba(q + s * torch.sin(2 * q + 0.5), v, tau)


def compressed_speeds(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A damped arm whose speeds are read by sensors that saturate and fold back."""
    seen = v / (1 + s * (v / at.v) ** 2)
    return at.aba(q, seen, tau - 0.3 * at.tau / at.v * seen)


# --- couplings of joints --------------------------------------------------------------------------


def eccentric_belt(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A belt on an eccentric pulley that passes the last motor's torque to the middle joint."""
    passed = s * at.tau[1] / at.tau[2] * (1 + 0.5 * torch.cos(q[:, 1])) * tau[:, 2]
    zero = torch.zeros_like(passed)
    return at.aba(q, v, tau + torch.stack([zero, passed, zero], -1))


def differential_friction(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Friction in a differential, by the difference of two joints' speeds."""
    rubbing = s * at.tau[1] * torch.tanh((v[:, 0] - v[:, 1]) / 0.3)
    return at.aba(q, v, tau + torch.stack([-rubbing, rubbing], -1))


def gyroscope(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A wheel that spins steadily in the forearm."""
    forearm = point(at.robot, q, 2, (0.0, 0.0, 0.0))
    spin = s * forearm.rotation[:, :, 0]
    reaction = -torch.linalg.cross(forearm.spin(v), spin)
    return at.aba(q, v, tau + forearm.joint_forces_of_torque(reaction))


# --- outputs --------------------------------------------------------------------------------------


def saturation(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Answers that saturate smoothly."""
    most = at.spread / s
    return most * torch.tanh(at.aba(q, v, tau) / most)


def posture_factor(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Answers times a factor that depends on the posture."""
    return at.aba(q, v, tau) * (1 + s * torch.cos(2 * q[:, :1] + q[:, 2:3]))


# --- switches in space ----------------------------------------------------------------------------


def viscous_side(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A viscous medium that fills the space beyond an upright plane."""
    tip = at.at_tip(q)
    inside = (tip.position[:, :1] > 0.4).to(q.dtype)
    return at.aba(q, v, tau + tip.joint_forces(-s * inside * tip.velocity(v)))


def lighter_side(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Gravity that is weaker beyond an oblique plane of joint angles."""
    beyond = (q[:, 1:2] + 0.5 * q[:, 2:3] > 0.2).to(q.dtype)
    return at.aba(q, v, tau + s * beyond * at.gravity(q))


def pulling_ball(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A ball in space, inside of which the end point is drawn to its centre."""
    tip = at.at_tip(q)
    to = torch.tensor([0.7, 0.0, -0.4], dtype=q.dtype) - tip.position
    inside = (to.norm(dim=-1, keepdim=True) < 0.6).to(q.dtype)
    return at.aba(q, v, tau + tip.joint_forces(s * inside * to))


# --- plain physics in disguise --------------------------------------------------------------------


def other_masses(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Links of other masses than the description's."""
    factor = torch.tensor([[0.7], [1.4]], dtype=q.dtype)
    return kinematics.aba(at.robot.replace(pi=at.robot.pi * factor), q, v, tau)


def joint_terms(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Every joint term that a description can state."""
    robot = at.robot.replace(
        armature=0.2 * at.usual_inertia,
        damping=0.1 * at.tau / at.v,
        friction=0.05 * at.tau,
        stiffness=0.2 * at.tau / at.q,
        spring_reference=[0.3, -0.2, 0.1],
    )
    return kinematics.aba(robot, q, v, tau)


def implicit_damping(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Damping by an implicit Euler step: (H + h D) a = tau - bias - D v."""
    damping = 0.2 * at.tau / at.v
    robot = at.robot.replace(armature=0.02 * damping, damping=damping)
    return kinematics.aba(robot, q, v, tau)


def payload(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A load at the end point that the description does not know."""
    load = point_mass(0.4, torch.tensor(at.tip, dtype=q.dtype))
    return at.with_last(q, v, tau, (at.robot.pi[-1] + load).expand(len(q), -1))


def no_products(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Bodies whose products of inertia are left out, which are bodies all the same."""
    return kinematics.aba(at.robot.replace(pi=without_products(at.robot.pi)), q, v, tau)


def rotors(at: Place, s: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Reflected rotors and viscous friction."""
    robot = at.robot.replace(armature=0.3 * at.usual_inertia, damping=0.15 * at.tau / at.v)
    return kinematics.aba(robot, q, v, tau)


@dataclass(frozen=True)
class Mechanism:
    """A line of the list.

    wanted     verdicts that are acceptable
    share      departure from the law at s = 0, in spreads; None where nothing is altered
    most       the largest strength that makes sense
    noisy      whether answers carry noise of 1 % of the spread
    """

    name: str
    kind: str
    place: str
    law: Law | None  # None: a table, see sealed_tables
    share: float | None = PLAIN
    most: float = 1e3
    noisy: bool = False
    wanted: tuple[str, ...] = ("alternative law",)

    @property
    def hidden(self) -> bool:
        """Whether it departs by 1 to 2 % only."""
        return self.share == HIDDEN

    def at(self) -> Place:
        """The robot and its region."""
        return places()[self.place]

    def of_strength(self, s: float) -> Answers:
        """The law at a strength."""
        law, at = self.law, self.at()
        assert law is not None
        return lambda q, v, tau: law(at, s, q, v, tau)

    def departure(self, s: float) -> float:
        """Root mean square departure from the law at s = 0, in spreads, in the region."""
        at = self.at()
        states = at.states(SAMPLES, 12)
        plain, altered = self.of_strength(_NOTHING)(*states), self.of_strength(s)(*states)
        return float((((altered - plain) / at.spread) ** 2).mean().sqrt())

    def strength(self) -> float:
        """The strength that departs by ``share``; bisection on its logarithm.

        Raises ValueError where no strength up to ``most`` does.
        """
        if self.share is None:
            return 1.0
        low, high = 1e-5, self.most
        if self.departure(high) < self.share:
            raise ValueError(f"{self.name}: departs by {self.departure(high):.3f} at most")
        for _ in range(40):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self.departure(middle) < self.share else (low, middle)
        return high


def _physics(name: str, place: str, law: Law, noisy: bool = False) -> Mechanism:
    return Mechanism(name, "disguise", place, law, share=None, noisy=noisy, wanted=("physics",))


def _table(name: str, place: str, noisy: bool = False) -> Mechanism:
    return Mechanism(name, "table", place, None, share=None, noisy=noisy, wanted=("lookup table",))


MECHANISMS: tuple[Mechanism, ...] = (
    Mechanism("stribeck", "drive", "double", stribeck),
    Mechanism("linear gravity", "simulator", "spatial", linear_gravity, most=1.0),
    Mechanism("wind", "body", "double", wind, noisy=True),
    Mechanism("sliding mass", "inertia", "planar", sliding_mass, most=1.0),
    Mechanism("eccentric encoder", "coordinate", "double", eccentric_encoder, noisy=True),
    Mechanism("eccentric belt", "coupling", "planar", eccentric_belt),
    Mechanism("saturation", "output", "planar", saturation, noisy=True),
    Mechanism("viscous side", "switch", "double", viscous_side),
    _physics("other masses", "double", other_masses),
    _table("nearest neighbour", "spatial"),
    Mechanism("load friction", "drive", "spatial", load_friction),
    Mechanism("missing Coriolis", "simulator", "planar", missing_coriolis, HIDDEN, most=1.0),
    Mechanism("lift", "body", "planar", lift),
    Mechanism("speed mass", "inertia", "double", speed_mass),
    Mechanism("compressed speeds", "coordinate", "spatial", compressed_speeds),
    Mechanism("differential friction", "coupling", "double", differential_friction, HIDDEN),
    Mechanism("posture factor", "output", "spatial", posture_factor, HIDDEN, most=0.9),
    Mechanism("lighter side", "switch", "six", lighter_side, most=1.0),
    _physics("joint terms", "planar", joint_terms),
    _table("radial basis functions", "planar", noisy=True),
    Mechanism("torque ripple", "drive", "planar", torque_ripple, most=1.0),
    Mechanism("decoupled joints", "simulator", "six", decoupled_joints, most=1.0),
    Mechanism("anchored spring", "body", "spatial", anchored_spring),
    Mechanism("added mass", "inertia", "spatial", added_mass),
    Mechanism("gyroscope", "coupling", "six", gyroscope),
    Mechanism("pulling ball", "switch", "planar", pulling_ball),
    _physics("payload", "spatial", payload, noisy=True),
    _table("network of samples", "six"),
    Mechanism("cogging", "drive", "six", cogging, HIDDEN),
    Mechanism("stepped position", "simulator", "double", stepped_position, HIDDEN),
    Mechanism("magnet", "body", "six", magnet, HIDDEN),
    Mechanism("energy inertia", "inertia", "spatial", energy_inertia, HIDDEN),
    _physics("no products", "six", no_products),
    _table("weighted neighbours", "double"),
    Mechanism("back EMF", "drive", "double", back_emf, noisy=True),
    Mechanism("clamped velocities", "simulator", "planar", clamped_velocities),
    Mechanism("waterline", "body", "planar", waterline),
    Mechanism("thermal derating", "drive", "planar", thermal_derating, HIDDEN),
    _physics("implicit damping", "planar", implicit_damping),
    _physics("rotors", "six", rotors),
)
