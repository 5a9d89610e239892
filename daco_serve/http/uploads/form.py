"""The files of a multipart form (RFC 7578), taken apart while it comes in; nothing of it is written to disk."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from daco_serve.http.refusals import Refusal

OTHER_BYTES = 64 * 2**10  # what a form may hold beside its files
MOST_FIELDS = 8  # that are no files


@dataclass
class FormFile:
    """One file: the name of its field, the name that its sender gave it, and its bytes."""

    field_name: str
    name: str
    content: bytearray = field(default_factory=bytearray)


class FormReader:
    """Takes a form's bytes as they come; `files`, and the `fields` beside them, are whole after `finish`.

    Text is UTF-8, whatever a `charset` says: RFC 7578 knows none for a form, and Python's codecs have some that no
    stranger should choose. What is not UTF-8 is replaced.

    Args:
        content_type: the request's, with the boundary.
        most: how many files there may be.

    Raises:
        Refusal: there is no boundary.
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
        """Takes some bytes more.

        Raises:
            Refusal: this is no form, or it has too much in it.
        """
        try:
            self._parser.write(part)
        except FormParserError as error:
            raise _broken("it is no form, or its boundary is another.") from error

    def finish(self) -> list[FormFile]:
        """The files, in their order.

        Raises:
            Refusal: the form was cut off.
        """
        if not self._finished:
            raise _broken("it ends before its last boundary.")
        files, self.files = self.files, []  # the parser and its callbacks keep this object until the next collection
        return files

    def drop(self) -> None:
        """Lets go of what has come in."""
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
            raise _broken(f"It has more than {OTHER_BYTES} bytes beside its files.")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _broken(reason: str) -> Refusal:
    return Refusal("bad_form", f"The multipart body cannot be read: {reason}")
