"""What is given on the command line: lists of numbers, names of models, folders to write to."""

from __future__ import annotations

from pathlib import Path


def numbers(text: str | None, option: str) -> list[int] | None:
    """ "0,1,2" as a list."""
    if text is None:
        return None
    from discover.errors import RecipeError

    words = text.split(",")
    if not all(w.strip().isdecimal() for w in words):
        raise RecipeError(f"expected whole numbers as 0,1,2 for {option}, found {text!r}")
    return [int(w) for w in words]


def called(model: str) -> str:
    """The name of a model in a report: its factory's, or its file's."""
    path, _, factory = model.rpartition(".py:")
    return factory if path else Path(model).stem


def must_be_free(out: Path) -> None:
    """Refuse a folder that holds anything but an examination. Raises OutputError."""
    from discover.errors import OutputError
    from discover.report.stored import VERDICT

    if out.is_dir() and any(out.iterdir()) and not (out / VERDICT).exists():
        raise OutputError(
            f"expected an empty folder or an examination of ours in {out}, found other files; "
            "choose another --out"
        )
