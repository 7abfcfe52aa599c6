"""The head of an exported law: its units, where it holds, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

from discover.laws.contract import Domain
from discover.laws.provenance import Provenance
from discover.laws.rigid_body.step_map import StepMap
from kinematics import Robot
from kinematics.robot.joints import TURNING

COMMENT = {"python": "# ", "torch": "# ", "jax": "# ", "sympy": "# ", "c": "// ", "latex": "% "}
_UNITS = {
    True: ("rad", "rad/s", "rad/s^2", "N m"),
    False: ("m", "m/s", "m/s^2", "N"),
}


def header(
    robot: Robot,
    family: str,
    domain: Domain | None,
    provenance: Provenance | None,
    step: StepMap | None = None,
    beside: Sequence[str] = (),
) -> list[str]:
    """Lines of plain text; `beside` are further ones."""
    lines = [f"{family} law of {robot.name}, written by worldlaw {metadata.version('worldlaw')}"]
    lines += [] if provenance is None else provenance.lines
    if domain is not None:
        reach = ", ".join(
            f"{axis} {'>= ' if axis in domain.at_least else ''}{r:.3g}"
            for axis, r in domain.reach.items()
        )
        lines.append(
            f"domain: within {domain.tolerance:.0%} of the model out to so many half-widths of "
            f"the region: {reach}"
        )
    if step is None:
        lines.append("acceleration: (q, v, tau) -> a")
    else:
        lines.append(f"step: dt = {step.dt!r} s, {step.scheme}, {step.substeps} sub-steps")
    lines += _coordinates(robot, step)
    return [*lines, *beside]


def _coordinates(robot: Robot, step: StepMap | None) -> list[str]:
    """Each joint's coordinates with their units, and the controls of a step."""
    lines = []
    for name, kind in zip(robot.independent_names, robot.independent_kinds, strict=True):
        at, dof = robot.q_slice(name), robot.v_slice(name)
        places = f"q{_numbers(at)}, v{_numbers(dof)}"
        if kind == "free":
            what = (
                "position [m] in the parent frame, then unit quaternion wxyz; v angular [rad/s] "
                "then linear [m/s], both in body axes"
            )
        elif kind == "spherical":
            what = "unit quaternion wxyz; v angular velocity in body axes [rad/s]"
        else:
            q, v, a, tau = _UNITS[kind in TURNING]
            what = f"[{q}], [{v}]; acceleration [{a}], joint force tau{_numbers(dof)} [{tau}]"
        lines.append(f"  {name} ({kind}): {places} {what}")
    if step is not None and robot.actuation is not None:
        names = ", ".join(robot.actuation.names)
        lines.append(f"  controls u: {names}, clipped and turned into joint forces in the code")
    return lines


def _numbers(at: slice) -> str:
    return f"{at.start + 1}" if at.stop == at.start + 1 else f"{at.start + 1}-{at.stop}"


def with_header(lines: Sequence[str], text: str, target: str) -> str:
    """Source text under its head."""
    mark = COMMENT[target]
    return "\n".join(f"{mark}{line}" for line in lines) + "\n\n" + text


def words_of(region: Any) -> str:
    """A region in one line: the ends of each group."""
    parts = []
    for group, ends in region.to_dict().items():
        if ends is not None:
            parts.append(f"{group} {ends}".replace("'", ""))
    return ", ".join(parts)
