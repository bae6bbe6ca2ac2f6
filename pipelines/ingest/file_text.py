"""Read the text of a file: unpack it, and bring it to UTF-8."""

import io
from pathlib import Path

from pipelines.ingest.text_table import MalformedFile, empty_file, not_text, too_large
from pipelines.ingest.unpacking import unpacked_chunks

CHUNK_BYTES = 1 << 22
UTF8_MARK = b"\xef\xbb\xbf"
CUT_LINE = b'"cut'
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CUT_SHORT = ("unexpected end of data", "incomplete multibyte sequence", "truncated data")
"""What Python's decoders say of a character that is not there to its end."""


def read_text(path: Path, encoding: str, max_bytes: int, packed: bool = False) -> bytes:
    """Return a file's text as UTF-8 without a mark, its lines ended by newlines.

    encoding: a name Python knows, or "auto": UTF-8, UTF-16 with a mark, else GB18030. packed: the file is one
    of PACKINGS. Raises MalformedFile for what is no text, empty, damaged, or larger than `max_bytes`.
    """
    data = _unpack(path, max_bytes) if packed else _read(path, max_bytes)
    if data[-1:] == b"\0" and data[:2] not in UTF16_MARKS:
        data = _without_zeros_at_end(data)
    data = (_guess_utf8(data) if encoding == "auto" else _to_utf8(data, encoding)).removeprefix(UTF8_MARK)
    if b"\0" in data:
        raise not_text()
    if UTF8_MARK in data:
        data = _join_files(data)
    if not data.strip():
        raise empty_file()
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def _read(path: Path, max_bytes: int) -> bytes:
    if path.stat().st_size > max_bytes:
        raise too_large(max_bytes)
    return path.read_bytes()


def _unpack(path: Path, max_bytes: int) -> bytes:
    """Unpack a file, and give it up as soon as it grows too large or turns out not to be text."""
    content = io.BytesIO()
    for chunk in unpacked_chunks(path, CHUNK_BYTES):
        if content.tell() + len(chunk) > max_bytes:
            raise too_large(max_bytes)
        content.write(chunk)
        text = chunk.rstrip(b"\0")
        if (b"\0" in text or not text) and content.getbuffer()[:2] not in UTF16_MARKS:
            raise not_text()
    return content.getvalue()


def _without_zeros_at_end(data: bytes) -> bytes:
    """Return a text without the zero bytes behind it, which a writer that was cut off leaves.

    A last line that does not end was cut: one quote that never closes stands in its place, to be refused.
    """
    text = data.rstrip(b"\0")
    if text.endswith((b"\n", b"\r")) or not text:
        return text
    return text[: text.rfind(b"\n") + 1] + CUT_LINE


def _join_files(data: bytes) -> bytes:
    """Return a text made of several files one behind another as one: each began with a mark of its own."""
    header = data[: data.find(b"\n") + 1].rstrip(b"\r\n")
    if header:
        data = data.replace(UTF8_MARK + header, b"\n" + header)
    return data.replace(b"\n" + UTF8_MARK, b"\n").replace(b"\n\n" + header, b"\n" + header)


def _to_utf8(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode()
    except (UnicodeError, LookupError):
        raise MalformedFile(
            f"is not written in {encoding}", 'set encoding = "auto" or the right one'
        ) from None


def _guess_utf8(data: bytes) -> bytes:
    if data[:2] in UTF16_MARKS:
        encodings: tuple[str, ...] = ("utf-16",)
    elif b"\0" in data:
        raise not_text()
    elif data.isascii():
        return data
    else:
        encodings = ("utf-8", "gb18030")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            if error.reason in _CUT_SHORT and error.start >= len(data) - 3:
                raise MalformedFile(
                    "ends in the middle of a character", "it is half-written, copy or export it again"
                ) from None
        else:
            return data if encoding == "utf-8" else text.encode()
    raise MalformedFile("is neither UTF-8 nor GB18030", 'set `encoding`, for instance encoding = "latin-1"')
