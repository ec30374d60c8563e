"""What a file is, by its first bytes: what its sender calls it counts only where the two agree. Pure."""

from __future__ import annotations

SNIFFED_BYTES = 32
"""As many bytes tell the type."""

MEDIA_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/heic",
    "image/avif",
    "application/pdf",
)
"""All that can be told. Nothing among them runs in a browser: no SVG, no HTML."""

_BEGINS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "image/heic"),
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
}
_ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/heif": "image/heic"}
_SAYS_NOTHING = ("", "application/octet-stream", "binary/octet-stream")

NAME_CHARACTERS_MAX = 200


def sniffed(head: bytes) -> str | None:
    """The media type of content that begins so; None where it is none of `MEDIA_TYPES`."""
    for begins, media_type in _BEGINS:
        if head.startswith(begins):
            return media_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":  # ISO base media: the brand tells the kind
        return _BRANDS.get(head[8:12])
    return None


def agrees(declared: str, media_type: str) -> bool:
    """Whether a `Content-Type` header says nothing, or what the content is."""
    said = declared.partition(";")[0].strip().lower()
    return said in _SAYS_NOTHING or _ALIASES.get(said, said) == media_type


def display_name(name: str) -> str | None:
    """A sender's name for a file, to show to people: no path, no control characters, bounded."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(character for character in last if character.isprintable()).strip().lstrip(".")
    return shown[:NAME_CHARACTERS_MAX] or None
