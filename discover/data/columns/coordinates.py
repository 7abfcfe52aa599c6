"""From the channels of a log to the robot's coordinates, in SI units, on the joints' side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from discover.data.columns.channels import Channels
from discover.data.settings import Column, LogLayout
from discover.errors import DatasetError

if TYPE_CHECKING:
    from kinematics import Robot

Array = NDArray[np.float64]
_TURN, _TURNS = ("revolute", "continuous"), 2 * np.pi
# unit: factor to SI, and whether it turns (None: either)
UNITS: dict[str, dict[str, tuple[float, bool | None]]] = {
    "q": {
        "rad": (1.0, True), "deg": (np.pi / 180, True), "rev": (_TURNS, True), "mrad": (1e-3, True),
        "m": (1.0, False), "cm": (1e-2, False), "mm": (1e-3, False),
    },
    "v": {
        "rad/s": (1.0, True), "deg/s": (np.pi / 180, True), "rev/s": (_TURNS, True),
        "rpm": (_TURNS / 60, True), "m/s": (1.0, False), "cm/s": (1e-2, False),
        "mm/s": (1e-3, False),
    },
    "tau": {
        "N*m": (1.0, True), "Nm": (1.0, True), "mN*m": (1e-3, True), "N*mm": (1e-3, True),
        "N*cm": (1e-2, True), "kgf*cm": (9.80665e-2, True), "N": (1.0, False), "kN": (1e3, False),
        "A": (1.0, None), "mA": (1e-3, None), "V": (1.0, None), "1": (1.0, None), "%": (1e-2, None),
    },
}  # fmt: skip


def joint_side(
    path: Path, layout: LogLayout, channels: Channels, robot: Robot | None = None
) -> tuple[Array, Array | None, Array]:
    """q (N, nq), v (N, nv) or None, tau (N, nv) of a log, in the order of the robot's joints.

    motor positions θ = R q give q = R⁻¹ θ + zero, v = R⁻¹ θ̇ and tau = Rᵀ τ_motor - offset. A free
    base comes first and has no joint forces. Raises DatasetError.
    """
    columns = layout.columns
    order = _order(layout, robot)
    q = _group(layout, channels, "q", columns.q, order, robot)
    tau = _group(layout, channels, "tau", columns.tau, order, robot)
    v = None
    if columns.v is not None:
        v = _group(layout, channels, "v", columns.v, order, robot)
    if layout.unwrap:
        q = np.unwrap(q, axis=0)
    if layout.reduction is not None:
        ratio = _ratio(layout, len(columns.q))
        inverse = np.linalg.inv(ratio)
        q, tau = q @ inverse.T, tau @ ratio
        v = None if v is None else v @ inverse.T
    q = q + _each(layout.zero, len(columns.q), "zero")
    tau = tau - _each(layout.offset, len(columns.tau), "offset")
    if not layout.unwrap:
        _refuse_jumps(path, columns.q, q)
    q, tau = q[:, order], tau[:, order]
    v = None if v is None else v[:, order]
    if columns.base is None:
        return q, v, tau
    base, twist = _base(path, layout, channels)
    known = twist is not None and (v is not None or not columns.q)
    joined = None
    if known:
        assert twist is not None
        joined = twist if v is None else np.hstack([twist, v])
    return np.hstack([base, q]), joined, np.hstack([np.zeros((len(tau), 6)), tau])


def _order(layout: LogLayout, robot: Robot | None) -> list[int]:
    """Where the robot's joints lie among the columns. Raises DatasetError where they do not fit."""
    n = len(layout.columns.q)
    if layout.joints is not None and len(layout.joints) != n:
        raise DatasetError(
            f"recording.joints: expected {n} names, one a column of q, found {len(layout.joints)}"
        )
    if robot is None:
        return list(range(n))
    pairs = zip(robot.independent_names, robot.independent_kinds, strict=True)
    based = layout.columns.base is not None
    names = [name for k, (name, kind) in enumerate(pairs) if not (based and k == 0)]
    if based != (robot.independent_kinds[0] == "free"):
        raise DatasetError(
            "recording.columns.base: expected one for a robot with a free base, and none "
            f"otherwise; found {'one' if based else 'none'} for {robot.name}: load it with "
            f"root = {'free' if based else 'fixed'!r}, or map the base"
        )
    if layout.joints is not None:
        for name in layout.joints:
            if name not in names:
                raise DatasetError(
                    f"recording.joints: expected joints of {robot.name} ({', '.join(names)}), "
                    f"found {name!r}"
                )
        absent = [name for name in names if name not in layout.joints]
        if absent:
            raise _unlogged(names, n, absent)
        return [layout.joints.index(name) for name in names]
    if len(names) != n or "spherical" in robot.independent_kinds:
        raise _unlogged(names, n, names[n:] if len(names) > n else [])
    return list(range(n))


def _unlogged(names: list[str], n: int, absent: list[str]) -> DatasetError:
    lock = ", ".join(f"{name} = 0" for name in absent[:3]) + (", …" if len(absent) > 3 else "")
    mend = f"; lock the joints that were not logged: lock = {{{lock}}}" if absent else ""
    return DatasetError(
        f"recording: expected {len(names)} columns for q, v and tau (joints "
        f"{', '.join(names)}), found {n}{mend}"
    )


