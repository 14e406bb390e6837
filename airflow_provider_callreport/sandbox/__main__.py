"""``python -m airflow_provider_callreport.sandbox``: all servers of a rehearsal, until interrupted."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from errno import EADDRINUSE
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow_provider_callreport.sandbox.settings import SandboxSettings

#: Where the servers are, the same in each run: what was exported for one is right for the next.
PORTS = {"port": 8710, "s3_port": 8711, "smtp_port": 8712}

#: What each port is of.
_SERVERS = {"port": "the API", "s3_port": "S3", "smtp_port": "SMTP"}

_LOOPBACK = "127.0.0.1"

#: How an ``--env-file`` begins, by which a later run knows that it may replace it.
_WRITTEN = "# Written by callreport sandbox"
_USE = "For a shell: set -a; . FILE; set +a. For docker: --env-file FILE --network host."

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
    except ImportError as error:
        return _fail(str(error))
    except ValueError as error:
        parser.error(str(error))


def serve(options: argparse.Namespace) -> int:
    """Run the servers until SIGINT or SIGTERM.

    Args:
        options: see `add_arguments`.

    Returns:
        0 after an interruption, 1 when a port is taken.

    Raises:
        ImportError: a library is missing.
        ValueError: an argument is wrong.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ImportError(f"the sandbox needs {', '.join(missing)}: pip install 'airflow-provider-callreport[sandbox]'")
    from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer, SandboxSmtp

    settings = _settings(options)
    ports = _ports(options)
    _check_env_file(options.env_file)
    if (taken := _taken(ports)) is not None:
        return _fail(taken)
    stopped = threading.Event()
    with ExitStack() as running:
        for number in (signal.SIGINT, signal.SIGTERM):
            running.callback(signal.signal, number, signal.signal(number, lambda *_: stopped.set()))
        try:
            api = running.enter_context(SandboxServer(settings, port=ports["port"], proxy=options.proxy or None))
            connections = {"AIRFLOW_CONN_CALLREPORT_DEFAULT": api.connection_json(timezone=options.timezone)}
            if not options.no_s3:
                s3 = running.enter_context(SandboxS3(options.bucket or ["reports"], port=ports["s3_port"]))
                connections["AIRFLOW_CONN_AWS_DEFAULT"] = s3.connection_json()
            if not options.no_smtp:
                smtp = running.enter_context(SandboxSmtp(port=ports["smtp_port"], save_dir=options.save))
                connections["AIRFLOW_CONN_SMTP_DEFAULT"] = smtp.connection_json()
        except OSError as error:
            return _fail(f"cannot serve: {error}")
        if options.env_file is not None:
            _write_env_file(Path(options.env_file), connections)
        _announce(connections, api.url, options)
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
    day = {"type": date.fromisoformat, "metavar": "DATE"}
    add("--first-day", **day, default=date(2024, 1, 1), help="first day with calls (default 2024-01-01)")
    add("--last-day", **day, default=date(2030, 12, 31), help="last day with calls (default 2030-12-31)")
    for name, server in _SERVERS.items():
        flag = f"--{name.replace('_', '-')}"
        add(flag, type=int, metavar="PORT", help=f"port of {server} (default {PORTS[name]}; 0 for a free one)")
    add("--free-ports", action="store_true", help="free ports for all that are not given: several sandboxes at once")
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
    add("--save", metavar="DIR", help="write received mails there as .eml files, beside those of earlier runs")
    add("--env-file", metavar="FILE", help="write the connections there too, for a shell (set -a; . FILE) and docker")
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


def _ports(options: argparse.Namespace) -> dict[str, int]:
    """The port of each server that is to run; 0 for a free one."""
    fixed = dict.fromkeys(PORTS, 0) if options.free_ports else PORTS
    left_out = {"s3_port": options.no_s3, "smtp_port": options.no_smtp}
    asked = {name: getattr(options, name) for name in PORTS if not left_out.get(name)}
    return {name: fixed[name] if port is None else port for name, port in asked.items()}


def _taken(ports: Mapping[str, int]) -> str | None:
    """Why a server cannot have its port; None where all can. moto's would wait for ever."""
    for name, port in ports.items():
        try:
            socket.create_server((_LOOPBACK, port)).close()
        except (OSError, OverflowError) as error:
            why = "is taken, perhaps by another sandbox" if getattr(error, "errno", 0) == EADDRINUSE else f"({error})"
            flag = f"--{name.replace('_', '-')}"
            return f"cannot serve {_SERVERS[name]}: port {port} {why}; choose another with {flag}, or use --free-ports"
    return None


def _check_env_file(path: str | None) -> None:
    """Refuse to replace a file that no sandbox has written.

    Raises:
        ValueError: it is another's.
    """
    if path is not None and Path(path).exists() and not Path(path).read_bytes().startswith(_WRITTEN.encode()):
        raise ValueError(f"--env-file is {path!r}, which exists and is not of a sandbox; name another file")


def _write_env_file(path: Path, connections: Mapping[str, str]) -> None:
    """Write the connections, and what boto3 and the AWS command line look for.

    As addresses, because docker takes a value as it stands and a shell takes quotes away: in an address nothing needs
    them.
    """
    lines = [f"{_WRITTEN}. {_USE}", *(f"{name}={_as_uri(json.loads(value))}" for name, value in connections.items())]
    if aws := json.loads(connections.get("AIRFLOW_CONN_AWS_DEFAULT", "{}")):
        lines += [
            f"AWS_ENDPOINT_URL_S3={aws['extra']['endpoint_url']}",
            f"AWS_DEFAULT_REGION={aws['extra']['region_name']}",
            f"AWS_ACCESS_KEY_ID={aws['login']}",
            f"AWS_SECRET_ACCESS_KEY={aws['password']}",
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _as_uri(fields: Mapping[str, Any]) -> str:
    """A connection as the address that Airflow takes for it."""
    login = ":".join(quote(fields[name], safe="") for name in ("login", "password") if name in fields)
    host = quote(fields.get("host", ""), safe="") + (f":{fields['port']}" if "port" in fields else "")
    extra = quote(json.dumps(fields["extra"]), safe="")
    return f"{fields['conn_type']}://{login and login + '@'}{host}/?__extra__={extra}"


def _announce(connections: Mapping[str, str], url: str, options: argparse.Namespace) -> None:
    if options.json:
        lines = [json.dumps({"url": url, "connections": connections})]
    else:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in connections.items()]
        if options.env_file is not None:
            file = shlex.quote(options.env_file if "/" in options.env_file else f"./{options.env_file}")
            lines += [f"# In another terminal: set -a; . {file}; set +a"]
        lines += [f"# The API is at {url}, its faults at {url}/sandbox/faults. Stop with Ctrl-C."]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _fail(message: str) -> int:
    sys.stderr.write(message + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
