"""Does a model answer the same to everything far out?

Motion that stops beyond some speed or place is flat there, as a table is far from its samples. But
a network that was trained on a region still answers differently to different forces beyond it, and
where nothing moves at all the place at which its law ended says more.
"""

from __future__ import annotations

from torch import Tensor

from discover.blackbox.session import QuerySession

_FAR = (9.0, 11.0)  # half-widths, as for the curvature
_ASKED = 24
_MOST = 0.5  # of the answers, that are one where a model stands still
_ALIKE = 1e-3  # of the spread in the region, beyond noise


def standstill(session: QuerySession, scale: Tensor, floor: float) -> bool:
    """Whether most answers far out along q or along v are one, whatever the rest of the question.

    scale (nv,) of accelerations in the region; `floor` is the noise in units of it.
    """
    for axis in ("q", "v"):
        a = session.shell(axis, *_FAR, _ASKED).a
        away = (a - a.median(0).values).abs() / scale
        if float((away < _ALIKE + 3 * floor).all(-1).double().mean()) > _MOST:
            return True
    return False
