"""``detail``: one call, and where its recordings are.

The vendor's page names the endpoint; what it takes and answers is known from third parties' clients: ``clId`` and
``rType: ["rcrd"]``, answered by
``{"data": {"rcrdAr": [{"ndId": "n1", "rcrd": "<token>*mp3*<user>*YYYY*MM*DD*<file>.mp3"}]}}``.
While a recording is still being made the answer is slow, or its list is empty.

A recording is streamed to whoever knows its address, so the address is a secret: it is made when it is used, and is in
no ``repr``, message or log line.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_callreport.api.errors import AnswerError, SettingsError

if TYPE_CHECKING:
    from airflow_provider_callreport.api.client import CallReportClient

#: The part of a call that recordings are; the only one that is known.
RECORDINGS = "rcrd"

_PARTS = 7
_FORMAT = "mp3"
_DATE = re.compile(r"\d{4}/\d\d/\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of a call.

    Attributes:
        node: the API's id of the part of the call that was recorded (``ndId``), such as ``"n1"``; ``""`` for none.
    """

    node: str
    _path: tuple[str, ...] = field(repr=False)

    def stream_url(self, base_url: str) -> str:
        """The address of the stream: a secret, whoever has it can listen.

        Args:
            base_url: the client's `base_url`, such as ``https://v4-api.deepcall.com/api/v2/CallReport``. The streams
                are beside its last part, under ``recording/directstream``.
        """
        parent = base_url.rpartition("/")[0]
        return "/".join((parent, "recording/directstream", *(quote(part, safe="") for part in self._path)))

    def source(self, secret: str) -> str:
        """A keyed hash of the file that is streamed: the same for the same file, whatever token leads there.

        Args:
            secret: the key. A file's name may hold a phone number, which a hash without a key would give away.
        """
        named = "/".join(quote(part, safe="") for part in self._path[1:])
        return hmac.digest(secret.encode(), named.encode(), "sha256").hex()


@dataclass(frozen=True, slots=True)
class CallDetail:
    """What ``detail`` says of one call.

    Attributes:
        call_id: the call's id.
        recordings: its recordings, each once, in the API's order. Empty when the call has none, when they are still
            being made, and when the API knows no such call: it does not say which.
        data: the answer's ``data`` as it came. It holds the recordings' tokens, so it is in no ``repr``.
    """

    call_id: str
    recordings: tuple[Recording, ...]
    data: Any = field(repr=False, compare=False)


def fetch_detail(client: CallReportClient, call_id: str, parts: Sequence[str] = (RECORDINGS,)) -> CallDetail:
    """Ask for one call.

    Args:
        client: the account.
        call_id: the call's id (``callId`` of a row).
        parts: what to ask for (``rType``); `RECORDINGS` is the only part that is known.

    Raises:
        SettingsError: the id or the parts are empty or no text.
        AnswerError: the answer has a shape that cannot be read.
        CallReportError: one of the tree in `errors`.
    """
    if not isinstance(call_id, str) or not call_id.strip():
        raise SettingsError(f"call_id is {call_id!r}; allowed is the id of a call, as text")
    if isinstance(parts, str) or not parts or not all(isinstance(part, str) and part for part in parts):
        raise SettingsError(f'parts is {parts!r}; allowed is a list of texts, such as ["{RECORDINGS}"]')
    fields = {"clId": call_id, "rType": list(parts)}
    return client.call("detail", fields, lambda payload, _: read_detail(payload, call_id, RECORDINGS in parts))


def read_detail(payload: Any, call_id: str, recordings_asked: bool = True) -> CallDetail:
    """Read an answer of ``detail``.

    Accepted for ``data``: an object with ``rcrdAr`` (a list of objects, or null), and an empty object, an empty list or
    null for a call without recordings.

    Args:
        payload: the decoded JSON.
        call_id: the call that was asked for.
        recordings_asked: whether the answer must say something of recordings.

    Raises:
        AnswerError: another shape. A shape that cannot be read is never "no recording".
    """
    if not isinstance(payload, Mapping) or "data" not in payload:
        raise AnswerError("detail answered no object with data")
    data = payload["data"]
    if data is None or data == [] or data == {} or not recordings_asked:
        return CallDetail(call_id, (), data)
    if not isinstance(data, Mapping) or "rcrdAr" not in data:
        raise AnswerError("detail answered data without rcrdAr, so nothing is known of recordings")
    entries = data["rcrdAr"] or []
    if not isinstance(entries, list):
        raise AnswerError(f"detail answered an rcrdAr of type {type(entries).__name__} where a list was expected")
    return CallDetail(call_id, tuple(dict.fromkeys(map(_recording, entries))), data)


def _recording(entry: Any) -> Recording:
    if not isinstance(entry, Mapping):
        raise AnswerError(f"detail answered a recording of type {type(entry).__name__} where an object was expected")
    text, node = entry.get("rcrd"), entry.get("ndId")
    parts = tuple(text.split("*")) if isinstance(text, str) else ()
    known = len(parts) == _PARTS and parts[1] == _FORMAT and _DATE.fullmatch("/".join(parts[3:6]))
    # A part of dots alone would climb to another address, and quoting does not touch dots.
    if not known or any(not part.strip(".") for part in parts) or not parts[-1].endswith(f".{_FORMAT}"):
        raise AnswerError(
            "detail answered a recording whose rcrd is not of the form "
            f"<token>*{_FORMAT}*<user>*YYYY*MM*DD*<file>.{_FORMAT}"
        )
    return Recording("" if node is None else str(node), parts)
