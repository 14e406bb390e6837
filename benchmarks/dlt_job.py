"""The job by dlt: its ``rest_api`` source to its ``filesystem`` destination. Run by the interpreter of ``.venv-dlt``.

Configured as dlt's documentation has it for an API that takes the page, or a cursor, in the JSON body of a POST.
"""

from __future__ import annotations

import json
import os
import tempfile
from importlib import import_module
from typing import Any

from benchmarks.measuring import measure


def main() -> None:
    where = json.loads(os.environ["BENCHMARK_SERVERS"])
    os.environ.update({"RUNTIME__DLTHUB_TELEMETRY": "false", "DATA_WRITER__DISABLE_COMPRESSION": "true"})
    import dlt  # type: ignore[import-not-found]
    from dlt.sources.rest_api import rest_api_source  # type: ignore[import-not-found]

    # What dlt imports while it runs.
    for module in ("dlt.destinations.impl.filesystem.filesystem", "s3fs"):
        import_module(module)
    paging: dict[str, Any] = (
        {"type": "cursor", "cursor_path": "sAftr", "cursor_body_path": "sAftr"}
        if where.get("cursor")
        else {"type": "page_number", "base_page": 0, "page_body_path": "page", "total_path": None}
    )
    body = {
        "userId": where["user"],
        "token": where["token"],
        "filter": {"dtGte": "2026-01-31 00:00:00", "dtLte": "2026-01-31 23:59:59"},
        "sz": 100,
    }
    source = rest_api_source(
        {
            "client": {"base_url": where["api"]},
            "resources": [
                {
                    "name": "calls",
                    "endpoint": {
                        "path": "api/v2/CallReport/list",
                        "method": "POST",
                        "json": body,
                        "paginator": paging,
                        "data_selector": "data",
                    },
                }
            ],
        }
    )
    bucket = {
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
        "endpoint_url": where["s3"],
        "region_name": "us-east-1",
    }
    with tempfile.TemporaryDirectory() as directory:
        pipeline = dlt.pipeline(
            "benchmark",
            pipelines_dir=directory,
            destination=dlt.destinations.filesystem(bucket_url="s3://benchmark/dlt", credentials=bucket),
            dataset_name="calls",
        )

        def job() -> int:
            pipeline.run(source, loader_file_format="csv").raise_on_failed_jobs()
            trace = pipeline.last_trace.last_normalize_info
            return int(trace.row_counts.get("calls", 0)) if trace is not None else 0

        measure(job)


if __name__ == "__main__":
    main()
