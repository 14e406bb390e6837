"""``python -m airflow_provider_callreport.sandbox``: all servers of a rehearsal, until interrupted."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_callreport.sandbox.settings import SandboxSettings

DESCRIPTION = "Serve a stand-in for the DeepCall Call Report API, with S3 and SMTP beside it, on 127.0.0.1."

#: What the extra ``sandbox`` brings, by import name.
_NEEDED = ("starlette", "uvicorn", "moto", "flask", "aiosmtpd")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: as on the command line; those of the process if None.

    Returns:
        The exit status: 0 after an interruption, 1 when a library is missing or a port is taken, 2 for a mistake in the
        arguments.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return serve(options)
    except ValueError as error:
        parser.error(str(error))


def serve(options: argparse.Namespace) -> int:
    """Run the servers until SIGINT or SIGTERM.

    Args:
        options: see `add_arguments`.

    Returns:
        0 after an interruption, 1 when a library is missing or a port is taken.

    Raises:
        ValueError: an argument is wrong.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        return _fail(
            f"the sandbox needs {', '.join(missing)}: pip install 'airflow-provider-callreport[sandbox]'",
        )
    from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer, SandboxSmtp

    settings = _settings(options)
    stopped = threading.Event()
    with ExitStack() as running:
        for number in (signal.SIGINT, signal.SIGTERM):
            running.callback(signal.signal, number, signal.signal(number, lambda *_: stopped.set()))
        try:
            api = running.enter_context(SandboxServer(settings, port=options.port, proxy=options.proxy or None))
            connections = {"AIRFLOW_CONN_CALLREPORT_DEFAULT": api.connection_json(timezone=options.timezone)}
            if not options.no_s3:
                s3 = running.enter_context(SandboxS3(options.bucket or ["reports"], port=options.s3_port))
                connections["AIRFLOW_CONN_AWS_DEFAULT"] = s3.connection_json()
            if not options.no_smtp:
                smtp = running.enter_context(SandboxSmtp(port=options.smtp_port, save_dir=options.save))
                connections["AIRFLOW_CONN_SMTP_DEFAULT"] = smtp.connection_json()
        except OSError as error:
            return _fail(f"cannot serve: {error}")
        _announce(connections, api.url, as_json=options.json)
        stopped.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_callreport.sandbox",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=list_of_faults(),
    )
    add_arguments(parser.add_argument)
    return parser


def list_of_faults() -> str:
    """The faults that ``--fault`` knows, one a line."""
    from airflow_provider_callreport.sandbox.faults import FAULTS

    return "Faults:\n" + "\n".join(f"  {name:21}{kind.summary}" for name, kind in FAULTS.items())


def add_arguments(add: Callable[..., Any]) -> None:
    """The command's arguments.

    Args:
        add: ``ArgumentParser.add_argument``, or what takes the same.
    """
    from airflow_provider_callreport.sandbox.settings import CHOICES

    add("--calls-per-day", type=int, default=2000, metavar="N", help="calls that list shows (default 2000)")
    add("--masked-calls-per-day", type=int, default=500, metavar="N", help="calls that masklist shows (default 500)")
    add("--seed", type=int, default=1, help="other seed, other calls (default 1)")
    add("--timezone", default="Asia/Kolkata", metavar="ZONE", help="IANA zone of the account (default Asia/Kolkata)")
    add("--first-day", type=date.fromisoformat, default=date(2024, 1, 1), metavar="DATE", help="default 2024-01-01")
    add("--last-day", type=date.fromisoformat, default=date(2030, 12, 31), metavar="DATE", help="default 2030-12-31")
    add("--port", type=int, default=0, help="port of the API (default: a free one)")
    add("--s3-port", type=int, default=0, metavar="PORT", help="port of S3 (default: a free one)")
    add("--smtp-port", type=int, default=0, metavar="PORT", help="port of SMTP (default: a free one)")
    add("--no-s3", action="store_true", help="no S3 server")
    add("--no-smtp", action="store_true", help="no SMTP server")
    add("--bucket", action="append", metavar="NAME", help='a bucket to create, may be repeated (default "reports")')
    add(
        "--profile", metavar="PATH", help="answer like the account of this profile, which callreport probe --save wrote"
    )
    add("--row-shape", choices=CHOICES["row_shape"], default="position", help="how rows look (default position)")
    add("--cursor", choices=CHOICES["cursor"], default="none", help="where answers have a cursor (default none)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other field of SandboxSettings, value in JSON or text, may be repeated",
    )
    add(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[:KEY=VALUE,...]",
        help="switch a fault on, may be repeated; every fault also takes page, times and endpoint",
    )
    add("--proxy", action="store_true", help="put the proxy in front at once, for faults of the wire switched on later")
    add("--save", metavar="DIR", help="write received mails there as .eml files")
    add("--json", action="store_true", help="print one line of JSON instead of export lines")


def _settings(options: argparse.Namespace) -> SandboxSettings:
    from airflow_provider_callreport.sandbox.calls import SyntheticCalls
    from airflow_provider_callreport.sandbox.from_profile import apply_profile, read_profile
    from airflow_provider_callreport.sandbox.settings import SandboxSettings, parse_faults

    span = {
        "seed": options.seed,
        "timezone": options.timezone,
        "first_day": options.first_day,
        "last_day": options.last_day,
    }
    settings = SandboxSettings(
        calls=SyntheticCalls(options.calls_per_day, **span),
        masked_calls=SyntheticCalls(options.masked_calls_per_day, masked=True, **span),
        row_shape=options.row_shape,
        cursor=options.cursor,
        faults=parse_faults(options.fault),
    )
    if options.profile is not None:
        apply_profile(settings, read_profile(Path(options.profile)))
    for assignment in options.set:
        name, found, text = assignment.partition("=")
        if not found:
            raise ValueError(f"--set takes NAME=VALUE, not {assignment!r}")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        setattr(settings, name, value)
    return settings


def _announce(connections: dict[str, str], url: str, *, as_json: bool) -> None:
    if as_json:
        lines = [json.dumps({"url": url, "connections": connections})]
    else:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in connections.items()]
        lines += [f"# The API is at {url}, its faults at {url}/sandbox/faults. Stop with Ctrl-C."]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _fail(message: str) -> int:
    sys.stderr.write(message + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
