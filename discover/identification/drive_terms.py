"""What drives may add to the bodies: friction, rotors, springs, couplings, as terms to choose from.

Each is a force on one joint, or on two that a transmission couples, linear in one coefficient, and
written in the symbols of laws, so that a law that has it is executable like any other. The *load*
of a joint is what its bodies ask of the drive, h + g + c (inertia, gravity, velocity forces): what
passes through the gears. Friction grows with it in worm, planetary and harmonic drives.

Sources of the shapes: Swevers, Verdonck & De Schutter (2007), Dynamic model identification for
industrial robots (viscous, Coulomb, offset, rotor); Armstrong-Hélouvry, Dupont & Canudas de Wit
(1994) (Stribeck); Duclos et al. (2024), arXiv 2410.08650 (load-dependent and directional).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import Term, scalar_coordinates, stretch, symbols
from discover.laws.search.variables import vocabulary
from kinematics import Robot

Array = NDArray[np.float64]

_MOST_PER_TURN = threshold("identification.most_per_turn")
_LEAST_TURNS = threshold("identification.least_turns")
_PEAKS = whole("identification.peaks")
_CLEAR_PEAK = threshold("identification.clear_peak")
_NEIGHBOURS = 161  # frequencies, four a resolved one
_LEAST_ROWS = 100
_BAND = 64
_STANDARD = ("viscous friction", "Coulomb friction", "offset", "rotor inertia")
ELASTIC = "elastic joint"
STRIBECK = (0.05, 0.1, 0.2, 0.5)  # of a joint's root mean square speed: where it has decayed


@dataclass(frozen=True, kw_only=True)
class DriveTerm:
    """Terms that enter a law together, each with a coefficient of its own.

    kind         such as "viscous friction"
    terms        one, or two such as the sine and cosine of a ripple
    nonnegative  whether physics forbids a negative coefficient
    loaded       whether a shape names the load, which depends on the bodies
    only_one     of terms with the same word here, on the same joints, one may enter
    memory       the length δ [rad | m] over which friction builds up (see presliding.py); 0: none.
                 Its shape names a state, so a law that is a function of (q, v, tau) leaves it out
    rests        the longest rest [s] in which logs showed that what is left of friction stays
    compliance   of an elastic joint [rad/(N·m) | m/N], as far as it is known: at it loads are taken
                 (see elastic_joints.py); None: no elastic joint. A law leaves it out likewise
    """

    kind: str
    terms: tuple[Term, ...]
    nonnegative: bool = False
    loaded: bool = False
    only_one: str = ""
    memory: float = 0.0
    rests: float = 0.0
    compliance: float | None = None

    @property
    def along_motion(self) -> bool:
        """Whether its force is no function of the state: it is computed along the motions."""
        return bool(self.memory) or self.compliance is not None

    @property
    def name(self) -> str:
        """Kind and joints."""
        return self.terms[0].name

    @cached_property
    def joints(self) -> tuple[int, ...]:
        """The coordinates on which it acts."""
        return tuple(i for i, row in enumerate(self.terms[0].shape) if row != 0)


def drive_terms(robot: Robot, speed: Array, resolved: Array | None = None) -> list[DriveTerm]:
    """All candidates for a robot; `speed` (nv,) is each joint's root mean square speed, `resolved`
    (nv,) the least speed at which the filter leaves a change of friction to be seen."""
    least = np.zeros_like(speed) if resolved is None else resolved
    joints = scalar_coordinates(robot)
    return [
        *(x for j in joints for x in _of_joint(robot, j, float(speed[j]), float(least[j]))),
        *(x for i, j in _coupled(robot, joints) for x in _of_pair(robot, i, j)),
    ]


def standard(terms: Sequence[DriveTerm]) -> list[DriveTerm]:
    """The baseline of the field: viscous and Coulomb friction, offset and rotor of each joint."""
    return [x for x in terms if every_drive_has(x)]


def every_drive_has(term: DriveTerm) -> bool:
    """Whether the term belongs to every joint: friction, rotor, and the sensor's offset. They are
    in every fit (left out, they would bend what is fitted beside them); data decide on others."""
    return len(term.joints) == 1 and term.kind in _STANDARD


def presliding(robot: Robot, j: int, length: float, rests: float = 0.0) -> DriveTerm:
    """What Coulomb friction of joint j is short of after a reversal: c (z - sign v)."""
    v = symbols(robot.nv)["v"][j]
    state = sympy.Symbol(f"z{j + 1}", real=True)
    term = _term(
        f"presliding over {length:.3g}, joint {j + 1}", robot.nv, {j: state - _sign(v, robot)}
    )
    return DriveTerm(kind="presliding", terms=(term,), nonnegative=True, memory=length, rests=rests)


def elastic(robot: Robot, j: int, compliance: float = 0.0) -> DriveTerm:
    """Joint j gives way between its motor, where the encoder is, and its link; the coefficient is
    its compliance [rad/(N·m) | m/N], first guessed to be `compliance`."""
    term = _term(f"{ELASTIC} {j + 1}", robot.nv, {j: sympy.Symbol(f"d{j + 1}", real=True)})
    return DriveTerm(kind=ELASTIC, terms=(term,), nonnegative=True, compliance=compliance)


def ripples(robot: Robot, q: Array, residual: Array, moving: NDArray[np.bool_]) -> list[DriveTerm]:
    """Forces periodic in a joint's angle: teeth of gears, motors that cog. For hinges.

    At those frequencies of the residual (N, nv) over q (N, nv) whose power stands out of their
    neighbours' beyond what chance does among some hundred (power of noise is exponential); whether
    one enters is for held-out data to say."""
    out = []
    for joint in robot.independent_joints:
        j = robot.v_slices[joint].start
        if robot.kinds[joint] not in ("revolute", "continuous"):
            continue
        rows = moving[:, j]
        angle, left = q[rows, j], residual[rows, j]
        span = float(np.ptp(angle)) / (2 * np.pi) if rows.sum() > _LEAST_ROWS else 0.0
        if span < _LEAST_TURNS:
            continue
        per_turn = np.arange(max(2.0, 3 / span), _MOST_PER_TURN, 0.25 / span)
        power = _periodogram(angle, left - left.mean(), per_turn)
        floor = median_filter(power, min(_NEIGHBOURS, len(power)), mode="nearest") / np.log(2)
        peaks = [
            k
            for k in range(1, len(power) - 1)
            if power[k - 1] <= power[k] >= power[k + 1] and power[k] > _CLEAR_PEAK * floor[k]
        ]
        strongest = sorted(peaks, key=lambda k: -power[k])[:_PEAKS]
        for k in strongest:
            fine = np.linspace(per_turn[k - 1], per_turn[k + 1], 41)
            best = fine[_periodogram(angle, left - left.mean(), fine).argmax()]
            out.append(_ripple(robot, j, float(best)))
    return out


def _periodogram(angle: Array, left: Array, per_turn: Array) -> Array:
    """Power of `left` (N,) at wave numbers (F,) at even steps: waves of the first few are turned on
    by whole bands, since exp is what costs."""
    width = min(_BAND, len(per_turn))
    step = float(per_turn[1] - per_turn[0])
    band = np.exp(1j * np.outer(step * np.arange(width), angle))
    power = np.empty(len(per_turn))
    for k in range(0, len(per_turn), width):
        part = per_turn[k : k + width]
        power[k : k + width] = (
            np.abs(band[: len(part)] @ (np.exp(1j * part[0] * angle) * left)) ** 2
        )
    return power


def _ripple(robot: Robot, j: int, per_turn: float) -> DriveTerm:
    argument = sympy.Float(per_turn, 6) * symbols(robot.nv)["q"][j]
    label = f"ripple {per_turn:.3g} times a turn"
    return DriveTerm(
        kind="ripple",
        terms=tuple(
            _term(f"{label} ({phase}), joint {j + 1}", robot.nv, {j: f(argument)})
            for phase, f in (("sine", sympy.sin), ("cosine", sympy.cos))
        ),
    )


def load(nv: int, j: int) -> sympy.Expr:
    """What the bodies ask of joint j: h + g + c."""
    words = vocabulary(nv)
    return words[f"h{j + 1}"] + words[f"g{j + 1}"] + words[f"c{j + 1}"]


def _of_joint(robot: Robot, j: int, speed: float, least: float) -> list[DriveTerm]:
    s = symbols(robot.nv)
    v, a = s["v"][j], s["a"][j]
    sign, L = _sign(v, robot), load(robot.nv, j)
    slow = [(share * speed, sympy.exp(-sympy.Abs(v) / sympy.Float(share * speed, 6)))
            for share in STRIBECK if share * speed > least]  # fmt: skip

    def one(kind: str, shape: sympy.Expr, field: str | None = None, **more: Any) -> DriveTerm:
        term = _term(f"{kind}, joint {j + 1}", robot.nv, {j: shape}, field)
        return DriveTerm(kind=kind, terms=(term,), **more)

    return [
        one("viscous friction", v, "damping", nonnegative=True),
        one("Coulomb friction", sign, "friction", nonnegative=True),
        one("offset", sympy.Integer(1)),
        one("rotor inertia", a, "armature", nonnegative=True),
        one("spring", stretch(robot, j), "stiffness", nonnegative=True),
        one("viscous friction by direction", sympy.Abs(v)),
        one("quadratic drag", v * sympy.Abs(v)),
        one("friction of power 1/2", sign * sympy.sqrt(sympy.Abs(v))),
        *(
            one(f"Stribeck friction below {x:.3g}", sign * fall, only_one="Stribeck")
            for x, fall in slow
        ),
        one("friction by load", sympy.Abs(L) * sign, loaded=True),
        one("viscous friction by load", sympy.Abs(L) * v, loaded=True),
        one("friction by load squared", L**2 * sign, loaded=True),
        *(one(f"Stribeck friction by load below {x:.3g}", sympy.Abs(L) * sign * fall, loaded=True,
              only_one="Stribeck")
          for x, fall in slow),
        one("gain of the torque", L, loaded=True),
    ]  # fmt: skip


def _of_pair(robot: Robot, i: int, j: int) -> list[DriveTerm]:
    """A motor that turns with the sum, or the difference, of two joints: it acts on both."""
    s = symbols(robot.nv)
    out = []
    for factor, sum_of in ((1, "sum"), (-1, "difference")):
        v, a = (s[x][i] + factor * s[x][j] for x in ("v", "a"))
        shapes = {
            "viscous friction": v,
            "Coulomb friction": _sign(v, robot),
            "rotor inertia": a,
        }
        for kind, shape in shapes.items():
            name = f"{kind} on the {sum_of} of joints {i + 1} and {j + 1}"
            term = _term(name, robot.nv, {i: shape, j: factor * shape})
            out.append(DriveTerm(kind=f"{kind} of a coupling", terms=(term,), nonnegative=True))
    return out


def _coupled(robot: Robot, joints: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbours on the tree."""
    at = {joint: robot.v_slices[joint].start for joint in robot.independent_joints}
    place = list(robot.independent_joints)
    pairs = []
    for n, parent in enumerate(robot.independent_parents):
        if parent >= 0:
            i, j = at[place[parent]], at[place[n]]
            if i in joints and j in joints:
                pairs.append((i, j))
    return pairs


def _sign(v: sympy.Expr, robot: Robot) -> sympy.Expr:
    """The direction of motion, as the robot smooths it (as joint terms of descriptions do)."""
    return sympy.tanh(v / sympy.Float(robot.friction_speed))


def _term(name: str, nv: int, rows: dict[int, sympy.Expr], field: str | None = None) -> Term:
    shape = tuple(rows.get(i, sympy.Integer(0)) for i in range(nv))
    return Term(name=name, shape=shape, joint_term=field)
