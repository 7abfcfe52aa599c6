"""`Identification`: the law of recorded motions with all that it rests on; saved and read back.

With it how far off joint forces are, by log and joint, beside the yardsticks for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discover.artifacts import made, write_json
from discover.data.delay import Delay
from discover.errors import OutputError
from discover.identification.drive_terms import ELASTIC
from discover.identification.exciting.information import LogInformation
from discover.identification.motions import TorqueScale
from discover.identification.payloads.found import FoundPayload
from discover.identification.samples import Samples
from discover.identification.uncertainty import Excitation
from discover.identification.unexplained import Dependence
from discover.laws.rigid_body.law import RigidBodyLaw
from discover.records import Stored

if TYPE_CHECKING:
    from kinematics import Robot

Array = NDArray[np.float64]
RECORD = "identification.json"


@dataclass(frozen=True, kw_only=True)
class Parameter(Stored):
    """One base parameter [kg, kg·m, kg·m²]: a combination of the bodies' own that motion can show.

    error is the standard error by leaving out pieces of time; described is the description's value;
    shown is false where the logs know it no better than the description, whose value then stays.
    """

    name: str
    value: float
    error: float
    described: float
    shown: bool


@dataclass(frozen=True, kw_only=True)
class DriveParameter(Stored):
    """The coefficient of one term of the drives, with its standard error; its force is coefficient
    times formula [N·m | N]. `kind` such as "viscous friction"."""

    name: str
    kind: str
    joints: tuple[str, ...]
    formula: str
    value: float
    error: float


@dataclass(frozen=True, kw_only=True)
class JointErrors(Stored):
    """Root mean square errors of the joint force of one joint in one log [N·m | N].

    held_out   whether the log, or this part of it, was kept from every fit and every choice
    moving     share of the samples in which the joint moves
    errors     by yardstick: "zero" (predict nothing: the size of the torque itself), "description",
               "least squares" (bodies, viscous and Coulomb friction, offset, rotor), "identified"
    when_moving  the same over the samples in which the joint moves
    """

    log: str
    joint: str
    held_out: bool
    moving: float
    errors: dict[str, float]
    when_moving: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Identification(Stored):
    """What `identify` found.

    robot_name, joints, logs, held_out   whose logs, and which of them no fit has seen
    parameters    the base parameters
    friction      the drives' terms, those that held-out logs asked for
    errors        root mean square errors of joint forces by log and joint, beside the yardsticks
    noise         standard deviation of the residual of each joint [N·m | N]
    rest_speed    below it a joint is taken to rest [rad/s | m/s]
    excitation    what the motion shows
    shown_by_logs how much the fitted logs say of each base parameter: where a design goes on from
    alignment     the delay of the joint forces that was taken out [s], and what the others gave
    torque_scale  from the logs' unit of joint forces to N·m, as the description's bodies settle it
    smoothing     how velocities and accelerations were made, in words
    unexplained   what the residual still depends on, the largest share first
    payloads      what some logs carried beside the robot; law and robot are the bare arm's
    possible      whether bodies can exist with these parameters, and what that costs, in words
    notes         what was noticed about the logs
    """

    robot_name: str
    joints: tuple[str, ...]
    logs: tuple[str, ...]
    held_out: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    friction: tuple[DriveParameter, ...]
    errors: tuple[JointErrors, ...]
    noise: Array
    rest_speed: Array
    excitation: Excitation
    shown_by_logs: LogInformation
    alignment: Delay
    torque_scale: TorqueScale
    smoothing: str
    unexplained: tuple[Dependence, ...]
    possible: str
    notes: tuple[str, ...]
    seconds: float
    seed: int
    law_record: dict[str, Any] = field(repr=False)
    robot_record: dict[str, Any] = field(repr=False)
    baseline_record: dict[str, Any] = field(repr=False)
    traces: dict[str, Any] = field(default_factory=dict, repr=False)
    payloads: tuple[FoundPayload, ...] = ()

    @cached_property
    def law(self) -> RigidBodyLaw:
        """Bodies and drives as an executable law, law(q, v, tau) -> a. Of friction with memory
        (presliding) and elastic joints it has the limits, Coulomb friction and rigid joints."""
        return RigidBodyLaw.from_dict(self.law_record)

    @cached_property
    def least_squares(self) -> RigidBodyLaw:
        """The baseline as a law: base parameters, viscous and Coulomb friction, offset and rotor of
        every joint. Its bodies need not be possible, so its accelerations may be wild."""
        return RigidBodyLaw.from_dict(self.baseline_record)

    @cached_property
    def robot(self) -> Robot:
        """The robot as descriptions can state it: possible bodies, rotor, viscous and Coulomb
        friction, fitted without the terms that they cannot (the law's own bodies: law.robot)."""
        from kinematics import Robot

        return Robot.from_dict(self.robot_record)

    @property
    def joint_stiffness(self) -> dict[str, tuple[float, float]]:
        """Of joints that give way between motor and link: stiffness and its standard error
        [N·m/rad | N/m], by joint; one over the compliance among the drives' terms."""
        return {
            p.joints[0]: (1 / p.value, p.error / p.value**2)
            for p in self.friction
            if p.kind == ELASTIC and p.value > 0
        }

    def error(self, *, held_out: bool = True, moving: bool = False) -> dict[str, float]:
        """Errors over all joints and logs as shares of the torque's root mean square, by yardstick:
        "zero", "description", "least squares", "identified"."""
        return pooled(self.errors, held_out, moving=moving)

    def __repr__(self) -> str:
        """The error, and on what."""
        found = self.error()
        return (
            f"Identification({self.robot_name!r}, {len(self.logs)} logs, "
            f"{len(self.friction)} drive terms, error {found.get('identified', float('nan')):.1%} "
            f"of the torque where held out, least squares "
            f"{found.get('least squares', float('nan')):.1%})"
        )

    def save(self, directory: str | Path, *, report: bool = True) -> Path:
        """Write identification.json, law.json, robot.urdf and robot.xml (what the formats can
        state), and with `report` report.md and its figures. Returns the directory. Raises
        OutputError."""
        directory = made(directory)
        write_json(directory / "law.json", self.law_record)
        write_json(directory / RECORD, self.to_dict())
        _write_robots(self.robot, directory)
        if report:
            from discover.report.recorded.identification import write

            write(self.to_dict(), directory)
        return directory

    @classmethod
    def load(cls, directory: str | Path) -> Identification:
        """Read back what `save` wrote. Raises OutputError where it is not there."""
        import json

        path = Path(directory) / RECORD
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"expected an identification in {directory}, found none that can be read: "
                f"{' '.join(str(error).split())[:120]}"
            ) from error


