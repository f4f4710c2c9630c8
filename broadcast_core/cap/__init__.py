"""CAP 1.2 (OASIS CAP-v1.2-os) in and out: XML and JSON, one table behind both. `docs/protocols/cap.md` is the page.

    parse_xml(bytes) -> Parsed          encode_xml(Alert) -> bytes
    parse_json(bytes) -> Alert          encode_json(Alert) -> bytes, to_builtins(Alert) -> dict

What is read was checked to the last element; what is written reads back equal. All refuse with AlertRejected, whose
`field` is the path of the element. Whether the message may go out here is `lifecycle`'s question, not this one's.
"""

from broadcast_core.cap.json_form import encode_json, parse_json, to_builtins
from broadcast_core.cap.rules import LARGEST_MESSAGE
from broadcast_core.cap.xml_form import NAMESPACE, Parsed, encode_xml, parse_xml

__all__ = [
    "LARGEST_MESSAGE",
    "NAMESPACE",
    "Parsed",
    "encode_json",
    "encode_xml",
    "parse_json",
    "parse_xml",
    "to_builtins",
]
