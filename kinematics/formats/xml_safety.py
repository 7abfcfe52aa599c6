"""XML from untrusted sources: no entities, no external fetches, bounded size and depth.

Namespaces are not resolved, as other readers of robot descriptions do not: a name keeps its prefix
as it is written, declared or not.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from kinematics.errors import RobotError

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 100
MAX_ELEMENTS = 100_000


def parse(text: bytes, label: str, *, words: bool = False) -> Element:
    """The root element of an XML document, with elements and attributes only, or also with the
    ``words`` between them.

    RobotError, in one line, on anything unsafe: one streaming pass stops at the first excess.
    """
    if len(text) > MAX_BYTES:
        raise RobotError(
            f"expected a description of at most {MAX_BYTES >> 20} MiB, "
            f"found {len(text) / 2**20:.0f} MiB in {label}; strip what is not dynamics"
        )
    tree = TreeBuilder()
    depth = count = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth += 1
        count += 1
        if depth > MAX_DEPTH or count > MAX_ELEMENTS:
            raise RobotError(
                f"expected XML of depth <= {MAX_DEPTH} with <= {MAX_ELEMENTS} elements, "
                f"found more in {label}; simplify the description"
            )
        tree.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        tree.end(name)

    def refuse(*_: object) -> int:
        raise RobotError(
            f"expected XML without a document type or entities, found a DOCTYPE in {label}; "
            "remove it"
        )

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    if words:
        parser.buffer_text = True
        parser.CharacterDataHandler = tree.data
    # entities need a document type; the last three would be reached only without its refusal
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.UnparsedEntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise RobotError(_malformed(label, error)) from error
    return tree.close()


def _malformed(label: str, error: Exception) -> str:
    return f"expected well-formed XML, found {error} in {label}; mend the file"
