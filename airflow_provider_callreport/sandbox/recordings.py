"""Recordings: what ``detail`` says of them, and the streams of sound behind their tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from airflow_provider_callreport.sandbox.errors import VendorError, error_body
from airflow_provider_callreport.sandbox.listed import ListedCalls
from airflow_provider_callreport.sandbox.settings import SandboxSettings

#: An MPEG-1 layer III frame of 64 kbit/s at 44.1 kHz: 208 bytes, of which this is the header.
_FRAME_HEADER = b"\xff\xfb\x50\xc4"
_FRAME_BYTES = 208
#: An empty ID3v2.4 tag, as most encoders begin with.
_ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x00"
_FRAMES_AT_A_TIME = 100


def detail(body: Mapping[str, object], settings: SandboxSettings) -> Response:
    """The answer of ``detail``: the recordings of one call of either kind.

    Several recordings of a listed call are separated by a space in `Call.recording`.

    Raises:
        VendorError: 1000 without a ``clId``, 1012 when no call has it.
    """
    call_id = body.get("clId")
    if not isinstance(call_id, str) or not call_id:
        raise VendorError(1000, "Invalid parameters: clId is required")
    for source in (settings.calls, settings.masked_calls):
        recording = source.recording(call_id)
        if recording is not None:
            return JSONResponse({"data": _data(recording.split(), settings.detail_answer)})
    raise VendorError(1012)


def _data(recordings: list[str], form: str) -> object:
    entries = [{"ndId": f"n{number}", "rcrd": recording} for number, recording in enumerate(recordings, 1)]
    match form:
        case "being_made":
            return {"rcrdAr": []}
        case "data_list":
            return {"rcrdAr": entries} if entries else []
        case "data_null":
            return {"rcrdAr": entries} if entries else None
        case "no_ids":
            return {"rcrdAr": [{"rcrd": recording} for recording in recordings]}
        case "odd_shape":
            return {"recordings": recordings}
        case "odd_token":
            return {"rcrdAr": [{"ndId": "n1", "rcrd": "a/b/../c.mp3"}]}
    return {"rcrdAr": entries}


def stream(recording: str, settings: SandboxSettings) -> Response:
    """The stream of one recording, by its token path with asterisks; 404 when no call has it."""
    if not _is_known(recording, settings) or settings.recording_answer == "missing":
        return HTMLResponse("<pre>Cannot GET the recording</pre>", 404)
    match settings.recording_answer:
        case "html":
            return Response("<html><body>Please sign in</body></html>", media_type="audio/mpeg")
        case "error":
            return JSONResponse(error_body(1009))
        case "empty":
            return Response(b"", media_type="audio/mpeg")
        case "text":
            return Response("no sound", media_type="audio/mpeg")
        case "cut":
            body = recording_bytes(recording, settings)
            # More is promised than comes: the server closes the connection in the middle.
            headers = {"Content-Length": str(len(body) + 1000)}
            return StreamingResponse(iter([body]), media_type="audio/mpeg", headers=headers)
    headers = {"Content-Length": str(_size(recording, settings))}
    return StreamingResponse(_pieces(recording, settings), media_type="audio/mpeg", headers=headers)


def recording_bytes(recording: str, settings: SandboxSettings) -> bytes:
    """The whole of a recording, for a test to compare with."""
    return b"".join(_pieces(recording, settings))


def _size(recording: str, settings: SandboxSettings) -> int:
    return len(_ID3) + _frames(recording, settings) * _FRAME_BYTES


def _frames(recording: str, settings: SandboxSettings) -> int:
    spread = hashlib.sha256(recording.encode()).digest()[0]
    return max(1, settings.recording_bytes // _FRAME_BYTES * (256 - spread // 2) // 256)


def _pieces(recording: str, settings: SandboxSettings) -> Iterator[bytes]:
    """Frames that hold the recording's hash instead of sound: every recording is another one, the same each time."""
    yield _ID3
    frame = (_FRAME_HEADER + hashlib.sha256(recording.encode()).digest() * 7)[:_FRAME_BYTES]
    left = _frames(recording, settings)
    while left:
        piece = min(left, _FRAMES_AT_A_TIME)
        yield frame * piece
        left -= piece


def _is_known(recording: str, settings: SandboxSettings) -> bool:
    call_id = recording.rpartition("*")[2].removesuffix(".mp3")
    for source in (settings.calls, settings.masked_calls):
        if source.recording(call_id) == recording:
            return True
        if isinstance(source, ListedCalls) and any(recording in call.recording.split() for call in source.calls):
            return True
    return False
