"""What `discover.look_inside` gives: the findings, shown, saved and loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from discover.artifacts import made, read_json, write_json
from discover.inside import page
from discover.inside.records import Findings

FILE = "inside.json"


@dataclass(frozen=True, kw_only=True, repr=False)
class InsideReport(Findings):
    """The answer of `discover.look_inside`: its fields are those of `Findings`.

    `.claims`, `.table`, `.windows`, `.order`, `.notes`, `.seconds`; `.claim(kind, subject)`.
    """

    def __repr__(self) -> str:
        lines = [f"inside {self.network} of {self.robot} (error {100 * self.error:.2g} %)"]
        lines += [f"  {c.kind + ' ' + c.subject:<34} {c.answer}: {c.words}" for c in self.claims]
        lines += [f"  note: {n}" for n in self.notes]
        at = ", ".join(self.sites)
        lines.append(f"  {len(self.sites)} sites ({at}); {self.seconds:.0f} s of processor time")
        return "\n".join(lines)

    def save(self, directory: Path | str) -> Path:
        """Write inside.json, inside.md and the figures; returns the page. Raises OutputError."""
        directory = made(directory)
        write_json(directory / FILE, self.to_dict())
        return page.write(self, directory)


def load(directory: Path | str) -> InsideReport:
    """What `save` wrote. Raises OutputError."""
    return InsideReport.from_dict(read_json(Path(directory) / FILE, "a look inside of ours"))
