"""Reports: Markdown and figures from stored evidence."""

from discover.report.render import render

__all__ = ["render"]