def _write_robots(robot: Robot, directory: Path) -> None:
    """The robot as URDF and MJCF, where these formats can state it."""
    import kinematics
    from discover.artifacts import write_text

    for name, writer in (("robot.urdf", kinematics.to_urdf), ("robot.xml", kinematics.to_mjcf)):
        try:
            write_text(directory / name, writer(robot))
        except kinematics.RobotError:
            (directory / name).unlink(missing_ok=True)


def joint_errors(
    samples: Samples,
    joints: Sequence[str],
    predictions: Mapping[str, Array],
    held_out: Sequence[bool],
) -> list[JointErrors]:
    """Errors of some predicted joint forces (N, nv) by log and joint; `held_out` one a log."""
    tau = samples.tau.numpy()
    out = []
    for k, name in enumerate(samples.names):
        rows = samples.log == k
        for j, joint in enumerate(joints):
            moving = rows & samples.moving[:, j]
            off = {label: tau[:, j] - x[:, j] for label, x in predictions.items()}
            out.append(
                JointErrors(
                    log=name,
                    joint=joint,
                    held_out=held_out[k],
                    moving=float(moving.sum() / max(rows.sum(), 1)),
                    errors={label: _rms(x[rows]) for label, x in off.items()},
                    when_moving={label: _rms(x[moving]) for label, x in off.items()},
                )
            )
    return out


def pooled(
    errors: Sequence[JointErrors], held_out: bool, *, moving: bool = False
) -> dict[str, float]:
    """Each yardstick's error over all joints and logs of a kind, as a share of the torque's own
    root mean square; empty where there are none."""
    chosen = [e for e in errors if e.held_out == held_out]
    part = [e.when_moving if moving else e.errors for e in chosen]
    if not part:
        return {}
    size = np.sqrt(np.nansum([p["zero"] ** 2 for p in part]))
    return {
        label: float(np.sqrt(np.nansum([p[label] ** 2 for p in part])) / max(size, 1e-300))
        for label in part[0]
    }


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x**2))) if len(x) else float("nan")
