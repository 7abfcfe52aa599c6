"""Evidence: one measured number, how sure we are of it, and what it speaks for.

This module and `verdict` know nothing of torch or models: a verdict can be computed again from
the numbers in evidence.json alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One finding.

    name        what was measured, in words that stay stable (the verdict reads it by name)
    value       the number
    interval    (low, high), where the number lies with about 95 % confidence
    null        what the number would be if there were nothing to find
    threshold   where the finding turns, from thresholds.toml; None for a mere description
    supports    the answers that it speaks for ("physics", …); empty when it is only descriptive
    meaning     one plain sentence
    """

    name: str
    value: float
    interval: tuple[float, float]
    null: float | None = None
    threshold: float | None = None
    supports: tuple[str, ...] = ()
    meaning: str = ""

    def to_dict(self) -> dict:
        """JSON-able form; numbers that JSON cannot hold become strings ("inf", "nan")."""
        record = asdict(self)
        record["interval"] = [number_to_json(x) for x in self.interval]
        record["supports"] = list(self.supports)
        for key in ("value", "null", "threshold"):
            record[key] = number_to_json(record[key])
        return record

    @classmethod
    def from_dict(cls, record: dict) -> Evidence:
        low, high = record["interval"]
        return cls(
            name=record["name"],
            value=number_from_json(record["value"]),
            interval=(number_from_json(low), number_from_json(high)),
            null=_optional(record.get("null")),
            threshold=_optional(record.get("threshold")),
            supports=tuple(record.get("supports", ())),
            meaning=record.get("meaning", ""),
        )


def number_to_json(x: float | None) -> float | str | None:
    """A number as strict JSON can hold it."""
    if x is None or math.isfinite(x):
        return x
    return str(float(x))


def number_from_json(x: float | str) -> float:
    """The inverse of `number_to_json`."""
    return float(x)


def _optional(x: float | str | None) -> float | None:
    return None if x is None else float(x)
