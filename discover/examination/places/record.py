"""What is stored and told of two laws, each on its side of a surface."""

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
            f"Two laws, and no table: {inner} to {self.error_inside:.1g} on fresh answers on this "
            f"side of a surface, past the region's edge as well; another law, {self.where}{soft}: "
            f"{self.outside}, to {self.error_outside:.1g}. {self.agreement:.0%} of fresh answers "
            "follow the law of their side."
        )
