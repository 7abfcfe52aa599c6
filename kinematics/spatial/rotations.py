"""Rotations: matrices, rotation vectors, unit quaternions (wxyz)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kinematics.arrays import Array, namespace


def clean(rotation: np.ndarray, tolerance: float = 1e-15) -> np.ndarray:
    """Snap entries within ``tolerance`` of 0 and ±1: right angles written with 16 digits.

    Only inputs are cleaned, never computed results, so accuracy is not at stake and traced
    programs keep their exact zeros.
    """
    out = np.array(rotation, dtype=float)
    for value in (0.0, 1.0, -1.0):
        out[np.abs(out - value) < tolerance] = value
    return out


def about_axis(axis: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """Rotation matrices (..., 3, 3) about unit axes (..., 3) by angles (...) [rad].

    Rodrigues' formula; what the matrix turns is turned to the right about the axis.
    """
    x, y, z = axis[..., 0], axis[..., 1], axis[..., 2]
    o = np.zeros_like(x)
    k = np.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*axis.shape[:-1], 3, 3)
    s, c = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
    return np.eye(3) + s * k + (1 - c) * (k @ k)


def quaternion_of_matrix(rotation: np.ndarray) -> np.ndarray:
    """The unit quaternion (4,), wxyz with w >= 0, of a rotation matrix (3, 3).

    Its largest component is found first, which loses no digits at any angle (Shepperd 1978).
    """
    r = rotation
    squares = np.array([np.trace(r), r[0, 0], r[1, 1], r[2, 2]])
    largest = int(np.argmax(squares))
    w = np.array([1 + np.trace(r), r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    if largest:
        i = largest - 1
        w = np.concatenate([w[largest : largest + 1], r[:, i] + r[i]])
        w[largest] = 1 + 2 * r[i, i] - np.trace(r)
    unit: np.ndarray = w / np.linalg.norm(w)
    return -unit if unit[0] < 0 else unit


def angles_of_matrix(rotation: np.ndarray) -> tuple[float, float, float]:
    """Roll, pitch and yaw [rad] of a rotation matrix (3, 3) = Rz(yaw) Ry(pitch) Rx(roll).

    Roll is measured after yaw is undone, so that where pitch is a right angle, and only their sum
    or difference is determined, both together still give the matrix to rounding.
    """
    r = rotation
    yaw = np.arctan2(r[1, 0], r[0, 0])
    s, c = np.sin(yaw), np.cos(yaw)
    pitch = np.arctan2(-r[2, 0], c * r[0, 0] + s * r[1, 0])
    roll = np.arctan2(s * r[0, 2] - c * r[1, 2], c * r[1, 1] - s * r[0, 1])
    return float(roll), float(pitch), float(yaw)


def matrix_of_angles(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """The rotation matrix (3, 3) Rz(yaw) Ry(pitch) Rx(roll) of angles [rad], as URDF has it."""
    (sr, cr), (sp, cp), (sy, cy) = ((np.sin(x), np.cos(x)) for x in (roll, pitch, yaw))
    return np.array(
        [
            [cp * cy, sp * (sr * cy) - cr * sy, sp * (cr * cy) + sr * sy],
            [cp * sy, sp * (sr * sy) + cr * cy, sp * (cr * sy) - sr * cy],
            [-sp, cp * sr, cp * cr],
        ]
    )


def matrix_of_quaternion(quaternion: Array) -> Array:
    """Rotation matrices (n, 3, 3, B) of unit quaternions (n, 4, B), wxyz, child to parent.

    Without a batch, (n, 3, 3) of (n, 4).
    """
    xp = namespace(quaternion)
    w, x, y, z = (quaternion[:, k] for k in range(4))
    x2, y2, z2 = x + x, y + y, z + z
    xx, yy, zz = x * x2, y * y2, z * z2
    xy, xz, yz = x * y2, x * z2, y * z2
    wx, wy, wz = w * x2, w * y2, w * z2
    rows = (
        (1 - (yy + zz), xy - wz, xz + wy),
        (xy + wz, 1 - (xx + zz), yz - wx),
        (xz - wy, yz + wx, 1 - (xx + yy)),
    )
    return xp.stack([xp.stack(row, axis=1) for row in rows], axis=1)


def quaternion_product(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of quaternions (..., 4), wxyz."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ),
        dim=-1,
    )


def quaternion_conjugate(q: Tensor) -> Tensor:
    """Inverse of unit quaternions (..., 4)."""
    return torch.cat((q[..., :1], -q[..., 1:]), dim=-1)


def rotate_by_quaternion(q: Tensor, x: Tensor) -> Tensor:
    """Vectors (..., 3) turned by unit quaternions (..., 4)."""
    axis, w = q[..., 1:], q[..., :1]
    t = 2 * torch.linalg.cross(axis, x)
    return x + w * t + torch.linalg.cross(axis, t)


def exp_quaternion(vector: Tensor) -> Tensor:
    """Unit quaternion (..., 4) of a rotation vector (..., 3) [rad]; smooth at zero."""
    square = (vector * vector).sum(-1, keepdim=True)
    small = square < 1e-6
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    # sin(θ/2)/θ, by its series near zero so that values and gradients stay finite
    series = 0.5 - square / 48 + square * square / 3840
    scale = torch.where(small, series, torch.sin(angle / 2) / angle)
    cosine = torch.where(small, 1 - square / 8 + square * square / 384, torch.cos(angle / 2))
    return torch.cat((cosine, scale * vector), dim=-1)


def log_quaternion(q: Tensor) -> Tensor:
    """Rotation vector (..., 3) [rad], of length at most π, of unit quaternions (..., 4)."""
    q = torch.where(q[..., :1] < 0, -q, q)
    vector, w = q[..., 1:], q[..., :1]
    square = (vector * vector).sum(-1, keepdim=True)
    small = square < 1e-10
    norm = torch.where(small, torch.ones_like(square), square).sqrt()
    scale = torch.where(small, 2 / w * (1 - square / (3 * w * w)), 2 * torch.atan2(norm, w) / norm)
    return scale * vector


def exp_coefficients(vector: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """sin θ/θ, (1 - cos θ)/θ², (θ - sin θ)/θ³ of rotation vectors (..., 3), smooth at zero."""
    square = (vector * vector).sum(-1, keepdim=True)
    small = square < 1e-4
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    first = torch.where(
        small, 1 - square / 6 + square**2 / 120 - square**3 / 5040, torch.sin(angle) / angle
    )
    half = torch.sin(angle / 2) / (angle / 2)
    second = torch.where(small, 0.5 - square / 24 + square**2 / 720, half * half / 2)
    third = torch.where(
        small, 1 / 6 - square / 120 + square**2 / 5040, (angle - torch.sin(angle)) / angle**3
    )
    return first, second, third


def left_jacobian(vector: Tensor, x: Tensor) -> Tensor:
    """V(φ) x for rotation vectors φ and vectors x (..., 3): ∫₀¹ exp(s φ) x ds."""
    _, b, c = exp_coefficients(vector)
    first = torch.linalg.cross(vector, x)
    return x + b * first + c * torch.linalg.cross(vector, first)


def left_jacobian_inverse(vector: Tensor, x: Tensor) -> Tensor:
    """V(φ)⁻¹ x for rotation vectors φ (|φ| < 2π) and vectors x (..., 3)."""
    a, b, _ = exp_coefficients(vector)
    square = (vector * vector).sum(-1, keepdim=True)
    small = square < 1e-4
    safe = torch.where(small, torch.ones_like(square), square)
    series = 1 / 12 + square / 720 + square**2 / 30240
    coefficient = torch.where(small, series, (1 - a / (2 * b)) / safe)
    first = torch.linalg.cross(vector, x)
    return x - first / 2 + coefficient * torch.linalg.cross(vector, first)
