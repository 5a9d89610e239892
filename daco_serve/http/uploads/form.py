"""Parses multipart forms (RFC 7578) while they arrive; nothing is written to disk."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from daco_serve.http.refusals import Refusal

OTHER_BYTES = 64 * 2**10  # what a form may contain besides its files
MOST_FIELDS = 8  # fields that are not files


@dataclass
class FormFile:
    """One file: the name of its field, its file name as sent, and its bytes."""

    field_name: str
    name: str
    content: bytearray = field(default_factory=bytearray)


class FormReader:
    """Parses a form's bytes as they arrive; `files`, and the other `fields`, are complete after `finish`.

    Text is read as UTF-8 and any `charset` is ignored: RFC 7578 defines none for forms, and some of Python's codecs are
    not safe for untrusted input. Invalid bytes are replaced.

    Args:
        content_type: of the request, including the boundary.
        most: the largest number of files.

    Raises:
        Refusal: the boundary is missing.
    """

    def __init__(self, content_type: str, most: int) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise _broken("Missing boundary in multipart.")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_head,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                    "on_end": self._finish,
                },
            )
        except FormParserError as error:
            raise _broken("its boundary is too long.") from error
        self._most = most
        self._other_bytes = 0
        self._fields = 0
        self._disposition = bytearray()
        self._name = bytearray()
        self._value = bytearray()
        self._file: FormFile | None = None
        self._field: bytearray | None = None
        self._finished = False
        self.files: list[FormFile] = []
        self.fields: dict[str, bytearray] = {}

    def write(self, part: bytes) -> None:
        """Parses further bytes.

        Raises:
            Refusal: it is not a valid form, or contains too much.
        """
        try:
            self._parser.write(part)
        except FormParserError as error:
            raise _broken("it is not a form, or its boundary differs from the header's.") from error

    def finish(self) -> list[FormFile]:
        """Returns the files, in order.

        Raises:
            Refusal: the form is incomplete.
        """
        if not self._finished:
            raise _broken("it ends before its last boundary.")
        files, self.files = self.files, []  # the parser keeps this object alive until the next garbage collection
        return files

    def drop(self) -> None:
        """Frees what has arrived."""
        self.files, self._file = [], None
        self.fields, self._field = {}, None

    def _begin(self) -> None:
        self._disposition = bytearray()
        self._file = self._field = None

    def _begin_header(self) -> None:
        self._name, self._value = bytearray(), bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._count(end - start)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._count(end - start)

    def _end_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value

    def _end_head(self) -> None:
        options = parse_options_header(bytes(self._disposition))[1]
        if b"name" not in options:
            raise _broken('The Content-Disposition header field "name" must be provided.')
        if b"filename" in options:
            if len(self.files) >= self._most:
                raise _broken(f"Too many files. Maximum number of files is {self._most}.")
            self._file = FormFile(_text(options[b"name"]), _text(options[b"filename"]))
            self.files.append(self._file)
            return
        self._fields += 1
        if self._fields > MOST_FIELDS:
            raise _broken(f"Too many fields. Maximum number of fields is {MOST_FIELDS}.")
        self._field = self.fields[_text(options[b"name"])] = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is None:
            self._count(end - start)
            if self._field is not None:
                self._field += memoryview(data)[start:end]
        else:
            self._file.content += memoryview(data)[start:end]

    def _end(self) -> None:
        self._file = self._field = None

    def _finish(self) -> None:
        self._finished = True

    def _count(self, size: int) -> None:
        self._other_bytes += size
        if self._other_bytes > OTHER_BYTES:
            raise _broken(f"It has more than {OTHER_BYTES} bytes besides its files.")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _broken(reason: str) -> Refusal:
    return Refusal("bad_form", f"The multipart body cannot be read: {reason}")
