"""What `make wide` asks Airflow and the stand-in API over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

_SECONDS = 30


def call(method: str, url: str, body: object = None, token: str = "") -> Any:
    """One request with JSON; returns the JSON of the answer.

    Raises:
        OSError: there is no answer, or it is an error.
    """
    request = urllib.request.Request(url, method=method, headers={"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.data = json.dumps(body).encode()
    # No proxy: everything is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_SECONDS) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise OSError(f"{method} {url}: HTTP {error.code} {error.read()[:500]!r}") from None
    return json.loads(text) if text else None


class Airflow:
    """Airflow's REST API, as its admin.

    Args:
        url: of the api-server.
        password: of the user ``admin``.
        dag_id: the only Dag.
    """

    def __init__(self, url: str, password: str, dag_id: str) -> None:
        self._url = url
        self._dag = f"/dags/{dag_id}"
        login = {"username": "admin", "password": password}
        self._token: str = call("POST", f"{url}/auth/token", login)["access_token"]

    def is_parsed(self) -> bool:
        """Whether the Dag is there to be run."""
        try:
            self._call("GET", self._dag)
        except OSError:
            return False
        return True

    def import_errors(self) -> list[str]:
        """What is wrong with the Dag file."""
        return [one["stack_trace"] for one in self._call("GET", "/importErrors")["import_errors"]]

    def set_pool(self, name: str, slots: int) -> None:
        """Make a pool, or change how many slots it has."""
        create = {"action": "create", "entities": [{"name": name, "slots": slots}], "action_on_existence": "overwrite"}
        self._call("PATCH", "/pools", {"actions": [create]})

    def start_run(self, run_id: str, at: str) -> None:
        """Start a run whose data interval ends at ``at``, and starts there too."""
        body = {"dag_run_id": run_id, "logical_date": at, "data_interval_start": at, "data_interval_end": at}
        self._call("POST", f"{self._dag}/dagRuns", body)

    def run(self, run_id: str) -> dict[str, Any]:
        """A run."""
        found: dict[str, Any] = self._call("GET", f"{self._dag}/dagRuns/{run_id}")
        return found

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        path = f"{self._dag}/dagRuns/{run_id}/taskInstances?limit=100"
        found: list[dict[str, Any]] = self._call("GET", path)["task_instances"]
        return found

    def clear(self, run_id: str, tasks: Sequence[tuple[str, int]]) -> None:
        """Clear mapped tasks, as the button of the UI does."""
        body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "task_ids": list(tasks)}
        self._call("POST", f"{self._dag}/clearTaskInstances", body)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        return call(method, f"{self._url}/api/v2{path}", body, self._token)
