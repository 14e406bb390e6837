"""``docs/security.md``: the policy and the rule that it prints are enough, and no more than needed (private-files,
stored-bytes).
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import Request, urlopen

import pytest
from support.delivery import INFO, OTHER_RUN, OUTCOME, RUN, exported

from airflow_provider_callreport.delivery.errors import DestinationRefusedError, ObjectExistsError
from airflow_provider_callreport.delivery.receipts import DeliveryStatus
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.servers import SandboxS3

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parent.parent / "docs" / "security.md"
KEY = "calls/report.csv"
CONTENT = random.Random(3).randbytes(1000)


class InParts(S3Destination):
    """An object in small parts."""

    part_bytes: ClassVar[int] = 300


def printed(heading: str) -> Any:
    """The JSON under a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    return json.loads(block)


class Bucket:
    """The bucket ``reports``, whose server asks who comes, and a user with a policy."""

    def __init__(self, s3: SandboxS3, patch: pytest.MonkeyPatch) -> None:
        import boto3

        self.s3 = s3
        self._patch = patch
        keys = {"aws_access_key_id": "admin", "aws_secret_access_key": "admin", "region_name": "us-east-1"}
        self._iam = boto3.client("iam", endpoint_url=s3.url, **keys)
        self._iam.create_user(UserName="worker")
        self._key = self._iam.create_access_key(UserName="worker")["AccessKey"]

    def grant(self, policy: Any) -> None:
        """Let the user do this, and use it for the AWS connection."""
        self._iam.put_user_policy(UserName="worker", PolicyName="reports", PolicyDocument=json.dumps(policy))
        connection = {
            "conn_type": "aws",
            "login": self._key["AccessKeyId"],
            "password": self._key["SecretAccessKey"],
            "extra": {"endpoint_url": self.s3.url, "region_name": "us-east-1"},
        }
        self._patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Inside the block nothing is done for those who may not."""
        self._ask_from("0")
        try:
            yield
        finally:
            self._ask_from("inf")

    def _ask_from(self, request: str) -> None:
        # How many requests of the server's are not asked (moto's documentation, "IAM-like Access Control").
        address, kind = f"{self.s3.url}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urlopen(Request(address, request.encode(), kind, method="POST"), timeout=10).close()

    def deliver(
        self, folder: Path, content: bytes = CONTENT, *, run: RunIdentity = RUN, key: str = KEY, **options: Any
    ) -> DeliveryStatus:
        """Write an object as the user."""
        kind = InParts if len(content) > InParts.part_bytes else S3Destination
        with self.guarded():
            place = kind("reports", key, **options)
            return place.deliver(exported(folder, content), info=INFO, outcome=OUTCOME, run=run).status

    def uploads(self) -> int:
        """Uploads that are not finished."""
        return len(self.s3.client().list_multipart_uploads(Bucket="reports").get("Uploads", ()))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    with SandboxS3(["reports"]) as s3:
        yield Bucket(s3, monkeypatch)


def without(action: str) -> Any:
    """The policy that the page prints, less an action."""
    policy = printed("Permissions in AWS")
    policy["Statement"][0]["Action"].remove(action)
    return policy


@pytest.mark.parametrize("content", [CONTENT[:200], CONTENT], ids=["whole", "in parts"])
def test_the_printed_policy_is_enough(bucket: Bucket, tmp_path: Path, content: bytes) -> None:
    """if-exists, stored-bytes: each policy for taken keys, over all cases; and no other key of the bucket."""
    bucket.grant(printed("Permissions in AWS"))
    for if_exists in ("replace", "fail", "skip"):
        key = f"calls/{if_exists}.csv"
        assert bucket.deliver(tmp_path, content, key=key, if_exists=if_exists) is DeliveryStatus.WRITTEN
        again = bucket.deliver(tmp_path, content, key=key, if_exists=if_exists)
        assert again is DeliveryStatus.ALREADY_THERE
    with pytest.raises(ObjectExistsError):
        bucket.deliver(tmp_path, content, key="calls/fail.csv", if_exists="fail", run=OTHER_RUN)
    skipped = bucket.deliver(tmp_path, content, key="calls/skip.csv", if_exists="skip", run=OTHER_RUN)
    assert skipped is DeliveryStatus.SKIPPED
    with pytest.raises(DestinationRefusedError, match="grant s3:PutObject"):
        bucket.deliver(tmp_path, content, key="elsewhere/report.csv")
    assert bucket.uploads() == 0


def test_each_action_of_the_printed_policy_is_needed(bucket: Bucket, tmp_path: Path) -> None:
    """private-files: least privilege; what the page says of each action that is missing comes true."""
    bucket.grant(without("s3:PutObject"))
    with pytest.raises(DestinationRefusedError, match="grant s3:PutObject"):
        bucket.deliver(tmp_path)

    bucket.grant(without("s3:GetObject"))
    assert bucket.deliver(tmp_path, if_exists="fail") is DeliveryStatus.WRITTEN
    with pytest.raises(ObjectExistsError):
        bucket.deliver(tmp_path, if_exists="fail")

    bucket.grant(without("s3:AbortMultipartUpload"))
    broken = exported(tmp_path, CONTENT)
    broken.path.write_bytes(CONTENT[:-1] + b"!")
    with bucket.guarded(), pytest.raises(Exception, match="not the file that was exported"):
        InParts("reports", "calls/broken.csv").deliver(broken, info=INFO, outcome=OUTCOME, run=RUN)
    assert bucket.uploads() == 1


def test_the_printed_lifecycle_rule_is_one(bucket: Bucket) -> None:
    """all-or-nothing: S3 takes the rule as it is printed."""
    rule = printed("A lifecycle rule for the bucket")
    client = bucket.s3.client()
    client.put_bucket_lifecycle_configuration(Bucket="reports", LifecycleConfiguration=rule)
    assert client.get_bucket_lifecycle_configuration(Bucket="reports")["Rules"] == rule["Rules"]


def test_airflow_shows_ssid_until_it_is_told_not_to(tmp_path: Path) -> None:
    """no-leak: what Airflow's API server shows of a connection's extra fields, and the option of the page that mends
    it.
    """
    pytest.importorskip("airflow.api_fastapi.core_api.datamodels.connections", reason="only Airflow 3 has this server")
    extra = json.dumps({"ssid": "a-session-id", "hmac_secret": "a-key-of-ours"})
    program = (
        "from airflow.api_fastapi.core_api.datamodels.connections import ConnectionResponse\n"
        f"print(ConnectionResponse.redact_extra({extra!r}))"
    )

    def shown(**option: str) -> Any:
        environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), **option}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    assert shown() == {"ssid": "a-session-id", "hmac_secret": "***"}
    assert "AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES=ssid" in PAGE.read_text(encoding="utf-8")
    assert shown(AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES="ssid") == {"ssid": "***", "hmac_secret": "***"}
