"""CAP 1.2 as XML, in both directions.

Hostile input is bounded before it is understood: bytes, depth, no DOCTYPE (so no entities), no network. Elements
may come in any order; everything else that the schema refuses is refused here, by a path that names the element.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from broadcast_core.cap.leaf import Unfit, shown
from broadcast_core.cap.rules import check_rules, check_values, refuse_large
from broadcast_core.cap.shape import ALERT, Part, Shape, assemble, below, path, rejected
from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Alert

NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"

_OLDER: Final = {
    "urn:oasis:names:tc:emergency:cap:1.1": "1.1",
    "urn:oasis:names:tc:emergency:cap:1.0": "1.0",
    "http://www.incident.com/cap/1.0": "1.0",
}
_SIGNATURE: Final = "{http://www.w3.org/2000/09/xmldsig#}Signature"
_PREFIXES: Final[dict[Any, str]] = {None: NAMESPACE}  # Any: the stubs know no default namespace
_DEEPEST: Final = 8  # levels; CAP's own elements have 5, an enveloped signature 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """An alert that was read, and what a person should know about the reading."""

    alert: Alert
    notes: tuple[Sentence, ...] = ()


def parse_xml(data: bytes) -> Parsed:
    """Read one CAP 1.2 message. Raises AlertRejected with the path of the first element that is not right."""
    root = _root(data)
    reader = _Reader()
    alert: Alert = reader.shape(root, ALERT, "")
    check_rules(alert)
    return Parsed(alert=alert, notes=reader.notes())


def encode_xml(alert: Alert) -> bytes:
    """Write `alert` as UTF-8 XML that `parse_xml` reads back equal.

    Raises AlertRejected for an alert that CAP 1.2 cannot carry: nothing illegal is ever written.
    """
    check_values(alert)
    check_rules(alert)
    root = etree.Element(f"{{{NAMESPACE}}}alert", nsmap=_PREFIXES)
    _fill(root, alert, ALERT)
    etree.indent(root)
    data: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    refuse_large(data)
    return data


def _fill(element: etree._Element, holder: object, shape: Shape) -> None:
    for part in shape.parts:
        for value in part.values_of(holder):
            child = etree.SubElement(element, f"{{{NAMESPACE}}}{part.element}")
            if isinstance(part.form, Shape):
                _fill(child, value, part.form)
            else:
                child.text = part.form.to_text(value)


def _root(data: bytes) -> etree._Element:
    """The root element of a bounded, DOCTYPE-free document: an alert of CAP 1.2."""
    refuse_large(data)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise _malformed(_("This is not well-formed XML: {detail}.", detail=shown(error.msg))) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise _malformed(_("The file has a DOCTYPE; remove it, a CAP message has none."))
    _refuse_deep(root)
    _refuse_other(root)
    return root


def _malformed(sentence: Sentence, where: str | None = None) -> AlertRejected:
    return AlertRejected(RejectReason.MALFORMED, sentence, where)


def _refuse_deep(root: etree._Element) -> None:
    depth = 0
    for event, _element in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > _DEEPEST:
            raise AlertRejected(
                RejectReason.TOO_LARGE, _("Elements are nested deeper than {most} levels.", most=_DEEPEST)
            )


def _refuse_other(root: etree._Element) -> None:
    name = etree.QName(root)
    if name.localname != "alert":
        raise AlertRejected(
            RejectReason.UNKNOWN_ELEMENT,
            _(
                "The root element is {element}; send the alert itself, not what wraps it.",
                element=shown(name.localname),
            ),
            shown(name.localname),
        )
    if name.namespace in _OLDER:
        raise AlertRejected(
            RejectReason.INVALID_VALUE,
            _("This is CAP {version}; only CAP 1.2 is read. Ask the sender for 1.2.", version=_OLDER[name.namespace]),
            "alert",
        )
    if name.namespace != NAMESPACE:
        raise AlertRejected(
            RejectReason.INVALID_VALUE,
            _("The namespace {value} is not CAP 1.2's; it must be {namespace}.", value=shown(name.namespace or "''"),
              namespace=NAMESPACE),
            "alert",
        )  # fmt: skip


class _Reader:
    """One reading: walks the elements along the table and collects what was left out."""

    def __init__(self) -> None:
        self._signed = False
        self._empty: list[str] = []

    def notes(self) -> tuple[Sentence, ...]:
        notes = []
        if self._signed:
            notes.append(_("The enveloped signature was not verified and is dropped."))
        if self._empty:
            listed = shown(", ".join(self._empty))
            notes.append(_("Empty elements count as absent: {elements}.", elements=listed))
        return tuple(notes)

    def shape(self, element: etree._Element, shape: Shape, where: str) -> Any:
        """The model's object for `element`."""
        _refuse_attributes(element, where)
        _refuse_loose_text(element, where)
        found: dict[str, list[Any]] = {}
        seen: dict[str, int] = {}
        for child in element:
            if child.tag == _SIGNATURE and shape is ALERT:
                self._signed = True
                continue
            part = _part(child, shape, where)
            index = seen[part.element] = seen.get(part.element, -1) + 1
            if index and not part.occurs.repeats:
                raise _doubled(part, where)
            self._read(child, part, path(where, part, index), found.setdefault(part.element, []))
        return assemble(shape, found, where)

    def _read(self, child: etree._Element, part: Part, where: str, into: list[Any]) -> None:
        if isinstance(part.form, Shape):
            into.append(self.shape(child, part.form, where))
            return
        _refuse_attributes(child, where)
        if len(child):
            raise _unknown(child[0], where)
        text = child.text or ""
        if not text.strip() and not part.form.blank:
            self._empty.append(where)
            return
        try:
            value = part.form.from_text(text)
            part.form.check(value)
        except Unfit as unfit:
            raise rejected(unfit, where) from None
        into.append(value)


def _part(child: etree._Element, shape: Shape, where: str) -> Part:
    name = etree.QName(child)
    part = shape.part(name.localname) if name.namespace == NAMESPACE else None
    if part is None:
        raise _unknown(child, where)
    return part


def _unknown(child: etree._Element, parent: str) -> AlertRejected:
    name = etree.QName(child)
    element = shown(name.localname if name.namespace == NAMESPACE else name.text)
    return AlertRejected(
        RejectReason.UNKNOWN_ELEMENT,
        _("CAP 1.2 has no {element} here; remove it or put it where it belongs.", element=element),
        below(parent, shown(name.localname)),
    )


def _doubled(part: Part, parent: str) -> AlertRejected:
    return AlertRejected(
        RejectReason.DUPLICATE_ELEMENT,
        _("{element} stands here more than once; keep one.", element=part.element),
        below(parent, part.element),
    )


def _refuse_attributes(element: etree._Element, where: str) -> None:
    """CAP has no attributes; those of other namespaces (xsi:schemaLocation, xml:lang) change nothing."""
    for name in element.attrib:
        plain = str(name)
        if not plain.startswith("{"):
            raise AlertRejected(
                RejectReason.UNKNOWN_ELEMENT,
                _("CAP 1.2 has no attribute {name}; remove it.", name=shown(plain)),
                f"{where or 'alert'}@{shown(plain)}",
            )


def _refuse_loose_text(element: etree._Element, where: str) -> None:
    for text in (element.text, *(child.tail for child in element)):
        if text and text.strip():
            raise _malformed(
                _("There is text between the elements: {value}. Remove it.", value=shown(text)), where or "alert"
            )
