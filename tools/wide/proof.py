"""Compares what is in S3 with the stand-in API's own list of calls, row by row."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from airflow_provider_callreport.sandbox.filters import CallFilter
from airflow_provider_callreport.sandbox.rows import RowShape
from airflow_provider_callreport.sandbox.servers import SandboxS3
from airflow_provider_callreport.sandbox.source import CallSource


@dataclass
class Proof:
    """What the comparison found.

    Attributes:
        rows: rows in all files of the manifest.
        duplicates: rows that a file has and the API's list does not have, or not so often.
        losses: rows of the API's list that no file has.
        problems: what else is wrong, one sentence each.
    """

    rows: int = 0
    duplicates: int = 0
    losses: int = 0
    problems: list[str] = field(default_factory=list)


def compare(
    s3: SandboxS3,
    bucket: str,
    key: str,
    calls: CallSource,
    window: tuple[datetime, datetime],
    slices: int,
    right: dict[tuple[str, str], int],
) -> Proof:
    """Compare a manifest, and each file that it lists, with the calls of the stand-in API.

    Args:
        s3: where they are.
        bucket: the manifest's bucket.
        key: its key.
        calls: what the API has.
        window: naive, in the account's zone, half open.
        slices: how many files there must be.
        right: rows of the files that were right in earlier comparisons, by URI and SHA-256; this one adds its own.
    """
    proof = Proof()
    if key not in s3.keys(bucket):
        return Proof(problems=[f"there is no manifest at s3://{bucket}/{key}"])
    manifest = json.loads(s3.read(key, bucket))
    start, end = window
    for file in manifest["files"]:
        first, stop = (datetime.fromisoformat(file["window"][name]).replace(tzinfo=None) for name in ("start", "end"))
        if first != start:
            proof.problems.append(f"{file['uri']} begins at {first}, and the file before it ends at {start}")
        start = stop
        content = s3.read(urlsplit(file["uri"]).path[1:], bucket)
        known = (file["uri"], hashlib.sha256(content).hexdigest())
        if known not in right:
            wanted, found = Counter(expected_rows(calls, first, stop)), Counter(stored_rows(content))
            proof.duplicates += (found - wanted).total()
            proof.losses += (wanted - found).total()
            if found == wanted:
                right[known] = found.total()
        rows = right.get(known) or sum(1 for _ in stored_rows(content))
        if file["rows"] != rows:
            proof.problems.append(f"{file['uri']} has {rows} rows, and the manifest says {file['rows']}")
        proof.rows += rows
    if start != end:
        proof.problems.append(f"the last file ends at {start}, and the day at {end}")
    if len(manifest["files"]) != slices:
        proof.problems.append(f"the manifest has {len(manifest['files'])} files instead of {slices}")
    if manifest["rows"] != proof.rows:
        proof.problems.append(f"the manifest says {manifest['rows']} rows, and its files have {proof.rows}")
    if proof.duplicates or proof.losses:
        proof.problems.append(f"{proof.duplicates} rows too many and {proof.losses} rows missing")
    return proof


def expected_rows(calls: CallSource, start: datetime, end: datetime) -> Iterator[tuple[str, ...]]:
    """The API's calls of ``[start, end)`` as a CSV file has them."""
    selection = calls.select(CallFilter(start, end - timedelta(seconds=1)))
    shape = RowShape(ids=False)
    for place in range(0, len(selection), 10_000):
        for text in selection.encode(place, place + 10_000, shape):
            yield tuple(map(str, json.loads(text).values()))


def stored_rows(content: bytes) -> Iterator[tuple[str, ...]]:
    """The rows of a CSV file, without its header."""
    lines = csv.reader(io.StringIO(content.decode(), newline=""))
    next(lines)
    return map(tuple, lines)
