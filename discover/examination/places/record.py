"""What is stored and told of laws of parts: on one side of a surface, of all joints but one, or
along v and tau but not along q."""

from __future__ import annotations

from dataclasses import dataclass

from discover.records import Stored


@dataclass(frozen=True, kw_only=True)
class Places(Stored):
    """Two laws in words and numbers.

    inside       what holds in the region: "physics" (rigid bodies with joint terms) or "a law"
    outside      the law beyond the surface, in words
    quantity     whose level the surface is, with its unit; `groups`, of q, v and tau, it depends on
    level        of the quantity at the surface; the other law holds "above" or "below" it (`side`)
    width        of the change from one law to the other (logistic), on the scale of the quantity
    error_inside, error_outside   relative errors of the two laws on fresh answers on their sides,
                 beyond noise
    agreement    share of fresh answers that follow the law of their side
    """

    inside: str
    outside: str
    quantity: str
    unit: str
    groups: list[str]
    level: float
    side: str
    width: float
    error_inside: float
    error_outside: float
    agreement: float

    @property
    def where(self) -> str:
        """The place of the outer law."""
        unit = f" {self.unit}" if self.unit else ""
        sign = ">" if self.side == "above" else "<"
        return f"where {self.quantity} {sign} {self.level:.3g}{unit}"

    @property
    def told(self) -> str:
        """The outer law and its place."""
        return f"{self.outside}, {self.where}"

    @property
    def headline(self) -> str:
        """In half a line."""
        return f"{self.inside} inside, another law {self.where}"

    def __str__(self) -> str:
        soft = f", over about ±{2 * self.width:.1g}" if self.width > 0 else ", sharply"
        inner = "rigid bodies hold" if self.inside == "physics" else "one law holds"
        return (
            f"Two laws, and no table: {inner} {_to(self.error_inside)} on fresh answers on this "
            f"side of a surface, past the region's edge as well; another law, {self.where}{soft}: "
            f"{self.outside}, {_to(self.error_outside)}. {self.agreement:.0%} of fresh answers "
            "follow the law of their side."
        )


@dataclass(frozen=True, kw_only=True)
class JointApart(Stored):
    """One joint whose answers follow no law, while those of all others do.

    joint       its place, from 0
    others      what the others follow: "physics" (rigid bodies with joint terms) or "a law"
    error, error_far   of their law on held-out answers in the region (standardised), and far out
                (relative, beyond noise, on the worst axis)
    """

    joint: int
    others: str
    error: float
    error_far: float

    @property
    def headline(self) -> str:
        """In half a line."""
        return f"{self.others} in all joints but {self.joint + 1}, which follows no law"

    @property
    def told(self) -> dict[str, str]:
        """What each part follows."""
        return {"other joints": self.others, f"joint {self.joint + 1}": "no law"}

    def __str__(self) -> str:
        alone = f"joint {self.joint + 1}"
        return (
            f"All joints but {alone} follow one law in the region, to {self.error:.1g}, and far "
            f"out, {_to(self.error_far)}; the answers of {alone} follow none."
        )


def _to(error: float) -> str:
    """How closely, in words: an error beyond noise that is zero is noise."""
    return f"to {error:.1g}" if error > 0 else "to its noise"
