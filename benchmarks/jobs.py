"""One measured job in a fresh process: prints a line of JSON with rows, seconds, CPU seconds and peak memory.

The jobs:

``ours``           this package: pages -> ledger -> typing -> file -> sha256 -> checked upload, or mail
``ours4``          the same with four pages under way at once
``script``         the task that people write: requests in a loop, a DataFrame, ``to_csv``, ``to_excel`` or
                   ``to_parquet`` (reportlab's canvas for PDF), boto3 ``upload_file`` or smtplib
``http_operator``  Airflow's ``HttpOperator`` with a pagination function; a response filter writes the file
``bare``           requests, json, csv.writer, boto3 ``upload_file``; no check of anything
``floor``          a bare socket, a bare JSON decode, a bare csv.writer: what this machine can do at all; no upload
``fetch``          only the reading half of ``ours``
``fetch4``         the same with four pages under way at once
``write``          only the writing half of ``ours``, from pages that were read before the clock starts
``export``         ``ours`` without S3, so without Airflow: for memory

``dlt_job.py`` is the job by dlt. Imports are done before the clock starts, so that a job's seconds are the job's.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import smtplib
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from benchmarks.measuring import measure
from benchmarks.servers import BUCKET

ZONE = ZoneInfo("Asia/Kolkata")
DAY = datetime(2026, 1, 31, tzinfo=ZONE)
FILTER = {"dtGte": "2026-01-31 00:00:00", "dtLte": "2026-01-31 23:59:59"}
PAGE_SIZE = 100
SENDER, READER = "reports@example.com", "head@example.com"
PATH = "/api/v2/CallReport/list"


def client(servers: dict[str, Any]) -> Any:
    from airflow_provider_callreport.api.client import CallReportClient
    from airflow_provider_callreport.api.settings import settings_from_connection

    settings = settings_from_connection(
        host=servers["api"],
        port=None,
        scheme=None,
        login=servers["user"],
        password=servers["token"],
        extra={"page_size": servers.get("page_size", "auto"), **servers.get("extra", {})},
    )
    return CallReportClient(settings)


def request(file_format: str, concurrency: int = 1) -> Any:
    from airflow_provider_callreport.api.filters import Window
    from airflow_provider_callreport.export.road import ExportRequest
    from airflow_provider_callreport.formats import FORMATS

    options = FORMATS[file_format].check_options({})
    return ExportRequest(
        "calls",
        Window(DAY, DAY + timedelta(days=1), ZONE),
        file_format=file_format,
        format_options=options,
        concurrency=concurrency,
        rounds_wait=(0, 0, 0),
    )


def ours(servers: dict[str, Any], file_format: str, concurrency: int = 1) -> Callable[[], int]:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_callreport.delivery.email import EmailDestination
    from airflow_provider_callreport.delivery.s3 import S3Destination
    from airflow_provider_callreport.export.road import export_report
    from airflow_provider_callreport.formats import FORMATS
    from airflow_provider_callreport.report import RunIdentity

    in_airflow(servers)
    FORMATS[file_format].load()
    if file_format == "parquet":
        import_module("pandas")  # pyarrow imports it where it is
    S3Hook("aws_default").get_conn()
    run = RunIdentity("benchmark", "ours", "run")
    api, wanted = client(servers), request(file_format, concurrency)
    if servers.get("to") == "mail":
        mail = EmailDestination(to=READER)
        return lambda: export_report(api, wanted, run=run, email=mail, preflight=True).outcome.rows
    target = S3Destination(BUCKET, f"ours/calls.{file_format}")
    return lambda: export_report(api, wanted, run=run, destination=target, preflight=True).outcome.rows


def ours4(servers: dict[str, Any], file_format: str) -> Callable[[], int]:
    return ours(servers, file_format, concurrency=4)


def export(servers: dict[str, Any], file_format: str) -> Callable[[], int]:
    from airflow_provider_callreport.export.road import export_report
    from airflow_provider_callreport.formats import FORMATS
    from airflow_provider_callreport.report import RunIdentity

    # This package does not bring pandas, and pyarrow imports it where it is: some 50 MB.
    sys.meta_path.insert(0, _NoPandas())
    FORMATS[file_format].load()
    api, wanted, run = client(servers), request(file_format), RunIdentity("benchmark", "export", "run")
    return lambda: export_report(api, wanted, run=run).outcome.rows


class _NoPandas:
    """Finds no pandas."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def fetch(servers: dict[str, Any], file_format: str, concurrency: int = 1) -> Callable[[], int]:
    from airflow_provider_callreport.api.paging import ReportReader

    wanted = request(file_format)
    reader = ReportReader(client(servers), "calls", {}, wanted.window, concurrency=concurrency)
    return lambda: sum(len(page.records) for page in reader.pages())


