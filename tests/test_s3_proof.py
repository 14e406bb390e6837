"""S3: an answer is not a proof. What was written is looked at; what was not seen is not overwritten.

The server is `support.odd_s3`: over sockets, and odd as servers are. An object in parts has seven of 65,536 bytes.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.delivery import INFO, OTHER_RUN, OUTCOME, RUN, aws_connection, exported
from support.odd_s3 import BUCKET, OddS3, Request, odd_s3

from airflow_provider_callreport.delivery.errors import (
    DamagedUploadError,
    DeliveryError,
    DestinationRefusedError,
    DestinationUnavailableError,
)
from airflow_provider_callreport.delivery.receipts import DeliveryStatus
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.report import RunIdentity

SMALL = b"Caller Number,Time\r\n" * 50
LARGE = random.Random(7).randbytes(412_525)
KEY = "calls/day.csv"
PATIENCE = 60

Start = Callable[..., OddS3]


class Place(S3Destination):
    """An object in small parts."""

    part_bytes: ClassVar[int] = 65_536


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a server with oddities, and makes the connection to it."""
    with ExitStack() as stack:

        def begin(*, attempts: int = 1, config: dict[str, Any] | None = None, **oddities: Any) -> OddS3:
            store = stack.enter_context(odd_s3(**oddities))
            settings = {"connect_timeout": 5, "read_timeout": 30, "retries": {"total_max_attempts": attempts}}
            connection = aws_connection(store.url, config_kwargs={**settings, **(config or {})})
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection)
            return store

        yield begin


def deliver(folder: Path, content: bytes, run: RunIdentity = RUN, if_exists: str = "replace") -> DeliveryStatus:
    """Deliver to the key."""
    place = Place(BUCKET, KEY, if_exists=if_exists)
    return place.deliver(exported(folder, content), info=INFO, outcome=OUTCOME, run=run).status


SIZES = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one request", "parts"])
POLICIES = pytest.mark.parametrize("if_exists", ["replace", "fail", "skip"])


@pytest.mark.slow
@SIZES
@pytest.mark.parametrize("checksums", ["known", "ignored"])
@pytest.mark.parametrize("etags", ["md5", "opaque"])
@pytest.mark.parametrize("conditions", ["known", "ignored", "refused"])
def test_a_server_that_stores_what_it_is_given_is_believed(
    start: Start, tmp_path: Path, content: bytes, checksums: str, etags: str, conditions: str
) -> None:
    """stored-bytes: whatever fingerprints a server has, the bytes are proved; the same ones are not sent again."""
    store = start(checksums=checksums, etags=etags, conditions=conditions)
    assert deliver(tmp_path, content) is DeliveryStatus.WRITTEN
    assert store.objects[KEY].body == content
    read_back = "GetObject" in store.operations()
    assert read_back == (checksums == "ignored" and etags == "opaque"), "read back only where nothing else proves it"
    store.requests.clear()
    assert deliver(tmp_path, content, OTHER_RUN) is DeliveryStatus.UNCHANGED
    assert deliver(tmp_path, content) is DeliveryStatus.ALREADY_THERE
    assert set(store.operations()) <= {"HeadObject", "GetObject"}
    assert deliver(tmp_path, content + b"one more", OTHER_RUN) is DeliveryStatus.WRITTEN
    assert store.objects[KEY].body == content + b"one more"
    assert store.uploads == {}


#: Oddities, the content, what the sentence says.
WRONG: list[tuple[dict[str, Any], bytes, str]] = [
    ({"lost_parts": 2, "checksums": "ignored"}, LARGE, "it has 327680 bytes, and 412525 were sent; it was removed"),
    ({"lost_parts": 1}, LARGE, "it has 393216 bytes, and 412525 were sent; it was removed"),
    ({"lost_parts": 2, "etags": "opaque"}, LARGE, "it has 327680 bytes"),
    ({"lost_parts": 7, "etags": "opaque", "checksums": "ignored"}, LARGE, "it has 0 bytes"),
    ({"loses": True}, SMALL, "answered that .* was written, and has not stored it: nothing is there"),
    ({"loses": True}, LARGE, "answered that .* was written, and has not stored it: nothing is there"),
    ({"loses": True, "conditions": "refused"}, SMALL, "has not stored it: nothing is there"),
    ({"damages": True, "etags": "opaque", "checksums": "ignored"}, SMALL, "its SHA-256 is not the file's; it was rem"),
    ({"damages": True, "etags": "opaque", "checksums": "ignored"}, LARGE, "its SHA-256 is not the file's; it was rem"),
    (
        {"may_read": False, "etags": "opaque", "checksums": "ignored"},
        SMALL,
        "nothing proves the bytes: the answer has no checksum, and s3:GetObject is not granted; it was removed",
    ),
    ({"may_read": False, "lost_parts": 2}, LARGE, "nothing proves the bytes"),
]


