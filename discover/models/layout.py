"""The layout of a robot's coordinates: all that a model knows of the robot.

A layout is two tuples, kinds and parents of the joints. The maps below (which numbers of q are
angles, features of a quaternion, adding a displacement to a configuration) do not import the
simulator's, so that no trainable model contains its physics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from discover.errors import ModelError

# joint kind -> (numbers in q, numbers in v)
SIZES: dict[str, tuple[int, int]] = {
    "revolute": (1, 1),
    "continuous": (1, 1),
    "prismatic": (1, 1),
    "spherical": (4, 3),
    "free": (7, 6),
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Kinds and parents of the joints, in coordinate order.

    kinds: one of `SIZES` a joint. parents: parent joint of each joint, -1 for the base.
    Raises ModelError on an unknown kind or a parent that does not come before its child.
    """

    kinds: tuple[str, ...]
    parents: tuple[int, ...]

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in SIZES:
                raise ModelError(f"joint kind '{kind}' unknown; expected one of {', '.join(SIZES)}")
        if len(self.parents) != len(self.kinds):
            raise ModelError(
                f"expected one parent a joint, found {len(self.parents)} parents for "
                f"{len(self.kinds)} joints; give -1 for joints on the base"
            )
        for joint, parent in enumerate(self.parents):
            if not -1 <= parent < joint:
                raise ModelError(
                    f"joint {joint} has parent {parent}; expected -1 or an earlier joint"
                )

    @classmethod
    def plain(cls, nv: int) -> Layout:
        """A serial chain of nv one-number joints: the default where the joints are unknown."""
        return cls(kinds=("revolute",) * nv, parents=tuple(range(-1, nv - 1)))

    @classmethod
    def of(cls, kinds: Sequence[str], parents: Sequence[int]) -> Layout:
        return cls(kinds=tuple(kinds), parents=tuple(int(p) for p in parents))

    @property
    def nq(self) -> int:
        return sum(SIZES[kind][0] for kind in self.kinds)

    @property
    def nv(self) -> int:
        return sum(SIZES[kind][1] for kind in self.kinds)

    @property
    def euclidean(self) -> bool:
        """Whether q is a plain vector with nq = nv (no quaternions)."""
        return self.nq == self.nv

    def joints(self) -> Iterator[tuple[str, slice, slice]]:
        """(kind, slice of q, slice of v) of each joint."""
        iq = iv = 0
        for kind in self.kinds:
            nq, nv = SIZES[kind]
            yield kind, slice(iq, iq + nq), slice(iv, iv + nv)
            iq, iv = iq + nq, iv + nv

    def to_dict(self) -> dict[str, Any]:
        return {"kinds": list(self.kinds), "parents": list(self.parents)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Layout:
        return cls.of(data["kinds"], data["parents"])


def joint_features(kind: str, q: Tensor, trig: bool) -> Tensor:
    """Features of one joint's coordinates q (…, nq_joint).

    Angles stay raw or become (sine, cosine); quaternions always become the nine entries of their
    rotation matrix, since q and -q are one orientation; lengths stay raw.
    """
    if kind in ("revolute", "continuous"):
        return torch.cat((torch.sin(q), torch.cos(q)), dim=-1) if trig else q
    if kind == "prismatic":
        return q
    rotation = rotation_entries(q[..., -4:])
    return rotation if kind == "spherical" else torch.cat((q[..., :3], rotation), dim=-1)


def features(layout: Layout, q: Tensor, trig: bool) -> Tensor:
    """Features of a configuration q (…, nq), joint after joint."""
    if layout.euclidean and not trig:
        return q
    parts = [joint_features(kind, q[..., iq], trig) for kind, iq, _ in layout.joints()]
    return torch.cat(parts, dim=-1)


def rotation_entries(quaternion: Tensor) -> Tensor:
    """The nine entries of the rotation matrix of a quaternion wxyz (…, 4), normalised first."""
    w, x, y, z = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    return torch.stack(
        (
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ),
        dim=-1,
    )  # fmt: skip


def left_derivatives(layout: Layout, q: Tensor, trig: bool) -> tuple[Tensor, Tensor]:
    """Features (…, m) of q (…, nq), and their rates (…, nv, m) for a unit of each velocity.

    Row k is the derivative of features(advance(q, s e_k)) at s = 0: of an angle or a length the
    ordinary one, of an orientation the one along the body's own axis (a left-invariant vector
    field), so that the rate along a motion is v @ rows.
    """
    parts, rates = [], []
    for kind, iq, iv in layout.joints():
        x = q[..., iq]
        parts.append(joint_features(kind, x, trig))
        m, n = parts[-1].shape[-1], iv.stop - iv.start
        if kind in ("spherical", "free"):
            rate = q.new_zeros(*q.shape[:-1], n, m)
            rotation = rotation_entries(x[..., -4:]).unflatten(-1, (3, 3))
            # the rate of R turning about its own axis k is R times the cross matrix of e_k
            turned = torch.einsum("...ij,kjl->...kil", rotation, _cross_matrices(q))
            rate[..., :3, -9:] = turned.flatten(-2)
            if kind == "free":
                rate[..., 3:, :3] = rotation.mT
        elif trig and kind != "prismatic":
            rate = torch.cat((torch.cos(x), -torch.sin(x)), dim=-1).unsqueeze(-2)
        else:
            rate = torch.ones_like(x).unsqueeze(-2)
        rates.append(rate)
    m = sum(part.shape[-1] for part in parts)
    rows, start = [], 0
    for rate in rates:
        wide = rate.shape[-1]
        rows.append(nn.functional.pad(rate, (start, m - start - wide)))
        start += wide
    return torch.cat(parts, dim=-1), torch.cat(rows, dim=-2)


def turning_of_momentum(layout: Layout, v: Tensor, p: Tensor) -> Tensor:
    """Rate of a momentum p (…, nv), given in the axes of moving bodies, due to their motion.

    The term of Hamel's equations that ordinary coordinates do not have: zero for angles and
    lengths; p × ω for an orientation with body-frame ω; for a free body with p = (h, l) and
    v = (ω, u): h × ω + l × u and l × ω (Euler, Poincaré, Kirchhoff).
    """
    turned = torch.zeros_like(p)
    for kind, _, iv in layout.joints():
        if kind not in ("spherical", "free"):
            continue
        w, h = v[..., iv][..., :3], p[..., iv][..., :3]
        change = torch.linalg.cross(h, w)
        if kind == "free":
            u, linear = v[..., iv][..., 3:], p[..., iv][..., 3:]
            change = torch.cat(
                (change + torch.linalg.cross(linear, u), torch.linalg.cross(linear, w)), dim=-1
            )
        turned[..., iv] = change
    return turned


def _cross_matrices(like: Tensor) -> Tensor:
    """The matrices E_k (3, 3, 3) with E_k x = e_k × x."""
    e = torch.zeros(3, 3, 3, dtype=like.dtype, device=like.device)
    for k, i, j in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        e[k, j, i], e[k, i, j] = 1.0, -1.0
    return e


def _exponential(rotation: Tensor) -> Tensor:
    """Unit quaternion wxyz of a rotation vector (…, 3)."""
    half = 0.5 * rotation
    angle = half.square().sum(-1, keepdim=True).clamp_min(1e-24).sqrt()
    return torch.cat((torch.cos(angle), half * torch.sin(angle) / angle), dim=-1)


def _logarithm(quaternion: Tensor) -> Tensor:
    """Rotation vector (…, 3), at most half a turn long, of a unit quaternion wxyz."""
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    sine = quaternion[..., 1:].square().sum(-1, keepdim=True).clamp_min(1e-24).sqrt()
    return 2 * quaternion[..., 1:] * torch.atan2(sine, quaternion[..., :1]) / sine


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Quaternion product a b, wxyz."""
    aw, av, bw, bv = a[..., :1], a[..., 1:], b[..., :1], b[..., 1:]
    w = aw * bw - (av * bv).sum(-1, keepdim=True)
    return torch.cat((w, aw * bv + bw * av + torch.linalg.cross(av, bv)), dim=-1)


def _turn(quaternion: Tensor, vector: Tensor) -> Tensor:
    """Body-frame vector (…, 3) seen in the parent frame."""
    rotation = rotation_entries(quaternion).unflatten(-1, (3, 3))
    return (rotation @ vector.unsqueeze(-1)).squeeze(-1)


def advance(layout: Layout, q: Tensor, step: Tensor) -> Tensor:
    """Add a displacement step (…, nv) to a configuration q (…, nq).

    One-number joints add. Quaternions turn by the body-frame rotation vector. A free joint moves
    its position by the body-frame displacement turned into the parent frame of the start.
    """
    if layout.euclidean:
        return q + step
    parts = []
    for kind, iq, iv in layout.joints():
        old, change = q[..., iq], step[..., iv]
        if kind in ("spherical", "free"):
            turned = _product(old[..., -4:], _exponential(change[..., :3]))
            turned = turned / turned.norm(dim=-1, keepdim=True)
            if kind == "free":
                place = old[..., :3] + _turn(old[..., 3:], change[..., 3:])
                turned = torch.cat((place, turned), dim=-1)
            parts.append(turned)
        else:
            parts.append(old + change)
    return torch.cat(parts, dim=-1)


def displacement(layout: Layout, q: Tensor, q_next: Tensor) -> Tensor:
    """The step (…, nv) with advance(layout, q, step) = q_next: the inverse of `advance`."""
    if layout.euclidean:
        return q_next - q
    parts = []
    for kind, iq, _ in layout.joints():
        old, new = q[..., iq], q_next[..., iq]
        if kind in ("spherical", "free"):
            inverse = old[..., -4:] * old.new_tensor((1.0, -1.0, -1.0, -1.0))
            change = _logarithm(_product(inverse, new[..., -4:]))
            if kind == "free":
                shift = _turn(inverse, new[..., :3] - old[..., :3])
                change = torch.cat((change, shift), dim=-1)
            parts.append(change)
        else:
            parts.append(new - old)
    return torch.cat(parts, dim=-1)
