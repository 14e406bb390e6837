"""When Airflow 3.3 tries a task again, and after how long (error-kinds, retry-wait)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="Airflow before 3.3 has no retry policies")

from airflow.sdk.definitions.retry_policy import RetryAction

from airflow_provider_callreport.api.errors import (
    AuthenticationError,
    CallReportError,
    IncompleteReportError,
    RateLimitedError,
    TransportError,
)
from airflow_provider_callreport.delivery.errors import DestinationRefusedError, DestinationUnavailableError
from airflow_provider_callreport.formats.pdf.fonts import FontError
from airflow_provider_callreport.operators.callreport import MaskListToS3Operator
from airflow_provider_callreport.task.retry_policy import default_retry_policy


def limited(after: float | None) -> RateLimitedError:
    return RateLimitedError(code=None, vendor_message="", http_status=429, endpoint="list", retry_after=after)


def decide(error: BaseException, try_number: int = 1, **task: Any) -> Any:
    """What the policy of an operator with such delays decides."""
    operator = MaskListToS3Operator(
        task_id="calls", s3_bucket="b", s3_key="k", **{"retry_delay": timedelta(minutes=5), **task}
    )
    return default_retry_policy().evaluate(error, try_number, 3, {"task": operator})


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (limited(None), RetryAction.RETRY),
        (TransportError("refused"), RetryAction.RETRY),
        (TransportError("certificate", retryable=False), RetryAction.FAIL),
        (AuthenticationError(code=1014, vendor_message="", http_status=200, endpoint="list"), RetryAction.FAIL),
        (DestinationUnavailableError("later"), RetryAction.RETRY),
        (DestinationRefusedError("never"), RetryAction.FAIL),
        (FontError("no font"), RetryAction.FAIL),
        (ZeroDivisionError(), RetryAction.DEFAULT),
    ],
)
def test_retryable_decides(error: BaseException, action: Any) -> None:
    """error-kinds: one attribute, for errors of the API, of formats and of delivery alike; foreign errors are
    Airflow's.
    """
    assert decide(error).action == action


@pytest.mark.parametrize("after", [None, 0, 1, 299, 300])
def test_a_servers_wish_does_not_shorten_the_dags_delay(after: float | None) -> None:
    """retry-wait: the Dag says five minutes, and the API "in a second"."""
    assert decide(limited(after)).retry_delay is None


@pytest.mark.parametrize(
    ("after", "delay"),
    [(301, timedelta(seconds=301)), (3600, timedelta(hours=1)), (1e30, timedelta(hours=1))],
)
def test_a_longer_wish_is_obeyed_up_to_an_hour(after: float, delay: timedelta) -> None:
    """retry-wait: also where it is the cause of another error."""
    assert decide(limited(after)).retry_delay == delay
    error = IncompleteReportError("page 3", page=3, rows=10, promised=20, retryable=True)
    error.__cause__ = limited(after)
    assert decide(error).retry_delay == delay


@pytest.mark.parametrize(
    ("after", "try_number", "longest", "delay"),
    [
        (500, 1, None, None),
        (700, 1, None, timedelta(seconds=700)),
        (700, 2, None, None),
        (1300, 2, None, timedelta(seconds=1300)),
        (1300, 2000, None, None),
        (1300, 9, timedelta(minutes=20), timedelta(seconds=1300)),
        (1100, 9, timedelta(minutes=20), None),
    ],
)
def test_a_delay_that_doubles_is_not_shortened_either(
    after: float, try_number: int, longest: timedelta | None, delay: timedelta | None
) -> None:
    """retry-wait: five minutes become ten and twenty, and Airflow draws from one to two times as much."""
    decision = decide(limited(after), try_number, retry_exponential_backoff=2, max_retry_delay=longest)
    assert decision.retry_delay == delay


def test_without_a_context_the_dags_delay_stays() -> None:
    """Nobody can tell how long it is."""
    error: CallReportError = limited(30)
    assert default_retry_policy().evaluate(error, 1, 3).retry_delay is None