@pytest.mark.parametrize(("oddities", "content", "sentence"), WRONG)
def test_what_is_not_what_was_sent_is_red_and_goes(
    start: Start, tmp_path: Path, oddities: dict[str, Any], content: bytes, sentence: str
) -> None:
    """stored-bytes: HTTP 200, and behind it lost parts, lost objects, other bytes, bytes that nobody can see."""
    store = start(**oddities)
    with pytest.raises(DamagedUploadError, match=sentence) as caught:
        deliver(tmp_path, content)
    assert caught.value.retryable
    assert f"s3://{BUCKET}/{KEY}" in str(caught.value)
    assert store.objects == {}
    assert store.uploads == {}


@SIZES
def test_a_lost_write_leaves_the_old_object_and_says_so(start: Start, tmp_path: Path, content: bytes) -> None:
    """stored-bytes: where an object was before, its being there proves nothing."""
    store = start(loses=True)
    store.put(KEY, b"yesterday's")
    with pytest.raises(DamagedUploadError, match="has not stored it: what was there before still is"):
        deliver(tmp_path, content)
    assert store.objects[KEY].body == b"yesterday's"


@SIZES
def test_an_object_without_metadata_is_proved_by_its_bytes(start: Start, tmp_path: Path, content: bytes) -> None:
    """stored-bytes: a server that drops metadata can be used; only, nobody can tell later whose object it is."""
    store = start(keeps_metadata=False)
    assert [deliver(tmp_path, content) for _ in range(2)] == [DeliveryStatus.WRITTEN] * 2
    assert store.objects[KEY].body == content


def test_a_server_that_shows_an_object_late_is_waited_for(start: Start, tmp_path: Path) -> None:
    """stored-bytes: one that is eventually consistent answers "nothing there" at first."""
    store = start(hidden=2)
    assert deliver(tmp_path, SMALL) is DeliveryStatus.WRITTEN
    assert store.operations() == ["HeadObject", "PutObject", "HeadObject", "HeadObject", "HeadObject"]


@SIZES
@POLICIES
@pytest.mark.parametrize("attempts", [1, 3], ids=["no retries of the SDK", "the SDK tries again"])
@pytest.mark.parametrize("conditions", ["known", "ignored"])
def test_a_write_whose_answer_was_lost_is_this_runs_own(
    start: Start, tmp_path: Path, content: bytes, if_exists: str, attempts: int, conditions: str
) -> None:
    """if-exists: the answer is cut off, the SDK's own retry gets 412 or "no such upload": the task is green."""
    store = start(cuts=["PutObject", "CompleteMultipartUpload"], attempts=attempts, conditions=conditions)
    assert deliver(tmp_path, content, if_exists=if_exists) is DeliveryStatus.WRITTEN
    assert store.objects[KEY].body == content
    assert store.uploads == {}


@SIZES
def test_a_write_whose_answer_was_lost_and_that_was_not_stored_is_red(
    start: Start, tmp_path: Path, content: bytes
) -> None:
    """if-exists: the look finds nothing, or another run's object, and the error is what it was."""
    store = start(cuts=["PutObject", "CompleteMultipartUpload"], loses=True)
    with pytest.raises(DestinationUnavailableError, match="could not be reached"):
        deliver(tmp_path, content)
    store.put(KEY, b"theirs", {"run": "theirs"})
    store.cuts += ["PutObject", "CompleteMultipartUpload"]
    with pytest.raises(DestinationUnavailableError, match="could not be reached"):
        deliver(tmp_path, content)
    assert store.objects[KEY].body == b"theirs"


