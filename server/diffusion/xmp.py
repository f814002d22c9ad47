"""XMP, the XML that every picture format has a place for: IPTC's marking of pictures that a model made, and our JSON.

Properties: `Iptc4xmpExt` of the IPTC Photo Metadata Standard 2025.1; packets, and their split in JPEG: Adobe's XMP
Specification, parts 1 and 3.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from xml.sax.saxutils import escape, quoteattr

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from server.diffusion.errors import MetadataError
from server.diffusion.metadata import Metadata, printable, to_json

MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""What IPTC calls a picture that a model made."""

EDITED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""And one that a model changed."""

JPEG_LIMIT = 65502
"""How many bytes of a packet a JPEG's segment holds."""

EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
"""How a segment of a JPEG begins that holds a part of the second packet."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NAMESPACES = {
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "darkroom": "urn:darkroom:1.0/",
}
_JSON = "darkroom:generation"
_EXTENDED = "xmpNote:HasExtendedXMP"

# After the name of the namespace: the MD5 of the packet, its length, and where in it this part belongs.
_PART = struct.Struct(">32sII")
_PART_BYTES = 65000


def packet(metadata: Metadata, *, with_json: bool = True) -> bytes:
    """One packet with everything in it.

    Args:
        metadata: what to tell.
        with_json: whether the JSON is in it; a PNG has a better place.
    """
    properties = _marking(metadata) | _details(metadata)
    if with_json:
        properties[_JSON] = to_json(metadata)
    return _packet(properties)


def jpeg_packets(metadata: Metadata) -> tuple[bytes, list[bytes]]:
    """The packet for a JPEG, and the segments that hold what does not fit into it.

    Returns:
        The packet, of `JPEG_LIMIT` bytes at most; the contents of further APP1 segments, in order.
    """
    whole = packet(metadata)
    if len(whole) <= JPEG_LIMIT:
        return whole, []
    extended = _document(_details(metadata) | {_JSON: to_json(metadata)})
    digest = hashlib.md5(extended, usedforsecurity=False).hexdigest().upper()
    parts = [
        EXTENSION + _PART.pack(digest.encode(), len(extended), start) + extended[start : start + _PART_BYTES]
        for start in range(0, len(extended), _PART_BYTES)
    ]
    return _packet(_marking(metadata) | {_EXTENDED: digest}), parts


def read_json(packet: bytes, segments: Iterable[bytes] = ()) -> str | None:
    """The JSON in a packet, or in the one that the segments of a JPEG hold parts of; `None` where there is none.

    Raises:
        MetadataError: it is not XML, or parts are missing.
    """
    text = _property(packet, _JSON)
    if text is None and (digest := _property(packet, _EXTENDED)):
        text = _property(_join(digest, segments), _JSON)
    return text


def _marking(metadata: Metadata) -> dict[str, str]:
    return {
        "Iptc4xmpExt:DigitalSourceType": EDITED if metadata.edited else MADE,
        "xmp:CreatorTool": f"Darkroom {metadata.provenance.versions.get('darkroom', '')}".rstrip(),
    }


def _details(metadata: Metadata) -> dict[str, str]:
    model = metadata.provenance
    details = {"Iptc4xmpExt:AISystemUsed": model.model}
    if version := model.revision or model.digest:
        details["Iptc4xmpExt:AISystemVersionUsed"] = version
    unwanted = f"\nNegative prompt: {metadata.negative_prompt}" if metadata.negative_prompt else ""
    details["Iptc4xmpExt:AIPromptInformation"] = metadata.prompt + unwanted
    return details


def _packet(properties: Mapping[str, str]) -> bytes:
    begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    return begin.encode() + _document(properties) + b'<?xpacket end="r"?>'


def _document(properties: Mapping[str, str]) -> bytes:
    prefixes = {name.partition(":")[0] for name in properties}
    namespaces = "".join(
        f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in _NAMESPACES.items() if prefix in prefixes
    )
    elements = "".join(f"<{name}>{escape(printable(value))}</{name}>" for name, value in properties.items())
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"><rdf:Description rdf:about=""{namespaces}>'
        f"{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def _property(packet: bytes, name: str) -> str | None:
    prefix, _, local = name.partition(":")
    qualified = f"{{{_NAMESPACES[prefix]}}}{local}"
    try:
        root = fromstring(packet.strip(b"\0 \r\n\t"))
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise MetadataError(f"is damaged: its XMP is not XML ({error})") from error
    for description in root.iter(f"{{{_RDF}}}Description"):
        # Programs that write XMP anew may turn an element into an attribute.
        for value in (description.get(qualified), description.findtext(qualified)):
            if value is not None:
                return str(value)
    return None


def _join(digest: str, segments: Iterable[bytes]) -> bytes:
    parts = sorted(_parts(digest, segments))
    joined = b"".join(part for _, part in parts)
    if hashlib.md5(joined, usedforsecurity=False).hexdigest().upper() != digest.upper():
        raise MetadataError("is damaged: a part of its XMP is missing or changed")
    return joined


def _parts(digest: str, segments: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    start = len(EXTENSION)
    for segment in segments:
        if segment.startswith(EXTENSION) and len(segment) >= start + _PART.size:
            owner, _, offset = _PART.unpack_from(segment, start)
            if owner == digest.encode():
                yield offset, segment[start + _PART.size :]
