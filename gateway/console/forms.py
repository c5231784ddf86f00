"""What a browser sends with a request, parsed once: the query, and the body of a form.

One value a name: a name that stands twice is refused, for two readers would pick two. Text is UTF-8, or refused.
"""

from urllib.parse import parse_qsl

from policies.errors import BadRequest

MAX_FIELDS = 200
FORM_TYPE = "application/x-www-form-urlencoded"


def read_query(text: str) -> dict[str, str]:
    """The query's fields. Raises BadRequest."""
    return _fields(text, "query_malformed")


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """The form's fields. Raises BadRequest for another content type too."""
    if content_type.partition(";")[0].strip().lower() != FORM_TYPE:
        raise BadRequest("form_type", f"a form must be {FORM_TYPE}")
    try:
        return _fields(body.decode("ascii"), "form_malformed")
    except UnicodeDecodeError:
        raise BadRequest("form_malformed", "the form cannot be read") from None


def _fields(text: str, reason: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise BadRequest(reason, "what was sent cannot be read") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise BadRequest(f"{reason.partition('_')[0]}_field_repeated", "a field was sent twice")
    return fields
