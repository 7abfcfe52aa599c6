"""Laws: what a model computes, fitted to its answers, as programs that can be read and run."""

from __future__ import annotations

from collections.abc import Callable

from discover.errors import CheckpointError
from discover.laws.constant import ConstantLaw
from discover.laws.contract import Complexity, Domain, Law
from discover.laws.rigid_body.law import RigidBodyLaw

__all__ = ["Complexity", "ConstantLaw", "Domain", "Law", "RigidBodyLaw", "from_dict"]

_KINDS: dict[str, Callable[[dict], Law]] = {
    "rigid body": RigidBodyLaw.from_dict,
    "constant": ConstantLaw.from_dict,
}


def from_dict(record: dict) -> Law:
    """The law that `law.to_dict()` described. Raises CheckpointError for anything else."""
    kind = record.get("kind") if isinstance(record, dict) else None
    if kind not in _KINDS:
        raise CheckpointError(
            f"expected a stored law of kind {sorted(_KINDS)}, found {kind!r}: "
            "was law.json written by another version?"
        )
    try:
        return _KINDS[kind](record)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"expected a whole law, found one without {error}") from error
