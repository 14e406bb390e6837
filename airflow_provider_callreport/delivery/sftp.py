"""SFTP: what Airflow's own file system for it leaves open.

Airflow's file system for ``sftp://`` (apache-airflow-providers-sftp 5.7 or newer, with sshfs) believes any server:
sshfs checks no host key unless it is told to, and sends the password. So the file system is made here, with the check
on:

=========================================== =======================================================
extra of the connection                     what is believed
=========================================== =======================================================
``host_key``                                a server that has this key
neither                                     a server whose key is in ``~/.ssh/known_hosts`` of the worker
``no_host_key_check`` true                  any server; the log says so
=========================================== =======================================================

A file that exists is replaced in one step (``posix-rename@openssh.com``). Without it sshfs would copy with a shell
command, and a reader would see half a file: a server that does not have it takes new files only.

Sources: asyncssh's ``connect`` and ``SFTPClient.posix_rename``; OpenSSH's PROTOCOL; ``host_key`` of the SSH provider.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

log = logging.getLogger(__name__)

#: Schemes of Airflow's file system for it.
SCHEMES = ("sftp", "ssh")

#: What brings it.
PROVIDER = "apache-airflow-providers-sftp[sshfs] 5.7 or newer"

_PORT = 22

#: Seconds, and how many unanswered questions: a server that is gone is noticed after a minute, not never.
_LIMITS = {"connect_timeout": 30, "login_timeout": 30, "keepalive_interval": 15, "keepalive_count_max": 4}


def open_file_system(scheme: str, conn_id: str) -> tuple[Any, str]:
    """Connect as an Airflow connection says.

    Args:
        scheme: ``"sftp"`` or ``"ssh"``.
        conn_id: the connection.

    Returns:
        fsspec's file system, and the host as addresses have it, with its port if that is not 22.

    Raises:
        ImportError: the provider, or sshfs, is not installed.
        ValueError: Airflow has no file system for the scheme.
    """
    from airflow.providers.common.compat.sdk import BaseHook

    connection = BaseHook.get_connection(conn_id)
    host, port = connection.host or "", connection.port or _PORT
    options = {**_LIMITS, "known_hosts": _known_hosts(conn_id, connection.extra_dejson, host, port)}
    # Not as an ObjectStoragePath: it would connect without these options before it can be given any.
    file_system = _get_fs()(scheme, conn_id, {**options, "skip_instance_cache": True})
    return file_system, host if port == _PORT else f"{host}:{port}"


def check_connection(conn_id: str) -> None:
    """Look for the connection and the library, without a word to the server.

    Raises:
        ImportError: sshfs is not installed.
    """
    from airflow.providers.common.compat.sdk import BaseHook

    BaseHook.get_connection(conn_id)
    import_module("sshfs")


def rename(file_system: Any, source: str, target: str) -> None:
    """Give a file its name, also when another has it, in one step.

    Args:
        file_system: what `open_file_system` gave.
        source: path of the file.
        target: its new path.

    Raises:
        FileExistsError: another file has the name, and the server cannot replace it in one step.
    """
    # By name, because neither is a dependency.
    errors, sync = import_module("asyncssh.sftp"), import_module("fsspec.asyn").sync

    async def in_one_step() -> None:
        async with file_system.client.start_sftp_client() as sftp:
            try:
                await sftp.posix_rename(source, target)
            except errors.SFTPOpUnsupported:
                try:
                    # The rename of SFTP itself: it ends where the name is taken.
                    await sftp.rename(source, target)
                except errors.SFTPError as error:
                    if await sftp.exists(target):
                        raise FileExistsError(target) from error
                    raise

    sync(file_system.loop, in_one_step)


def _known_hosts(conn_id: str, extra: dict[str, Any], host: str, port: int) -> Any:
    """What asyncssh is to believe: lines of a known_hosts file, its own default, or None for anything."""
    key = str(extra.get("host_key") or "").split()
    if key:
        # As in the SSH provider: without a type it is RSA.
        kind, data = key[:2] if len(key) > 1 else ("ssh-rsa", key[0])
        name = host if port == _PORT else f"[{host}]:{port}"
        return f"{name} {kind} {data}\n".encode()
    if str(extra.get("no_host_key_check", "")).lower() == "true":
        log.warning("The host key of %s is not checked, because connection %r has no_host_key_check.", host, conn_id)
        return None
    return ()


def _get_fs() -> Any:
    try:
        return import_module("airflow.sdk.io.fs").get_fs
    except ImportError:
        # Airflow 2.11.
        return import_module("airflow.io").get_fs
