"""The links beside a task in Airflow's UI: where they lead, and that they lead nowhere else."""

from __future__ import annotations

import json
import logging

import pytest
from support.operators import operators_run, summary_of
from support.runs import Evidence

from airflow_provider_callreport import get_provider_info
from airflow_provider_callreport.assets import Delivery, delivery_of
from airflow_provider_callreport.operators.callreport import CallReportExportOperator, MaskListToS3Operator
from airflow_provider_callreport.task.links import (
    CallReportLink,
    DeliveredFileLink,
    PortalLink,
    SentMailLink,
    file_url,
    mail_url,
    portal_url,
)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return operators_run(tmp_path_factory)


def links(run: Evidence, link: type[CallReportLink]) -> dict[str, str]:
    """Where a link leads, by task; tasks that have none are left out."""
    return {task_id: url for task_id, url in run.xcoms("assets", link().xcom_key).items() if url}


def test_delivered_file_has_a_link(run: Evidence) -> None:
    """A4: to the object, or the folder of several; none where nothing of the task is in S3."""
    base = "https://files.example.com/reports"
    found = links(run, DeliveredFileLink)
    assert found["by_name"] == f"{base}/assets/2026-03-13.csv"
    assert found["by_address"] == f"{base}/assets/a%20b.csv"
    assert found["grouped"] == f"{base}/assets/%23%E0%A4%97%E0%A5%8D%E0%A4%B0%E0%A5%81%E0%A4%AA/"
    # The object is there, whoever wrote it, and whatever came of the task.
    assert found["again"] == found["first"] == f"{base}/assets/same.csv"
    assert found["failed"] == f"{base}/assets/failed.csv"
    assert found["joined"] == f"{base}/assets/%23manifest%3F.json"
    assert found["recorded"] == found["recorded_again"] == f"{base}/assets/recordings.jsonl"
    assert found["answered"] == f"{base}/assets/answered.csv"
    assert found["downloaded"] == f"{base}/assets/a%23b%3Fc%20d.pdf"
    assert not found.keys() & {"mailed", "left_alone", "empty", "accepted"}


def test_sent_mail_has_a_link(run: Evidence) -> None:
    """A4: by its Message-ID."""
    (mail,) = [mail for mail in run.mails["smtp_default"] if mail.recipients == ("mailed@example.com",)]
    message_id = str(mail.message["Message-ID"]).strip("<>")
    found = links(run, SentMailLink)
    assert found["mailed"] == f"https://mail.example.com/#search/{message_id.replace('@', '%40')}"
    assert set(found) == {"mailed", "by_name"}


def test_portal_has_a_link(run: Evidence) -> None:
    """A4: with host, report and window."""
    found = links(run, PortalLink)
    before, _, after = found["by_address"].partition("127.0.0.1:")
    assert before == "https://portal.example.com/"
    assert after.partition("/")[2] == "masked_calls?from=2026-03-13T00:00:00&to=2026-03-14T00:00:00"
    assert "/calls?" in found["mailed"]
    assert "empty" not in found


def test_links_tell_no_filter_and_no_signature(run: Evidence) -> None:
    """P1: whoever sees the task may see its links."""
    told = json.dumps([links(run, link) for link in (DeliveredFileLink, SentMailLink, PortalLink)])
    assert "filtered.csv" in told
    for canary in ("9876501200", "X-Amz-Signature", "Signature="):
        assert canary not in told


def test_the_ui_knows_the_links() -> None:
    """A4: the operators have them, and the provider info names their classes, without which 2.11 shows none."""
    names = {f"{link.__module__}.{link.__name__}" for link in (DeliveredFileLink, SentMailLink, PortalLink)}
    assert set(get_provider_info()["extra-links"]) == names
    assert [link.name for link in CallReportExportOperator.operator_extra_links] == [
        "Delivered file",
        "Sent mail",
        "Report in the portal",
    ]
    assert "Sent mail" not in {link.name for link in MaskListToS3Operator.operator_extra_links}


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("ap-south-1", "https://console.aws.amazon.com"),
        ("cn-north-1", "https://console.amazonaws.cn"),
        ("us-gov-west-1", "https://console.amazonaws-us-gov.com"),
    ],
)
def test_file_on_aws_is_in_the_console(monkeypatch: pytest.MonkeyPatch, region: str, console: str) -> None:
    """A4: one object by its page, several by their folder; the region is that of the connection."""
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
    """A4: a MinIO server is not AWS, and a mail not S3; a connection that is not there makes no red task."""
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


def test_deployment_says_where_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A4: for stores other than AWS."""
    option(monkeypatch, "file_url", "https://minio.example.com/browser/{bucket}/{key}?from={store}")
    url = file_url(delivery("a/ü?.csv", store="gs://reports"), "aws_missing")
    assert url == "https://minio.example.com/browser/reports/a/%C3%BC%3F.csv?from=gs://reports"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("javascript:alert('{bucket}')", "no https:// address"),
        ("http://minio.example.com/{key}", "no https:// address"),
        ("minio.example.com/{key}", "no https:// address"),
        ("https://{key}", "no https:// address"),
        ("https://minio.example.com/\x07{key}", "no https:// address"),
        ("https://minio.example.com/{nothing}", "no address with {store}, {bucket}, {key}"),
        ("https://minio.example.com/{key", "no address with {store}, {bucket}, {key}"),
        ("https://minio.example.com/{key.nothing}", "no address with {store}, {bucket}, {key}"),
        ("https://minio.example.com/{}", "no address with {store}, {bucket}, {key}"),
    ],
)
def test_wrong_option_makes_a_warning_and_no_link(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, template: str, why: str
) -> None:
    """P3, rule 8: the browser of who clicks runs no script of a configuration; the task stays green."""
    option(monkeypatch, "file_url", template)
    with caplog.at_level(logging.WARNING):
        assert file_url(delivery("/calls.csv"), None) == ""
    assert f"[callreport] file_url in Airflow's configuration is {why}" in caplog.text


def test_loopback_may_do_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """P3: as with the API itself."""
    option(monkeypatch, "portal_url", "http://127.0.0.1:8000/{report}")
    assert portal_url("api.example.com", summary_of().info) == "http://127.0.0.1:8000/calls"


def test_without_options_there_is_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """A4: nobody knows where a brand's portal or a company's mail archive is."""
    for name in ("mail_url", "portal_url"):
        option(monkeypatch, name, "")
    assert (mail_url("<a@example.com>"), portal_url("api.example.com", summary_of().info)) == ("", "")
    option(monkeypatch, "mail_url", "https://mail.example.com/{message_id}")
    assert mail_url(None) == ""


def delivery(*keys: str, store: str = "s3://reports") -> Delivery:
    """A delivery of objects with a row each."""
    uris = [f"{store}/{key}" for key in keys]
    return delivery_of(summary_of(*((uri, "written") for uri in uris)), bucket=store.removeprefix("s3://"))


def aws(monkeypatch: pytest.MonkeyPatch, **extra: str) -> None:
    """An AWS connection."""
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_LINKS", json.dumps(connection))


def option(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """An option of Airflow's configuration."""
    monkeypatch.setenv(f"AIRFLOW__CALLREPORT__{name.upper()}", value)
