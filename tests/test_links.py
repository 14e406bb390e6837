"""The link beside a task in Airflow's UI: where it leads, and that it leads nowhere else."""

from __future__ import annotations

import json

import pytest
from support.operators import operators_run, summary_of
from support.runs import AirflowRuns, Evidence

from airflow_provider_callreport import get_provider_info
from airflow_provider_callreport.assets import Delivery, delivery_of
from airflow_provider_callreport.operators.callreport import CallReportExportOperator, MaskListToS3Operator
from airflow_provider_callreport.operators.manifest import CallReportManifestOperator
from airflow_provider_callreport.operators.recordings import CallRecordingsToS3Operator
from airflow_provider_callreport.task.links import DeliveredFileLink, file_url


@pytest.fixture(scope="session")
def run(airflow_runs: AirflowRuns) -> Evidence:
    return operators_run(airflow_runs)


def links(run: Evidence) -> dict[str, str]:
    """Where the link leads, by task; no XCom is kept for a task that has none."""
    return run.xcoms("assets", DeliveredFileLink().xcom_key)


def test_delivered_file_has_a_link(run: Evidence) -> None:
    """known-to-airflow: to the object, or the folder of several; none where nothing of the task is in S3."""
    console = "https://console.aws.amazon.com/s3"
    base = f"{console}/object/reports?region=us-east-1&prefix="
    found = links(run)
    assert found["by_name"] == f"{base}assets/2026-03-13.csv"
    assert found["by_address"] == f"{base}assets/a%20b.csv"
    folder = "assets/%23%E0%A4%97%E0%A5%8D%E0%A4%B0%E0%A5%81%E0%A4%AA/"
    assert found["grouped"] == f"{console}/buckets/reports?region=us-east-1&prefix={folder}"
    # The object is there, whoever wrote it, and whatever came of the task.
    assert found["again"] == found["first"] == f"{base}assets/same.csv"
    assert found["failed"] == f"{base}assets/failed.csv"
    assert found["joined"] == f"{base}assets/%23manifest%3F.json"
    assert found["recorded"] == found["recorded_again"] == f"{base}assets/recordings.jsonl"
    assert not found.keys() & {"mailed", "left_alone", "empty"}


def test_links_tell_no_filter_and_no_signature(run: Evidence) -> None:
    """no-leak: whoever sees the task may see its link."""
    told = json.dumps(links(run))
    assert "filtered.csv" in told
    for canary in ("9876501200", "X-Amz-Signature", "Signature="):
        assert canary not in told


def test_the_ui_knows_the_link() -> None:
    """known-to-airflow: the operators have it, and the provider info names its class, without which 2.11 does not show
    it.
    """
    assert get_provider_info()["extra-links"] == [f"{DeliveredFileLink.__module__}.{DeliveredFileLink.__name__}"]
    for operator in (
        CallReportExportOperator,
        MaskListToS3Operator,
        CallReportManifestOperator,
        CallRecordingsToS3Operator,
    ):
        assert [link.name for link in operator.operator_extra_links] == ["Delivered file"]


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("ap-south-1", "https://console.aws.amazon.com"),
        ("cn-north-1", "https://console.amazonaws.cn"),
        ("us-gov-west-1", "https://console.amazonaws-us-gov.com"),
    ],
)
def test_file_on_aws_is_in_the_console(monkeypatch: pytest.MonkeyPatch, region: str, console: str) -> None:
    """known-to-airflow: one object by its page, several by their folder; the region is that of the connection."""
    aws(monkeypatch, region_name=region)
    assert file_url(delivery("calls/dt=2026-03-13/a b&c.csv"), "aws_links") == (
        f"{console}/s3/object/reports?region={region}&prefix=calls/dt%3D2026-03-13/a%20b%26c.csv"
    )
    several = delivery("calls/a/x.csv", "calls/a/y.csv", "calls/ab.csv")
    assert file_url(several, "aws_links") == f"{console}/s3/buckets/reports?region={region}&prefix=calls/"
    assert file_url(delivery("x.csv", "y.csv"), "aws_links").endswith("&prefix=")


def test_file_elsewhere_is_not_in_the_console(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """known-to-airflow: a MinIO server is not AWS, and a mail not S3; a connection that is not there
    makes no red task.
    """
    aws(monkeypatch, region_name="us-east-1", endpoint_url="http://127.0.0.1:9")
    assert file_url(delivery("calls.csv"), "aws_links") == ""
    aws(monkeypatch, region_name="us-east-1")
    assert file_url(delivery("calls.csv", store="gs://reports"), "aws_links") == ""
    assert file_url(delivery("calls.csv", store="s3://arn:aws:s3:us-east-1:1:accesspoint/a"), "aws_links") == ""
    assert file_url(Delivery((), {}), "aws_links") == ""
    assert "no link" not in caplog.text
    aws(monkeypatch, profile_name="missing")
    assert file_url(delivery("calls.csv"), "aws_links") == ""
    assert "no link to the delivered file: ProfileNotFound" in caplog.messages


def delivery(*keys: str, store: str = "s3://reports") -> Delivery:
    """A delivery of objects with a row each."""
    uris = [f"{store}/{key}" for key in keys]
    return delivery_of(summary_of(*((uri, "written") for uri in uris)), bucket=store.removeprefix("s3://"))


def aws(monkeypatch: pytest.MonkeyPatch, **extra: str) -> None:
    """An AWS connection."""
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_LINKS", json.dumps(connection))
