"""What an answer is: a result, or an error that says that it is none.

An HTTP 200 proves nothing: the vendor's errors, pages of HTML and answers that were cut off come with it as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from airflow_provider_callreport.api.errors import (
    EMPTY_CODE,
    AnswerError,
    ApiError,
    RedirectError,
    RequestRejectedError,
    error_class,
    scrub,
)
from airflow_provider_callreport.api.retry import retry_after_seconds
from airflow_provider_callreport.api.values import whole_number

_decode = msgspec.json.Decoder().decode

#: Keys of an answer that the vendor's page shows, and the cursor of its samples.
DOCUMENTED = frozenset({"columnArr", "hideSectionArr", "data", "cnt", "sAftr"})

#: A key with one of these values says nothing.
_SILENT = frozenset({"", "none"})
_NOTHING_WRONG = frozenset({"", "none", "false", "0", "[]", "{}"})
_YES = frozenset({"true", "1", "yes", "ok", "success"})
_CODES = frozenset({"", "none", "0", "200"})

#: What servers say beside a result when all is well: the key, without case and separators, and what it may say. Any
#: other value of such a key is an error.
_ALL_IS_WELL: dict[str, frozenset[str]] = {
    **dict.fromkeys(("success", "ok", "succeeded", "issuccess"), _YES),
    "status": _YES | {"200"},
    **dict.fromkeys(("code", "statuscode", "responsecode", "errorcode", "errcode", "httpcode", "httpstatus"), _CODES),
    **dict.fromkeys(("error", "errors", "err", "iserror", "haserror", "fault", "exception", "failed"), _NOTHING_WRONG),
    **dict.fromkeys(
        ("errormessage", "errormsg", "timedout", "partial", "truncated", "terminatedearly"), _NOTHING_WRONG
    ),
}

#: Keys of a sentence, and the sentences that say nothing; another sentence is for the caller to judge.
_WORDS = frozenset({"message", "msg"})
_QUIET = frozenset({"", "none", "ok", "success"})

#: Keys of ``reportCount``'s number, the first of them first.
_COUNT_KEYS = ("cnt", "count", "total", "data")

#: What an answer with the code of "no data found" may say; another message is another error.
_NO_DATA = re.compile(r"^$|\bno(t|ne)?\b.*\b(data|records?|calls?|results?|found)\b", re.IGNORECASE)

#: Characters of a column's name, as ``hideSectionArr`` may hold it; a sentence is longer.
_MAX_NAME = 24

_ERROR_WORDS = frozenset({"error", "fail", "failed", "failure", "false"})


class HttpResponse(Protocol):
    """What is needed of a ``requests.Response``."""

    @property
    def status_code(self) -> Any:
        """HTTP status."""

    @property
    def headers(self) -> Any:
        """Headers; their names are found in upper and lower case."""


def check_no_redirect(endpoint: str, response: HttpResponse) -> None:
    """Refuse to follow.

    Raises:
        RedirectError: the answer is a redirect (3xx).
    """
    if 300 <= response.status_code < 400:
        raise RedirectError(
            f"{endpoint} answered HTTP {response.status_code}, a redirect; it is not followed because the "
            "request carries credentials. Set Host to the address that the API really has."
        )


def check_answer(
    endpoint: str,
    response: HttpResponse,
    raw: bytes,
    *,
    page: int | None = None,
    secrets: Iterable[str] = (),
) -> Any:
    """The decoded JSON of an answer that is none of the errors.

    Args:
        endpoint: what was asked for, for messages.
        response: the answer's head.
        raw: its whole body, unpacked.
        page: number of the request within a report, or None.
        secrets: what may not be repeated from the vendor's message.

    Raises:
        ApiError: the vendor answered with an error.
        AnswerError: HTTP says success, and the body is no JSON.
    """
    status = response.status_code
    try:
        payload = decode(raw)
    except AnswerError as fault:
        if status < 400:
            raise AnswerError(f"{endpoint} answered HTTP {status} with {fault}") from None
        payload, message = None, str(fault)
    else:
        message = ""
    error = vendor_error(endpoint, response, payload, page=page, message=message, secrets=secrets)
    if error is None:
        if status != 200:
            raise AnswerError(f"{endpoint} answered HTTP {status}; only 200 brings a whole answer")
        return payload
    if (
        error.code == EMPTY_CODE
        and error_class(status, None) in (ApiError, RequestRejectedError)
        and _is_empty(payload)
        and _NO_DATA.search(error.vendor_message)
    ):
        return {"data": [], "cnt": 0}
    raise error


def read_count(payload: Any) -> int:
    """The number in a ``reportCount`` answer.

    Accepted: ``{"cnt": n}``, ``{"count": n}``, ``{"total": n}``, ``{"data": n}``, ``{"data": {"cnt": n}}``, ``[n]``,
    a bare number, and a numeral for each number.

    Raises:
        AnswerError: there is no whole number of at least 0, two numbers that differ, or something beside it.
    """
    value = payload
    for _ in range(3):
        if isinstance(value, Mapping):
            value = _the_number_in(value)
        elif isinstance(value, list) and len(value) == 1:
            value = value[0]
    number = whole_number(value)
    if number is None:
        raise AnswerError(f"reportCount answered no number but {type(value).__name__}")
    return number


def _the_number_in(answer: Mapping[str, Any]) -> Any:
    """What stands under the key of the count; the answer must hold nothing else that is not known."""
    said = said_beside({key: value for key, value in answer.items() if key not in _COUNT_KEYS})
    strange = next((key for key, value in said.items() if not says_all_is_well(key, value)), None)
    if strange is not None:
        raise AnswerError(f"reportCount says {scrub(strange)[:60]} beside its number, so its answer is no count")
    given = [answer[key] for key in _COUNT_KEYS if answer.get(key) is not None]
    numbers = {number for value in given if (number := whole_number(value)) is not None}
    if len(numbers) > 1:
        raise AnswerError("reportCount answered two numbers that differ")
    return next(iter(numbers), given[0] if given else None)


def said_beside(payload: Mapping[str, Any], known: Collection[str] = ()) -> dict[str, Any]:
    """What an answer says beside the documented keys.

    The vendor's own empty answer has the documented keys and no other. What else an answer says may be a sentence
    about a failure. So a key that says "all is well" must say so in a known way, and every other key is for the caller
    to hold against what this account's answers carry.

    Args:
        payload: the decoded JSON.
        known: keys that the caller knows and judges.

    Returns:
        The keys beside the documented ones, and documented ones whose value is of another kind than the vendor's.

    Raises:
        AnswerError: a key that tells whether all is well says something else.
    """
    beside = {key: value for key, value in payload.items() if key not in DOCUMENTED or _is_odd(key, value, payload)}
    for key, value in beside.items():
        if key in known:
            continue
        right = _ALL_IS_WELL.get(_folded(key))
        if right is not None and _plain(value) not in right | _SILENT:
            # The value is not shown: it may be a sentence with anything in it.
            raise AnswerError(
                f"the answer is no result: its key {scrub(key)[:60]} does not say that all is well (where this "
                "account's good answers carry that, say so in the connection's extra field empty_answer)"
            )
    return beside


def _is_odd(key: str, value: Any, payload: Mapping[str, Any]) -> bool:
    """Whether a documented key holds something else than the vendor's answers do."""
    if key == "hideSectionArr":
        parts = list(value.values()) if isinstance(value, Mapping) else value
        plain = isinstance(parts, list) and not any(isinstance(part, (dict, list)) for part in parts)
        return value is not None and not (plain and all(len(str(part)) <= _MAX_NAME for part in parts))
    if key == "sAftr" and not payload.get("data"):
        # Beside rows it is a cursor, whatever it looks like.
        parts = value if isinstance(value, list) else [value]
        return value not in (None, "", {}) and any(isinstance(part, (dict, str)) and part != "" for part in parts)
    return False


