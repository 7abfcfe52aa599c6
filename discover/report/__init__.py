"""Reports: Markdown and figures from stored evidence."""

from discover.report.rendering import render

__all__ = ["render"]
