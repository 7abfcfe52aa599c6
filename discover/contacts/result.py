"""What an examination of contact found: modes, surfaces, the hybrid law, a page about them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discover.contacts.hybrid import HybridLaw
from discover.contacts.modes import Mode
from discover.contacts.surfaces import Surface

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
        """Write contact.md, contact.json, the law as text and as a script, and two figures."""
        folder = Path(directory)
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        (folder / "contact.json").write_text(json.dumps(_plain(self.to_dict()), indent=1) + "\n")
        (folder / "law.txt").write_text(self.law.export("text") + "\n")
        if self.law.touch is not None and self.law.touch.kind != "penalty" and self.surfaces:
            (folder / "law.py").write_text(self.law.export("scene"))
        self._draw(folder / "figures")
        (folder / "contact.md").write_text(self.page())
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

    def _draw(self, folder: Path) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 3))
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        known = [m for m in self.modes if m.error == m.error]
        at = np.arange(len(known))
        for shift, values, label in ((-0.2, [m.error for m in known], "in the region"),
                                     (0.2, [m.far for m in known], "at 3× speed")):  # fmt: skip
            axes.bar(at + shift, np.maximum(values, 1e-12), 0.4, label=label)
        axes.set_yscale("log")
        axes.set_xticks(at, [m.name for m in known])
        axes.set_ylabel("relative error")
        axes.legend(frameon=False)
        figure.tight_layout()
        figure.savefig(folder / "modes.png", dpi=120)
        figure = Figure(figsize=(5, 4))
        FigureCanvasAgg(figure)
        _side_view(figure.subplots(), self.surfaces)
        figure.tight_layout()
        figure.savefig(folder / "surfaces.png", dpi=120)


def _side_view(axes: Any, surfaces: tuple[Surface, ...]) -> None:
    """Planes as lines with a normal, and points of bodies in their own frames, in x and z."""
    for s in surfaces:
        if s.gap.kind != "plane":
            continue
        n = np.array(s.normal)
        foot, along = s.offset * n, np.array([n[2], 0.0, -n[0]])
        if np.linalg.norm(along) > 1e-6:
            along = along / np.linalg.norm(along)
            ends = np.stack([foot - along, foot + along])
            axes.plot(ends[:, 0], ends[:, 2], color="0.3")
        axes.annotate("", (foot + 0.15 * n)[[0, 2]], foot[[0, 2]], arrowprops={"arrowstyle": "->"})
        point = np.array(s.point)
        axes.plot(point[0], point[2], "o", color="C1")
        axes.annotate(s.body, point[[0, 2]], xytext=(3, 3), textcoords="offset points", fontsize=7)
    axes.set_aspect("equal")
    axes.set_xlabel("x [m]")
    axes.set_ylabel("z [m]")
    axes.set_title("surfaces (lines), points in their bodies' frames (dots)", fontsize=8)


def _plain(x: Any) -> Any:
    """JSON without nan and infinity."""
    if isinstance(x, dict):
        return {k: _plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [_plain(v) for v in x]
    if isinstance(x, float) and not np.isfinite(x):
        return None
    return x
