"""Where a law comes from: the model, the verdict on it, and the region in which it was asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What an exported law says of its origin.

    model    the name of the examined model
    verdict  the answer of the examination, with its confidence
    error    relative error of the law on held-out answers in the region; None where unknown
    region   the box of states and joint forces (or controls) in which the model was asked, in words
    date     of the examination, ISO 8601
    version  of worldlaw
    """

    model: str
    verdict: str
    error: float | None
    region: str
    date: str
    version: str

    @property
    def lines(self) -> list[str]:
        """For the head of a file."""
        error = "" if self.error is None else f", relative error {self.error:.2g} in the region"
        return [
            f"taken from {self.model} by worldlaw {self.version}"
            + (f" on {self.date}" if self.date else ""),
            f"verdict: {self.verdict}{error}",
            f"region: {self.region}",
        ]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Provenance:
        """The inverse of `to_dict`."""
        return cls(**record)
