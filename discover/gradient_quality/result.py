"""What `discover.gradients` gives: the numbers, one sentence, a page with figures; stored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from discover.artifacts import made, read_json, write_json, write_text
from discover.gradient_quality import figures
from discover.gradient_quality.records import EXACT, MODEL, Measured
from discover.judgement.thresholds import threshold
from discover.report.numbers import MISSING, count, distance, listing, number, relative
from discover.report.style import save

FILE, PAGE = "gradients.json", "gradients.md"
COSINES, TRUST = "gradient_cosines.png", "gradient_trust.png"
MINUS = "−"


@dataclass(frozen=True, kw_only=True, repr=False)
class GradientReport(Measured):
    """The answer of `discover.gradients`: its fields are those of `Measured`.

    By σ: `.cosine`, `.norm`, `.ceiling`, `.dead_share`; by length of step: `.trust`. By contender
    ("model", "exact", …): `.equivalent_sigma`, `.useful_radius`; `.by_direction` of the model;
    `.sentence` says where it can be used.
    """

    @property
    def sentence(self) -> str:
        """Where the model's gradients can be used for optimisation, in one sentence."""
        radius, sigma = self.useful_radius[MODEL], self.equivalent_sigma[MODEL]
        best = next(a for a in self.of(MODEL) if a.sigma == sigma)
        like = (
            f"they resemble those of the simulator smoothed with σ = {distance(sigma)} most "
            f"(cosine {_cos(best.cosine)}, worst tenth {_cos(best.cosine_p10)}, ceiling "
            f"{_cos(best.ceiling)})"
        )
        exact = self.useful_radius[EXACT]
        beside = (
            "the simulator's own can be followed nowhere"
            if exact == 0
            else f"the simulator's own can be followed for {distance(exact)}"
        )
        if radius > 0:
            least = " or more" if radius == max(self.radii) else ""
            return (
                f"Follow its gradients for steps of up to {distance(radius)} half-widths{least}; "
                f"{like}; {beside}."
            )
        return (
            "Do not follow its gradients: not even the shortest step measured "
            f"({distance(min(self.radii))} half-widths) keeps {threshold('gradients.trust'):g} of "
            f"its promise at {100 * threshold('gradients.share'):g} % of the starts; {like}; "
            f"{beside}."
        )

    def __repr__(self) -> str:
        lines = [f"gradients of {self.model} on {self.robot}: {self.objective}", self.sentence]
        lines += [f"  note: {n}" for n in self.notes]
        asked = ", ".join(f"{who} {n:,}" for who, n in self.queries.items())
        lines.append(f"  states asked: {asked}; {self.seconds:.1f} s of processor time")
        return "\n".join(lines)

    def save(self, directory: Path | str) -> Path:
        """Write gradients.json, gradients.md and the figures; returns the page. Raises
        OutputError."""
        directory = made(directory)
        write_json(directory / FILE, {"sentence": self.sentence, **self.to_dict()})
        save(figures.cosines(self), directory / COSINES)
        save(figures.trust(self), directory / TRUST)
        return write_text(directory / PAGE, self.page())

    def page(self) -> str:
        """The page as Markdown."""
        return "\n".join([f"# Gradients of {self.model}", "", *self.section()]) + "\n"

    def section(self) -> list[str]:
        """Sentence, figures, tables and method, without a heading: what another report shows."""
        lines = [
            f"**{self.sentence}**",
            "",
            f"Robot {self.robot}; {self.objective}; {count(self.starts, 'start')}. Lengths and σ "
            "are in half-widths of the region.",
            "",
            f"![Cosine with the smoothed simulator's gradient, by σ]({COSINES})",
            f"![Share of starts at which a promise is kept, by length of step]({TRUST})",
            "",
            "## Against the smoothed simulator",
            "",
            "| gradient | σ | cosine, median | worst tenth | ceiling | norm ratio | dead share |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        lines += [
            f"| {a.contender} | {distance(a.sigma)} | {_cos(a.cosine)} | {_cos(a.cosine_p10)} | "
            f"{_cos(a.ceiling)} | {number(a.norm)} | {relative(a.dead)} |"
            for a in self.agreements
        ]
        lines += [
            "",
            "## Steps along each gradient",
            "",
            "| gradient | step | promise kept at | fall over promised fall, median |",
            "|---|--:|--:|--:|",
        ]
        lines += [
            f"| {t.contender} | {distance(t.radius)} | {100 * t.share:.0f} % | {_ratio(t.ratio)} |"
            for t in self.trusts
        ]
        lines += [
            "",
            "Longest step that can be followed: "
            + listing([f"{n} {distance(r)}" for n, r in self.useful_radius.items()])
            + ".",
            "",
            "How far the model's change along one coordinate is right: "
            + ", ".join(f"{n} {distance(r)}" for n, r in self.by_direction.items())
            + ".",
            "",
            "## How this was measured",
            "",
            f"The reference is the gradient of the simulator smoothed by Gaussian noise, from "
            f"{self.pairs} antithetic pairs of values a start: it needs no derivative and is "
            "unbiased where the simulator jumps. The ceiling is the cosine that a perfect gradient "
            "would show against a sample of that size, from its two halves. *exact* is the "
            "simulator's own derivative, *first-order* the mean of its derivatives at noisy points "
            "with the same σ. A gradient is dead where it is shorter than "
            f"{threshold('gradients.dead'):g} of the smoothed one; starts at which nothing changes "
            "are left out. A promise is kept where the simulator's smoothed objective falls by at "
            f"least {threshold('gradients.trust'):g} of what the contender says; a step can be "
            f"followed where that holds at {100 * threshold('gradients.share'):g} % of the starts, "
            "for it and all shorter steps.",
        ]
        if self.differenced:
            who = listing(["simulator" if n == EXACT else n for n in self.differenced])
            lines += ["", f"No derivative of its own, central differences instead: {who}."]
        lines += ["", *(f"- {n}" for n in self.notes)] if self.notes else []
        asked = ", ".join(f"{who} {n:,}" for who, n in self.queries.items())
        lines += [
            "",
            f"States asked: {asked}; {self.seconds:.1f} s of processor time, seed {self.seed}.",
        ]
        return lines


def _cos(x: float) -> str:
    return MISSING if math.isnan(x) else f"{x:.2f}".replace("-", MINUS)


def _ratio(x: float | None) -> str:
    return "nothing promised" if x is None else f"{x:.2g}".replace("-", MINUS)


def load(directory: Path | str) -> GradientReport:
    """What `save` wrote. Raises OutputError."""
    stored = read_json(Path(directory) / FILE, "gradients of ours")
    return GradientReport.from_dict({k: x for k, x in stored.items() if k != "sentence"})
