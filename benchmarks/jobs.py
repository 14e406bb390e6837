"""One measured job in a fresh process: prints a line of JSON with rows, seconds and peak memory.

The jobs:

``ours``         this package: pages -> ledger -> typing -> file -> sha256 -> checked upload
``pandas``       the obvious task: requests in a loop, a DataFrame, ``to_csv``/``to_excel``, boto3 ``upload_file``
``bare``         the floor: requests, json, csv.writer, boto3 ``upload_file``; no check of anything
``fetch``        only the reading half of ``ours``
``fetch4``       the same with four pages under way at once
``write``        only the writing half of ``ours``, from pages that were read before the clock starts
``export``       ``ours`` without S3, so without Airflow: for memory

Imports are done before the clock starts, so that a job's seconds are the job's.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

BUCKET = "benchmark"
ZONE = ZoneInfo("Asia/Kolkata")
DAY = datetime(2026, 1, 31, tzinfo=ZONE)


def client(servers: dict[str, str]) -> Any:
    from airflow_provider_callreport.api.client import CallReportClient
    from airflow_provider_callreport.api.settings import settings_from_connection

    settings, _ = settings_from_connection(
        host=servers["api"], port=None, scheme=None, login=servers["user"], password=servers["token"], extra={}
    )
    return CallReportClient(settings)


def request(file_format: str) -> Any:
    from airflow_provider_callreport.api.filters import Window
    from airflow_provider_callreport.export import ExportRequest
    from airflow_provider_callreport.formats import FORMATS

    options = FORMATS[file_format].check_options({})
    return ExportRequest(
        "calls", Window(DAY, DAY + timedelta(days=1), ZONE), file_format=file_format, format_options=options
    )


def ours(servers: dict[str, str], file_format: str) -> Callable[[], int]:
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(
        {
            "conn_type": "aws",
            "login": "testing",
            "password": "testing",
            "extra": {"endpoint_url": servers["s3"], "region_name": "us-east-1"},
        }
    )
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_callreport.delivery.s3 import S3Destination
    from airflow_provider_callreport.export import export_report
    from airflow_provider_callreport.formats import FORMATS
    from airflow_provider_callreport.report import RunIdentity

    FORMATS[file_format].load()
    bucket(S3Hook("aws_default").get_conn())
    run = RunIdentity("benchmark", "ours", "run")
    api = client(servers)
    return lambda: export_report(api, request(file_format), run=run, s3=S3Destination(BUCKET, "ours")).outcome.rows


def export(servers: dict[str, str], file_format: str) -> Callable[[], int]:
    from airflow_provider_callreport.export import _make_files
    from airflow_provider_callreport.formats import FORMATS
    from airflow_provider_callreport.spool import spool_directory

    FORMATS[file_format].load()
    api, wanted = client(servers), request(file_format)

    def job() -> int:
        with spool_directory() as directory:
            rows: int = _make_files(api, wanted, wanted.info(), directory, wants_figures=False).outcome.rows
        return rows

    return job


def fetch(servers: dict[str, str], file_format: str) -> Callable[[], int]:
    from airflow_provider_callreport.api.paging import ReportReader

    wanted = request(file_format)
    reader = ReportReader(client(servers), "calls", {}, wanted.window)
    return lambda: sum(len(page.records) for page in reader.pages())


def fetch4(servers: dict[str, str], file_format: str) -> Callable[[], int]:
    from airflow_provider_callreport.api.paging import ReportReader

    wanted = request(file_format)
    reader = ReportReader(client(servers), "calls", {}, wanted.window, concurrency=4)
    return lambda: sum(len(page.records) for page in reader.pages())


def write(servers: dict[str, str], file_format: str) -> Callable[[], int]:
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
            columns = table.start(pages[0].records, pages[0].column_arr)
            writer = writer_class(Path(directory, "file"), columns, wanted.info(), wanted.format_options)
            rows = 0
            for page in pages:
                typed = table.rows(page.records, page.column_arr)
                writer.write(typed)
                rows += len(typed)
            writer.close(ReportOutcome(rows, rows, True, ""))
        return rows

    return job


def _obvious_pages(servers: dict[str, str]) -> Any:
    """What is written in a task again and again: no look at status, code, total or repeated pages."""
    import requests

    number = 0
    while True:
        answer = requests.post(
            f"{servers['api']}/api/v2/CallReport/list",
            json={
                "userId": servers["user"],
                "token": servers["token"],
                "filter": {"dtGte": "2026-01-31 00:00:00", "dtLte": "2026-01-31 23:59:59"},
                "sz": 100,
                "page": number,
            },
            timeout=30,
        ).json()
        if not answer["data"]:
            return
        yield answer
        number += 1


def pandas(servers: dict[str, str], file_format: str) -> Callable[[], int]:
    import pandas as pd

    s3 = s3_client(servers)

    def job() -> int:
        rows: list[dict[str, Any]] = []
        for answer in _obvious_pages(servers):
            columns = answer["columnArr"]
            rows.extend(answer["data"])
        frame = pd.DataFrame(rows)[list(columns)].rename(columns=columns)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, f"calls.{file_format}")
            if file_format == "csv":
                frame.to_csv(path, index=False)
            else:
                frame.to_excel(path, index=False)
            s3.upload_file(str(path), BUCKET, "pandas")
        return len(frame)

    return job


def bare(servers: dict[str, str], file_format: str) -> Callable[[], int]:
    s3 = s3_client(servers)

    def job() -> int:
        count = 0
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "calls.csv")
            with path.open("w", newline="") as file:
                writer = csv.writer(file)
                for answer in _obvious_pages(servers):
                    columns = answer["columnArr"]
                    if not count:
                        writer.writerow(columns.values())
                    for row in answer["data"]:
                        writer.writerow([row[key] for key in columns])
                        count += 1
            s3.upload_file(str(path), BUCKET, "bare")
        return count

    return job


def s3_client(servers: dict[str, str]) -> Any:
    import boto3

    s3 = boto3.client(
        "s3",
        endpoint_url=servers["s3"],
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    bucket(s3)
    return s3


def bucket(s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET)


JOBS = {job.__name__: job for job in (ours, pandas, bare, fetch, fetch4, write, export)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("format", choices=("csv", "xlsx", "pdf", "jsonl", "parquet"))
    arguments = parser.parse_args()
    job = JOBS[arguments.job](json.loads(os.environ["BENCHMARK_SERVERS"]), arguments.format)
    cpu, start = time.process_time(), time.perf_counter()
    rows = job()
    seconds = time.perf_counter() - start
    print(
        json.dumps(
            {
                "rows": rows,
                "seconds": seconds,
                "cpu": time.process_time() - cpu,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
