"""What an examination of contact found: modes, surfaces, the hybrid law, a page about them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from discover.artifacts import made, write_json, write_text
from discover.contacts import figures
from discover.contacts.hybrid import HybridLaw
from discover.contacts.modes import Mode
from discover.contacts.surfaces import Surface
from discover.report.style import save

_EXPLAINED = 0.05  # share of touches that may be left over
_TOUCHED = 0.01  # share of a mode in the region, under which it does not decide


@dataclass(frozen=True, kw_only=True, repr=False)
class ContactExamination:
    """A model that met contact, examined.

    law          `HybridLaw`: call it, print it, export it
    surfaces     what is touched, see `Surface`; modes, see `Mode`
    touching     share of the states at rest that are in contact; unexplained, of these, what no
                 surface explains
    rivals       relative error of each law of touch on fresh touches
    queries      states asked; seconds of process time; seed
    """

    law: HybridLaw
    surfaces: tuple[Surface, ...]
    modes: tuple[Mode, ...]
    touching: float
    unexplained: float
    rivals: dict[str, float]
    queries: int
    seconds: float
    seed: int
    robot_name: str

    @property
    def verdict(self) -> str:
        """ "physics": the law holds in every mode that matters, to three times the speed; "lookup
        table": neither free motion nor touch is a law; else "undetermined"."""
        known = [m for m in self.modes if m.share >= _TOUCHED or m.name == "free"]
        words = [m.verdict for m in known]
        free = next(m for m in self.modes if m.name == "free")
        if free.verdict == "lookup table":
            return "lookup table"
        explained = self.unexplained <= _EXPLAINED
        if (self.surfaces or self.touching > 0) and self.law.touch is None:
            return "undetermined"  # something is touched, and no law says how
        if explained and all(w == "physics" for w in words):
            return "physics"
        return "undetermined"

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if not self.surfaces:
            if self.touching == 0:
                return (
                    "No contact was found: free motion explains every answer at rest. Widen the "
                    "region where something is touched elsewhere."
                )
            return (
                f"{self.touching:.0%} of the states at rest are none of free motion, and no point "
                "and plane, nor joint limit, explains where that begins: undetermined."
            )
        said = f"{len(self.surfaces)} contact{'s' if len(self.surfaces) > 1 else ''} found; "
        said += f"touch: {self.law.touch}." if self.law.touch else "no law of touch explains them."
        if self.unexplained > _EXPLAINED:
            said += f" {self.unexplained:.0%} of the touches are explained by none of them."
        wide = [s.width for s in self.surfaces if s.width]
        if wide and (self.law.touch is None or self.law.touch.kind == "hard"):
            said += (
                f" Impacts set in over {1e3 * max(wide):.2g} mm: smooth where a simulator jumps."
            )
        return said

    def mode(self, name: str) -> Mode:
        """The mode of a name."""
        return next(m for m in self.modes if m.name == name)

    def __repr__(self) -> str:
        modes = ", ".join(f"{m.name} {m.share:.0%} {m.verdict}" for m in self.modes)
        return (
            f"ContactExamination({self.verdict}; {self.sentence} Modes: {modes}; "
            f"{self.queries} queries, {self.seconds:.1f} s)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "robot": self.robot_name,
            "surfaces": [
                {
                    "body": s.body, "surface": s.surface, "kind": s.gap.kind, "point": s.point,
                    "normal": s.normal, "offset": s.offset, "timing": s.gap.timing,
                    "residual": s.residual, "relative": s.relative, "states": s.states,
                    "timings": s.timings, "transition_width": s.width,
                }
                for s in self.surfaces
            ],
            "touch": asdict(self.law.touch) if self.law.touch else None,
            "rivals": self.rivals,
            "modes": [asdict(m) for m in self.modes],
            "touching": self.touching,
            "unexplained": self.unexplained,
            "queries": self.queries,
            "seconds": self.seconds,
            "seed": self.seed,
        }  # fmt: skip

    def save(self, directory: str | Path) -> Path:
        """Write contact.md, contact.json, the law as text and as a script, and two figures; returns
        the directory. Raises OutputError."""
        folder = made(directory)
        drawn, script = made(folder / "figures"), folder / "law.py"
        write_json(folder / "contact.json", self.to_dict())
        write_text(folder / "law.txt", self.law.export("text") + "\n")
        script.unlink(missing_ok=True)  # that of an earlier law
        if self.law.touch is not None and self.law.touch.kind != "penalty" and self.surfaces:
            write_text(script, self.law.export("scene"))
        save(figures.by_mode(self.modes), drawn / "modes.png")
        save(figures.side_view(self.surfaces), drawn / "surfaces.png")
        write_text(folder / "contact.md", self.page())
        return folder

    def page(self) -> str:
        """The examination as Markdown."""
        lines = [f"# Contact: {self.verdict}", "", self.sentence, "", "## Modes", ""]
        lines += [
            "| mode | share | verdict | error | at 3× speed | reach |",
            "|---|---|---|---|---|---|",
        ]
        for m in self.modes:
            lines.append(
                f"| {m.name} | {m.share:.1%} | {m.verdict} | {m.error:.2g} | {m.far:.2g} "
                f"| {m.reach:g}× |"
            )
        lines += ["", "![errors by mode](figures/modes.png)", "", "## Surfaces", ""]
        lines += ["| what | gap | residual | states | transition |", "|---|---|---|---|---|"]
        for s in self.surfaces:
            width = "–" if s.width is None else f"{1e3 * s.width:.3g} mm"
            lines.append(f"| {s} | {s.gap.timing} | {s.residual:.2g} | {s.states} | {width} |")
        lines += ["", "![surfaces, from the side](figures/surfaces.png)", "", "## Law", "", "```"]
        lines += [*self.law.lines, "```", ""]
        if self.rivals:
            lines.append(
                "Laws of touch on fresh touches, relative error: "
                + ", ".join(f"{k} {e:.2g}" for k, e in self.rivals.items()) + "."
            )  # fmt: skip
        lines.append(f"\n{self.queries} questions, {self.seconds:.1f} s of process time.\n")
        return "\n".join(lines)