def later(run: RunIdentity = RUN, minutes: int = 10) -> RunIdentity:
    """The next try of the same run."""
    assert run.began is not None
    return replace(run, began=run.began + timedelta(minutes=minutes))


class Meanwhile:
    """Holds the first write, and lets something else be done before it goes on."""

    def __init__(self, store: OddS3) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        store.before = self._hold

    def _hold(self, request: Request) -> None:
        if request.operation in ("PutObject", "CompleteMultipartUpload") and not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(PATIENCE)


@SIZES
@POLICIES
def test_a_late_first_try_does_not_overwrite_the_second_ones_result(
    start: Start, tmp_path: Path, content: bytes, if_exists: str
) -> None:
    """if-exists: the first try hangs in its write, the second writes newer calls, and then the first goes on."""
    store = start()
    newer = content[::-1] + b"late calls"
    meanwhile = Meanwhile(store)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(deliver, tmp_path, content, RUN, if_exists)
        assert meanwhile.reached.wait(PATIENCE)
        assert deliver(tmp_path, newer, later(), if_exists) is DeliveryStatus.WRITTEN
        meanwhile.go_on.set()
        with pytest.raises(DestinationUnavailableError, match=r"a later try of this run, begun at 2026-03-14T00:15:00"):
            first.result(PATIENCE)
    assert store.objects[KEY].body == newer
    # Nor when it wakes up before it has looked at anything, on a server that knows no conditions either.
    store.conditions = "ignored"
    with pytest.raises(DestinationUnavailableError, match="an earlier try does not overwrite that"):
        deliver(tmp_path, content, RUN, if_exists)
    assert store.objects[KEY].body == newer


@POLICIES
def test_the_newer_try_overwrites_what_the_late_first_one_wrote(start: Start, tmp_path: Path, if_exists: str) -> None:
    """if-exists: the other way round: the first try writes while the second is about to; the second one's calls win."""
    store = start()
    meanwhile = Meanwhile(store)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(deliver, tmp_path, b"newer", later(), if_exists)
        assert meanwhile.reached.wait(PATIENCE)
        assert deliver(tmp_path, b"older", RUN, if_exists) is DeliveryStatus.WRITTEN
        meanwhile.go_on.set()
        assert second.result(PATIENCE) is DeliveryStatus.WRITTEN
    assert store.objects[KEY].body == b"newer"


def test_replace_looks_again_at_what_another_run_wrote_meanwhile(start: Start, tmp_path: Path) -> None:
    """if-exists: it overwrites what it has looked at: the PUT for the object that it had not seen is refused."""
    store = start()
    meanwhile = Meanwhile(store)
    with ThreadPoolExecutor(1) as pool:
        ours = pool.submit(deliver, tmp_path, b"ours")
        assert meanwhile.reached.wait(PATIENCE)
        store.put(KEY, b"theirs", {"run": "theirs"})
        meanwhile.go_on.set()
        assert ours.result(PATIENCE) is DeliveryStatus.WRITTEN
    puts = [request for request in store.requests if request.operation == "PutObject"]
    theirs = hashlib.md5(b"theirs", usedforsecurity=False).hexdigest()
    assert [(one.headers.get("if-none-match"), one.headers.get("if-match")) for one in puts] == [
        ("*", None),
        (None, f'"{theirs}"'),
    ]
    assert store.objects[KEY].body == b"ours"


def test_an_object_that_another_run_replaced_after_the_write_is_theirs(start: Start, tmp_path: Path) -> None:
    """if-exists: the look after the write sees another run's object: both have succeeded, one after the other."""
    store = start()
    looks = iter([False, True])

    def replace_it(request: Request) -> None:
        if request.operation == "HeadObject" and next(looks, False):
            store.put(KEY, b"theirs", {"run": "theirs"})

    store.before = replace_it
    assert deliver(tmp_path, b"ours") is DeliveryStatus.WRITTEN
    assert store.objects[KEY].body == b"theirs"