def fetch4(servers: dict[str, Any], file_format: str) -> Callable[[], int]:
    return fetch(servers, file_format, concurrency=4)


def write(servers: dict[str, Any], file_format: str) -> Callable[[], int]:
    from airflow_provider_callreport.api.paging import ReportReader
    from airflow_provider_callreport.api.table import Table
    from airflow_provider_callreport.formats import FORMATS
    from airflow_provider_callreport.report import ReportOutcome

    wanted = request(file_format)
    pages = list(ReportReader(client(servers), "calls", {}, wanted.window).pages())
    writer_class = FORMATS[file_format].load()

    def job() -> int:
        with tempfile.TemporaryDirectory() as directory:
            table = Table(ZONE)
            columns = table.start(pages[0].form, pages[0].bodies)
            writer = writer_class(Path(directory, "file"), columns, wanted.info(), wanted.format_options)
            rows = 0
            for page in pages:
                typed = table.rows(page.bodies, page.form)
                writer.write(typed)
                rows += len(typed)
            writer.close(ReportOutcome(rows, rows, True, ""))
        return rows

    return job


def body(servers: dict[str, Any]) -> dict[str, Any]:
    size = servers.get("page_size", PAGE_SIZE)
    return {"userId": servers["user"], "token": servers["token"], "filter": FILTER, "sz": size, "page": 0}


def _next_body(asked: dict[str, Any], answer: dict[str, Any], cursor: bool) -> dict[str, Any] | None:
    """What is written in a task again and again: no look at status, code, total or repeated pages."""
    if not answer["data"]:
        return None
    if not cursor:
        return {**asked, "page": asked["page"] + 1}
    return {**asked, "sAftr": answer["sAftr"]} if answer.get("sAftr") else None


def _obvious_pages(servers: dict[str, Any]) -> Iterator[dict[str, Any]]:
    import requests

    asked: dict[str, Any] | None = body(servers)
    while asked is not None:
        answer = requests.post(servers["api"] + PATH, json=asked, timeout=30).json()
        asked = _next_body(asked, answer, servers.get("cursor", False))
        if answer["data"]:
            yield answer


def script(servers: dict[str, Any], file_format: str) -> Callable[[], int]:
    import pandas as pd

    writers: dict[str, Callable[[Any, Path], object]] = {
        "csv": lambda frame, path: frame.to_csv(path, index=False),
        "xlsx": lambda frame, path: frame.to_excel(path, index=False),
        "parquet": lambda frame, path: frame.to_parquet(path, index=False),
        "pdf": _pdf,
    }
    for module in {"xlsx": ["openpyxl"], "parquet": ["pyarrow.parquet"], "pdf": ["benchmarks.formats"]}.get(
        file_format, []
    ):
        import_module(module)
    s3_client(servers)  # so that all that it imports is imported

    def job() -> int:
        rows: list[dict[str, Any]] = []
        for answer in _obvious_pages(servers):
            columns = answer["columnArr"]
            rows.extend(answer["data"])
        frame = pd.DataFrame(rows)[list(columns)].rename(columns=columns)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, f"calls.{file_format}")
            writers[file_format](frame, path)
            if servers.get("to") == "mail":
                _send(servers, path)
            else:
                s3_client(servers).upload_file(str(path), BUCKET, f"script/calls.{file_format}")
        return len(frame)

    return job


def _pdf(frame: Any, path: Path) -> None:
    from benchmarks.formats import plain_pdf

    plain_pdf([frame.values.tolist()], path.parent)
    (path.parent / "plain.pdf").rename(path)


def _send(servers: dict[str, Any], path: Path) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = SENDER, READER, "Calls"
    mail.set_content("The calls of the day.")
    mail.add_attachment(path.read_bytes(), maintype="application", subtype="octet-stream", filename=path.name)
    with smtplib.SMTP("127.0.0.1", servers["smtp"]) as smtp:
        smtp.send_message(mail)


