"""XML of strangers: bounded, and without entities, which can make much of a small file."""

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.files import bounded


def read_xml(path: Path, max_bytes: int) -> Element:
    """Read a document, and return its root.

    Raises:
        InvalidRequestError: it has another form, declares types or entities, or is too large.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(bounded(path, max_bytes).read_bytes(), True)
    except (expat.ExpatError, ValueError) as error:
        raise InvalidRequestError(f"{path} is no XML that can be read: {error}.") from None
    return builder.close()


def _refuse(*_: object) -> None:
    raise ValueError("it declares a type of document, and such are not read")


def text_of(element: Element | None, name: str) -> str:
    """Return the text of a child, without the white space around it; empty without one."""
    found = None if element is None else element.find(name)
    return "" if found is None or found.text is None else found.text.strip()