def says_all_is_well(key: str, value: Any) -> bool:
    """Whether a key beside the documented ones is known, and says that all is well."""
    folded = _folded(key)
    return _plain(value) in _ALL_IS_WELL.get(folded, _QUIET if folded in _WORDS else frozenset()) | _SILENT


def _folded(key: str) -> str:
    return "".join(filter(str.isalnum, key)).casefold()


def _plain(value: Any) -> str:
    return str(value).strip().casefold()


def vendor_error(
    endpoint: str,
    response: HttpResponse,
    payload: Any,
    *,
    page: int | None = None,
    message: str = "",
    secrets: Iterable[str] = (),
) -> ApiError | None:
    """The error that an answer is, by its HTTP status and what its JSON says; None when it is no error.

    Args:
        endpoint: what was asked for, for the message.
        response: the answer.
        payload: its decoded JSON, or None when it had none.
        page: number of the request within a report, or None.
        message: what to say when the JSON says nothing.
        secrets: what may not be repeated from the vendor's message.
    """
    status = response.status_code
    code, is_error = None, status >= 400
    if isinstance(payload, dict):
        code, code_says_error = _vendor_code(payload.get("code"))
        is_error = is_error or code_says_error or _says_error(payload)
        message = _vendor_message(payload)
    if not is_error:
        return None
    return error_class(status, code)(
        code=code,
        vendor_message=scrub(message, secrets),
        http_status=status,
        endpoint=endpoint,
        page=page,
        retry_after=retry_after_seconds(response.headers.get("Retry-After")),
    )


