"""The files as they are attached: as they are, in one archive when there are many, protected when a password is set.

The password protects what leaves by mail, and nothing else: the object in S3 is the file as it is. Each kind of file is
protected in the way that its own program opens: a sheet by Excel's encryption (AES-256, "agile"), a PDF by that of PDF
2.0 (AES-256), any other file in a ZIP archive with AES-256, which 7-Zip, WinZip and macOS open. The names of the files
in such an archive can be read without the password.

Libraries, all in the extra ``encrypt``: msoffcrypto-tool (MIT), pypdf (BSD), pyzipper (MIT).
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from airflow_provider_callreport.connection import no_such_connection
from airflow_provider_callreport.delivery.errors import DestinationRefusedError
from airflow_provider_callreport.report import ExportedFile
from airflow_provider_callreport.spool import private_file

#: More files than this are attached as one archive: mail programs show no more, and some servers refuse more parts.
MAX_ATTACHMENTS = 20

#: Shortest and longest password. PDF allows 127 bytes, and a PIN is found by trying.
_PASSWORD_LENGTH = (8, 127)

_ZIP_TYPE = "application/zip"


def attachments_of(
    files: Sequence[ExportedFile], *, archive_name: str, when: datetime, password: str | None
) -> list[ExportedFile]:
    """The files as they are attached; new ones are made in the files' own directory.

    Args:
        files: the files.
        archive_name: the archive's name, should there be one.
        when: the time of the archive's entries.
        password: what the attachments are protected with, or None.
    """
    if not files:
        return []
    folder = files[0].path.parent
    if len(files) > MAX_ATTACHMENTS:
        return [_archive(files, archive_name, folder, when, password)]
    return list(files) if password is None else [_protected(file, folder, password) for file in files]


def file_list(files: Sequence[ExportedFile], places: Sequence[str]) -> ExportedFile:
    """A text file that lists files: name, calls, bytes, SHA-256 and place, with a tab between them.

    Args:
        files: the files.
        places: where each is.
    """
    lines = ["Name\tCalls\tBytes\tSHA-256\tPlace"]
    lines += [
        f"{file.filename}\t{file.rows}\t{file.bytes}\t{file.sha256}\t{place}"
        for file, place in zip(files, places, strict=True)
    ]
    path = private_file(files[0].path.parent / "list.txt")
    path.write_text("\r\n".join([*lines, ""]), encoding="utf-8")
    return _measured(replace(files[0], path=path, filename="files.txt", content_type="text/plain; charset=utf-8"))


def password_of(conn_id: str) -> str:
    """The password of an Airflow connection.

    Raises:
        DestinationRefusedError: there is no such connection, or its password cannot protect a file.
    """
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    try:
        password = BaseHook.get_connection(conn_id).password or ""
    except AirflowNotFoundException as error:
        raise DestinationRefusedError(f"{no_such_connection(conn_id, 'attachment_password_conn_id')}.") from error
    shortest, longest = _PASSWORD_LENGTH
    # Beyond ASCII, programs disagree on how a password becomes bytes.
    if not (shortest <= len(password) <= longest and password.isascii() and password.isprintable()):
        raise DestinationRefusedError(
            f'The password of connection "{conn_id}" has {len(password)} characters; to protect attachments it needs '
            f"{shortest} to {longest}, all of them printable ASCII."
        )
    return str(password)


def check_libraries(extension: str) -> None:
    """Check that files of a format can be protected.

    Args:
        extension: the format's extension, such as ``".xlsx"``.

    Raises:
        DestinationRefusedError: a library is missing.
    """
    # Many files of any format go into an archive.
    needed = {"pyzipper": "pyzipper", **_LIBRARIES.get(extension, {})}
    for module, name in needed.items():
        if find_spec(module) is None:
            raise DestinationRefusedError(
                f"attachment_password_conn_id is set, and the library {name} is not installed; install "
                "airflow-provider-callreport[encrypt]."
            )


#: Import name and name of the library that protects files of a format.
_LIBRARIES = {".xlsx": {"msoffcrypto": "msoffcrypto-tool"}, ".pdf": {"pypdf": "pypdf"}}


def _protected(file: ExportedFile, folder: Path, password: str) -> ExportedFile:
    extension = Path(file.filename).suffix.lower()
    path = private_file(folder / f"protected-{file.path.name}")
    protect = _PROTECT.get(extension)
    if protect is None:
        _write_archive([file], path, datetime.min, password)
        return _measured(replace(file, path=path, filename=f"{file.filename}.zip", content_type=_ZIP_TYPE))
    with file.path.open("rb") as source, path.open("wb") as target:
        protect(source, target, password)
    return _measured(replace(file, path=path))


def _protect_sheet(source: BinaryIO, target: BinaryIO, password: str) -> None:
    from msoffcrypto.format.ooxml import OOXMLFile

    OOXMLFile(source).encrypt(password, target)


def _protect_pdf(source: BinaryIO, target: BinaryIO, password: str) -> None:
    from pypdf import PdfWriter

    writer = PdfWriter(clone_from=source)
    # The version that has this encryption (ISO 32000-2); pypdf leaves the one that it found.
    writer.pdf_header = "%PDF-2.0"
    writer.encrypt(password, algorithm="AES-256")
    writer.write(target)


_PROTECT: dict[str, Callable[[BinaryIO, BinaryIO, str], None]] = {".xlsx": _protect_sheet, ".pdf": _protect_pdf}


def _archive(
    files: Sequence[ExportedFile], name: str, folder: Path, when: datetime, password: str | None
) -> ExportedFile:
    path = private_file(folder / f"archive-{files[0].path.name}.zip")
    _write_archive(files, path, when, password)
    rows = sum(file.rows for file in files)
    return _measured(replace(files[0], path=path, filename=name, content_type=_ZIP_TYPE, rows=rows, group=""))


def _write_archive(files: Sequence[ExportedFile], path: Path, when: datetime, password: str | None) -> None:
    moment = max(when.replace(tzinfo=None), datetime(1980, 1, 1)).timetuple()[:6]
    with _open_archive(path, password) as archive:
        for file in files:
            entry = archive.zipinfo_cls(file.filename, moment) if password else zipfile.ZipInfo(file.filename, moment)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            with file.path.open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)


def _open_archive(path: Path, password: str | None) -> Any:
    if password is None:
        return zipfile.ZipFile(path, "w")
    import pyzipper

    archive = pyzipper.AESZipFile(path, "w", encryption=pyzipper.WZ_AES)
    archive.setpassword(password.encode())
    return archive


def _measured(file: ExportedFile) -> ExportedFile:
    with file.path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return replace(file, bytes=file.path.stat().st_size, sha256=digest)
