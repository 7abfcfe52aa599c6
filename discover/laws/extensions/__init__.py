"""What a law may have beside rigid bodies; `contract` says how to add a kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from discover.laws.extensions.contract import LawExtension
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.extensions.memory import MemoryLaw
from discover.laws.extensions.surrogate_trigonometry import SurrogateTrigonometry
from discover.laws.extensions.terms import Term

# In the order in which `law.family` names them.
EXTENSIONS: tuple[type[LawExtension], ...] = (
    Term,
    StaticNonlinearity,
    SurrogateTrigonometry,
    MemoryLaw,
)

Kind = TypeVar("Kind", bound=LawExtension)


def of_kind(extensions: Iterable[LawExtension], kind: type[Kind]) -> tuple[Kind, ...]:
    """Those of one class, in order."""
    return tuple(x for x in extensions if isinstance(x, kind))


def records_of(extensions: Iterable[LawExtension]) -> dict[str, Any]:
    """JSON-able form: under the key of each class a list, or one record or None.

    Raises TypeError for an extension whose class is not one of EXTENSIONS.
    """
    listed = tuple(extensions)
    for x in listed:
        if type(x) not in EXTENSIONS:
            raise TypeError(f"expected extensions of EXTENSIONS, found {x!r}: add its class there")
    out: dict[str, Any] = {}
    for kind in EXTENSIONS:
        records = [x.to_dict() for x in of_kind(listed, kind)]
        out[kind.key] = records if kind.several else next(iter(records), None)
    return out


def extensions_from(record: dict[str, Any]) -> tuple[LawExtension, ...]:
    """The inverse of `records_of`; keys that are missing stand for none."""
    out: list[LawExtension] = []
    for kind in EXTENSIONS:
        stored = record.get(kind.key)
        records = stored if kind.several else [stored]
        out += [kind.from_dict(x) for x in records or () if x is not None]
    return tuple(out)


__all__ = ["EXTENSIONS", "LawExtension", "extensions_from", "of_kind", "records_of"]