def decode(raw: bytes) -> Any:
    """Decode JSON.

    Raises:
        AnswerError: it is none; the message says what it is instead.
    """
    # In msgspec 0.20 its error is no ValueError.
    with suppress(msgspec.MsgspecError, ValueError, RecursionError):
        return _decode(raw)
    # msgspec is stricter: it takes no byte order mark, no lone surrogate, no number beyond a float's range. What it
    # takes, both read as the same values.
    if not raw.strip():
        raise AnswerError("an empty body")
    try:
        # As text: of bytes json takes UTF-16 and UTF-32 too, which JSON on the wire is not (RFC 8259, 8.1).
        return json.loads(raw.decode("utf-8-sig", "surrogatepass"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise AnswerError(_what_it_is(raw, error)) from None


def _what_it_is(raw: bytes, error: Exception) -> str:
    """What a body is that is no JSON."""
    start = raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"<":
        return "an HTML page instead of JSON"
    if start not in (b"{", b"["):
        return "something that is not JSON"
    if isinstance(error, _ConstantError):
        return f"JSON with {error} in it, which JSON does not have; DeepCall has to mend that"
    with suppress(ValueError, RecursionError):
        text = raw.decode("latin-1" if isinstance(error, UnicodeDecodeError) else "utf-8-sig").strip()
        _, end = json.JSONDecoder().raw_decode(text)
        if end < len(text):
            return "JSON with something behind its end, such as a warning of the server's; DeepCall has to mend that"
        return "JSON that is not in UTF-8; DeepCall, or a proxy between this worker and the server, has to mend that"
    return "JSON that is cut off or broken"


class _ConstantError(ValueError):
    """``NaN``, ``Infinity`` or ``-Infinity``."""


def _refuse_constant(name: str) -> Any:
    raise _ConstantError(name)


def _vendor_code(value: Any) -> tuple[int | None, bool]:
    """A code as a number, and whether its presence alone says "error" (200 and 0 do not)."""
    if value is None or value == "" or isinstance(value, bool):
        return None, False
    number = whole_number(value)
    if number is None:
        return None, True
    return number, number not in (0, 200)


def _says_error(payload: Mapping[str, Any]) -> bool:
    """Whether an answer without an error code says that it is one all the same."""
    status = payload.get("status")
    if isinstance(status, int) and not isinstance(status, bool):
        return status >= 400
    return str(status).lower() in _ERROR_WORDS or bool(payload.get("error") or payload.get("errors"))


def _is_empty(payload: Mapping[str, Any]) -> bool:
    """Whether an answer promises no calls either."""
    return not payload.get("data") and not payload.get("cnt")


def _vendor_message(payload: Mapping[str, Any]) -> str:
    for key in ("message", "msg", "error", "errors", "description"):
        value = payload.get(key)
        if value:
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return ""