def http_operator(servers: dict[str, Any], _file_format: str) -> Callable[[], int]:
    # `execute` refuses to run outside of a task runner, unless in unit-test mode.
    os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"
    os.environ["AIRFLOW_CONN_HTTP_DEFAULT"] = json.dumps({"conn_type": "http", "host": servers["api"]})
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from airflow.providers.http.operators.http import HttpOperator

    # What the operator imports while it runs.
    for module in ("airflow.providers.http.hooks.http", "airflow.utils.operator_helpers"):
        import_module(module)
    in_airflow(servers)

    def following(response: Any) -> dict[str, Any] | None:
        asked = _next_body(json.loads(response.request.body), response.json(), servers.get("cursor", False))
        return None if asked is None else {"data": json.dumps(asked)}

    def write(responses: list[Any]) -> int:
        count = 0
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "calls.csv")
            with path.open("w", newline="") as file:
                count = _write_csv(file, (response.json() for response in responses))
            S3Hook("aws_default").load_file(path, "http_operator/calls.csv", BUCKET, replace=True)
        return count

    operator = HttpOperator(
        task_id="calls",
        endpoint=PATH,
        data=json.dumps(body(servers)),
        headers={"Content-Type": "application/json"},
        pagination_function=following,
        response_filter=write,
    )
    return lambda: int(operator.execute({}))


def bare(servers: dict[str, Any], _file_format: str) -> Callable[[], int]:
    s3_client(servers)  # so that all that it imports is imported

    def job() -> int:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "calls.csv")
            with path.open("w", newline="") as file:
                count = _write_csv(file, _obvious_pages(servers))
            s3_client(servers).upload_file(str(path), BUCKET, "bare/calls.csv")
        return count

    return job


def floor(servers: dict[str, Any], _file_format: str) -> Callable[[], int]:
    return lambda: _to_temporary_csv(_floor_pages(servers))


def _floor_pages(servers: dict[str, Any]) -> Iterator[dict[str, Any]]:
    place = urlsplit(servers["api"])
    asked, number = body(servers), 0
    with socket.create_connection((place.hostname, place.port or 80)) as wire, wire.makefile("rb") as lines:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            content = json.dumps({**asked, "page": number}).encode()
            head = f"POST {PATH} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(content)}\r\n\r\n"
            wire.sendall(head.encode() + content)
            length = 0
            while (line := lines.readline()) != b"\r\n":
                if line[:15].lower() == b"content-length:":
                    length = int(line[15:])
            answer = json.loads(lines.read(length))
            if not answer["data"]:
                return
            yield answer
            number += 1


def _to_temporary_csv(answers: Iterator[dict[str, Any]]) -> int:
    with tempfile.TemporaryFile("w", newline="", encoding="utf-8") as file:
        return _write_csv(file, answers)


def _write_csv(file: Any, answers: Iterator[dict[str, Any]]) -> int:
    writer, count = csv.writer(file), 0
    for answer in answers:
        columns, rows = answer["columnArr"], answer["data"]
        if not count:
            writer.writerow(columns.values())
        writer.writerows(map(itemgetter(*columns), rows))
        count += len(rows)
    return count


def in_airflow(servers: dict[str, Any]) -> None:
    """What Airflow does before a task's own code runs: plugins are loaded. And the connections."""
    import_module("airflow.providers.common.compat.lineage.hook").get_hook_lineage_collector()
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(
        {
            "conn_type": "aws",
            "login": "testing",
            "password": "testing",
            "extra": {"endpoint_url": servers["s3"], "region_name": "us-east-1"},
        }
    )


def s3_client(servers: dict[str, Any]) -> Any:
    """A client of a session of its own: a second one of the same session would find the service's model read."""
    import boto3

    return boto3.session.Session().client(
        "s3",
        endpoint_url=servers["s3"],
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def count_s3_requests() -> Callable[[], dict[str, Any]]:
    """Count the requests that boto3 makes in this process from now on."""
    from botocore.httpsession import URLLib3Session

    sent: list[str] = []
    original = URLLib3Session.send

    def send(self: Any, asked: Any) -> Any:
        sent.append(asked.method)
        return original(self, asked)

    URLLib3Session.send = send
    return lambda: {"s3_requests": {method: sent.count(method) for method in sorted(set(sent))}}


#: By name; each makes what is measured and leaves the imports outside of it.
JOBS: dict[str, Callable[[dict[str, Any], str], Callable[[], int]]] = {
    job.__name__: job for job in (ours, ours4, script, http_operator, bare, floor, fetch, fetch4, write, export)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("format", choices=("csv", "xlsx", "pdf", "jsonl", "parquet"))
    arguments = parser.parse_args()
    job = JOBS[arguments.job](json.loads(os.environ["BENCHMARK_SERVERS"]), arguments.format)
    measure(job, dict if arguments.job == "export" else count_s3_requests())


if __name__ == "__main__":
    main()