@SIZES
def test_replace_does_without_conditions_where_a_server_does_not_know_them(
    start: Start, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """if-exists: HTTP 501 to a condition: replace goes on, and says what that means; fail and skip cannot be kept."""
    store = start(conditions="refused")
    assert deliver(tmp_path, content) is DeliveryStatus.WRITTEN
    assert "knows no conditional writes; what others write at the same moment is overwritten" in caplog.text
    store.objects.clear()
    for if_exists in ("fail", "skip"):
        with pytest.raises(
            DestinationRefusedError, match=f'if_exists="{if_exists}" needs and "replace" does not'
        ) as no:
            deliver(tmp_path, content, if_exists=if_exists)
        assert "NotImplemented (HTTP 501)" in str(no.value)
        assert "A header you provided implies functionality that is not implemented" in str(no.value)
    assert store.objects == {}
    assert store.uploads == {}


@pytest.mark.slow
@SIZES
@POLICIES
def test_a_server_that_refuses_checksums_can_be_used(
    start: Start, tmp_path: Path, content: bytes, if_exists: str
) -> None:
    """stored-bytes: `request_checksum_calculation` of the connection is honoured; the ETag proves the bytes."""
    config = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    store = start(checksums="refused", config=config)
    assert deliver(tmp_path, content, if_exists=if_exists) is DeliveryStatus.WRITTEN
    assert store.objects[KEY].body == content
    sent = [one for one in store.requests if one.operation in ("PutObject", "UploadPart")]
    assert all("content-md5" in one.headers for one in sent)
    assert not [name for one in store.requests for name in one.headers if "checksum" in name]
    assert deliver(tmp_path, content, if_exists=if_exists) is DeliveryStatus.ALREADY_THERE
    store.etags = "opaque"
    assert deliver(tmp_path, content[::-1], if_exists=if_exists) is DeliveryStatus.WRITTEN
    assert "GetObject" in store.operations()
    store.damages = True
    with pytest.raises(DamagedUploadError, match="its SHA-256 is not the file's"):
        deliver(tmp_path, content, if_exists=if_exists)


@SIZES
def test_a_refusal_shows_the_servers_words_and_what_to_set(start: Start, tmp_path: Path, content: bytes) -> None:
    """clear-sentence: the reader sees what the server said, without the phone number in it, and what to do."""
    start(checksums="refused")
    with pytest.raises(DestinationRefusedError) as caught:
        deliver(tmp_path, content)
    text = str(caught.value)
    assert "S3 answered InvalidRequest (HTTP 400) to" in text
    assert "No checksum headers here, call *** for help" in text
    assert (
        '"config_kwargs": {"request_checksum_calculation": "when_required"} in the extra of connection "aws_default"'
        in text
    )


def test_without_permission_to_look_the_answer_has_to_do(start: Start, tmp_path: Path) -> None:
    """stored-bytes: s3:PutObject alone: the checksum or the MD5 in the answer proves the bytes."""
    for oddities in ({}, {"checksums": "ignored"}, {"etags": "opaque"}):
        store = start(may_read=False, **oddities)
        assert deliver(tmp_path, SMALL) is DeliveryStatus.WRITTEN
        assert store.objects[KEY].body == SMALL


def test_an_own_object_that_is_damaged_is_written_again(start: Start, tmp_path: Path) -> None:
    """stored-bytes: the metadata of an earlier try's object is right, and its bytes are not: written again."""
    for if_exists in ("replace", "fail", "skip"):
        store = start()
        deliver(tmp_path, SMALL, if_exists=if_exists)
        metadata = store.objects[KEY].metadata
        store.put(KEY, SMALL[::-1], metadata)
        assert deliver(tmp_path, SMALL, later(), if_exists) is DeliveryStatus.WRITTEN
        assert store.objects[KEY].body == SMALL


def test_every_error_of_delivery_is_a_delivery_error(start: Start, tmp_path: Path) -> None:
    """error-kinds: nothing that boto3 raises comes through as it is, whichever request fails."""
    for operation in ("HeadObject", "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
        store = start(loses=True)
        store.cuts = [operation] * 20
        with pytest.raises(DeliveryError):
            deliver(tmp_path, SMALL if operation in ("HeadObject", "PutObject") else LARGE)
        assert store.objects == {}
