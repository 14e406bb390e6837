"""The servers of a benchmark, in a process of their own: the stand-in API and S3.

Prints one line of JSON with their addresses, then serves until its standard input is closed.
"""

from __future__ import annotations

import argparse
import json
import sys

from moto.server import ThreadedMotoServer

from airflow_provider_callreport.sandbox.api_server import SandboxServer
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.settings import SandboxSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls-per-day", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    arguments = parser.parse_args()
    settings = SandboxSettings(calls=SyntheticCalls(arguments.calls_per_day))
    if arguments.latency:
        settings.faults = [Fault("delay", seconds=arguments.latency)]
    s3 = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    s3.start()
    host, port = s3.get_host_and_port()
    with SandboxServer(settings) as api:
        print(
            json.dumps(
                {"api": api.url, "s3": f"http://{host}:{port}", "user": "sandbox-user", "token": "sandbox-token"}
            )
        )
        sys.stdout.flush()
        sys.stdin.read()
    s3.stop()


if __name__ == "__main__":
    main()
