"""Reports: Markdown and figures from what an examination or a study wrote, and nothing else.

This room reads files: it knows evidence, laws and mechanisms, but no examination.
"""

from __future__ import annotations

from pathlib import Path


def render(directory: Path | str) -> Path:
    """Write report.md and figures/ of a study or of one examination, and return the report's path.

    Raises OutputError where the folder holds no evidence, or damaged evidence.
    """
    from discover.report import rendering  # it draws: matplotlib, for those who render only

    return rendering.render(directory)


__all__ = ["render"]