def _group(
    layout: LogLayout,
    channels: Channels,
    what: str,
    columns: tuple[Column, ...],
    order: list[int],
    robot: Robot | None,
) -> Array:
    """(N, n) of one group in SI units."""
    if not columns:
        return np.zeros((len(channels.time), 0))
    factors = np.ones(len(columns))
    words = getattr(layout.units, what)
    if words is not None:
        units = [words] * len(columns) if isinstance(words, str) else list(words)
        if len(units) != len(columns):
            raise DatasetError(
                f"recording.units.{what}: expected one unit or {len(columns)}, found {len(units)}"
            )
        kinds = _kinds(layout, order, robot, len(columns))
        factors = np.array([_unit(what, *pair) for pair in zip(units, kinds, strict=True)])
    factors = factors * _each(getattr(layout.scale, what), len(columns), f"scale.{what}")
    return np.stack([channels.values[column] for column in columns], axis=1) * factors


def _kinds(layout: LogLayout, order: list[int], robot: Robot | None, n: int) -> list[str | None]:
    """The kind of joint of each column; None where a motor may turn what slides."""
    if robot is None or layout.reduction is not None:
        return [None] * n
    kinds: list[str | None] = [None] * n
    own = [kind for kind in robot.independent_kinds if kind != "free"]
    for kind, column in zip(own, order, strict=True):
        kinds[column] = kind
    return kinds


def _unit(what: str, unit: str, kind: str | None) -> float:
    known = UNITS[what]
    if unit not in known:
        raise DatasetError(
            f"recording.units.{what}: expected one of {', '.join(known)}, found {unit!r}"
        )
    factor, turns = known[unit]
    if kind is not None and turns is not None and turns != (kind in _TURN):
        raise DatasetError(
            f"recording.units.{what}: {unit!r} does not fit a {kind} joint; give one unit a joint"
        )
    return factor


def _each(value: float | tuple[float, ...], n: int, what: str) -> Array:
    factors = np.asarray(value, dtype=float)
    if factors.ndim and len(factors) != n:
        raise DatasetError(f"recording.{what}: expected one number or {n}, found {len(factors)}")
    return np.broadcast_to(factors, (n,))


def _ratio(layout: LogLayout, n: int) -> Array:
    """R (n, n), motor angle = R · joint angle. Raises DatasetError where it has no inverse."""
    given: Any = layout.reduction
    try:
        ratio = np.array(given, dtype=float)
    except ValueError:
        ratio = np.zeros(0)
    ratio = np.diag(ratio) if ratio.ndim == 1 else ratio
    if ratio.shape != (n, n):
        raise DatasetError(
            f"recording.reduction: expected {n} gears or a matrix of {n} x {n}, found "
            f"{' x '.join(map(str, ratio.shape))}"
        )
    if np.linalg.cond(ratio) > 1e12:
        raise DatasetError(
            "recording.reduction: expected a matrix that has an inverse, found a singular one; "
            "motor angle = R · joint angle"
        )
    return ratio


def _refuse_jumps(path: Path, names: tuple[Column, ...], q: Array) -> None:
    """Raises DatasetError where q jumps by more than half a turn between samples."""
    rows, places = np.nonzero(np.abs(np.diff(q, axis=0)) > np.pi)
    if rows.size:
        raise DatasetError(
            f"recording {path}: column {names[places[0]]!r} leaps by more than half a turn in row "
            f"{rows[0] + 2}; set recording.unwrap = true, or correct recording.scale.q"
        )


def _base(path: Path, layout: LogLayout, channels: Channels) -> tuple[Array, Array | None]:
    """Position and quaternion wxyz (N, 7), of continuous sign; body twist (N, 6), or None."""
    from kinematics.spatial.rotations import quaternion_conjugate, rotate_by_quaternion

    base = layout.columns.base
    assert base is not None

    def stack(columns: tuple[Column, ...]) -> Array:
        return np.stack([channels.values[column] for column in columns], axis=1)

    quaternion = stack(base.quaternion)
    if base.order == "xyzw":
        quaternion = quaternion[:, [3, 0, 1, 2]]
    norm = np.linalg.norm(quaternion, axis=1)
    bad = np.flatnonzero(np.abs(norm - 1) > 0.05)
    if bad.size:
        raise DatasetError(
            f"recording {path}: expected unit quaternions in {', '.join(map(str, base.quaternion))}"
            f", found one of length {norm[bad[0]]:g} in row {bad[0] + 1}; check the columns"
        )
    quaternion = quaternion / norm[:, None]
    flips = np.sign((quaternion[1:] * quaternion[:-1]).sum(axis=1))
    quaternion[1:] *= np.cumprod(np.where(flips < 0, -1.0, 1.0))[:, None]
    pose = np.hstack([stack(base.position), quaternion])
    if base.angular is None or base.linear is None:
        return pose, None
    angular, linear = stack(base.angular), stack(base.linear)
    if base.frame == "world":
        back = quaternion_conjugate(torch.from_numpy(quaternion))
        angular, linear = (
            rotate_by_quaternion(back, torch.from_numpy(x)).numpy() for x in (angular, linear)
        )
    return pose, np.hstack([angular, linear])
