"""XML from untrusted sources: no entities, no external fetches, bounded size and depth."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError
from xml.parsers import expat

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeTree

from kinematics.errors import RobotError

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 100
MAX_ELEMENTS = 100_000


def parse(text: bytes, label: str) -> Element:
    """The root element of an XML document; RobotError, in one line, on anything unsafe."""
    if len(text) > MAX_BYTES:
        raise RobotError(
            f"expected a description of at most {MAX_BYTES >> 20} MiB, "
            f"found {len(text) / 2**20:.0f} MiB in {label}; strip what is not dynamics"
        )
    _scan(text, label)
    try:
        root = SafeTree.fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise RobotError(_malformed(label, error)) from error
    return root


def _scan(text: bytes, label: str) -> None:
    """One streaming pass that stops at the first excess, before any tree is built."""
    depth = count = 0

    def begin(name: str, attributes: object) -> None:
        nonlocal depth, count
        depth += 1
        count += 1
        if depth > MAX_DEPTH or count > MAX_ELEMENTS:
            raise RobotError(
                f"expected XML of depth <= {MAX_DEPTH} with <= {MAX_ELEMENTS} elements, "
                f"found more in {label}; simplify the description"
            )

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    def doctype(*_: object) -> None:
        raise RobotError(
            f"expected XML without a document type or entities, found a DOCTYPE in {label}; "
            "remove it"
        )

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise RobotError(_malformed(label, error)) from error


def _malformed(label: str, error: Exception) -> str:
    return f"expected well-formed XML, found {error} in {label}; mend the file"
