"""The servers of the benchmarks, in a process of their own: the stand-in API, S3 and a mail server.

Prints one line of JSON with their addresses, then serves until its standard input is closed.
"""

from __future__ import annotations

import argparse
import json
import sys

from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer, SandboxSmtp
from airflow_provider_callreport.sandbox.settings import SandboxSettings, parse_faults

BUCKET = "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls-per-day", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--cursor", choices=("none", "top"), default="none")
    arguments = parser.parse_args()
    settings = SandboxSettings(
        calls=SyntheticCalls(arguments.calls_per_day),
        cursor=arguments.cursor,
        faults=parse_faults([f"delay:seconds={arguments.latency}"] if arguments.latency else []),
    )
    with SandboxS3((BUCKET,)) as s3, SandboxServer(settings) as api, SandboxSmtp() as smtp:
        where = {
            "api": api.url,
            "s3": s3.url,
            "smtp": smtp.port,
            "smtp_connection": smtp.connection_json(),
            "user": settings.user_id,
            "token": settings.token,
        }
        sys.stdout.write(json.dumps(where) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
