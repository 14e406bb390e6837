"""What an export says when it is done: the XCom value and the log line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_callreport.delivery.receipts import DeliveredFile, EarlierMail
from airflow_provider_callreport.report import Column, ExportedFile, ReportInfo, ReportOutcome
from airflow_provider_callreport.report.facts import report_facts

#: Bytes of JSON that the summary may have, whatever the report (it is a row in Airflow's database): 4 KB, less what the
#: counts of omitted entries take.
MAX_XCOM_BYTES = 4096 - 6 * len('"redacted_columns_omitted": 1000000, ')


@dataclass(frozen=True, slots=True)
class FileSummary:
    """One file and where it went.

    Attributes:
        file: the file.
        uri: ``s3://bucket/key``, or None when it went by mail only.
        status: ``"written"``, ``"unchanged"``, ``"already_there"`` or ``"skipped"`` at ``uri``; None without ``uri``.
    """

    file: ExportedFile
    uri: str | None = None
    status: str | None = None

    def to_xcom(self) -> dict[str, Any]:
        """As in the public contract: ``uri`` or ``filename``, ``rows``, ``bytes``, ``sha256``.

        ``status`` is added when it is ``"skipped"``: what is at ``uri`` then is not this file.
        """
        where = {"filename": self.file.filename} if self.uri is None else {"uri": self.uri}
        value = {**where, "rows": self.file.rows, "bytes": self.file.bytes, "sha256": self.file.sha256}
        return {**value, "status": self.status} if self.status == "skipped" else value


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """The result of one export.

    Attributes:
        info: the report's description.
        outcome: its proof.
        file_format: the format's name.
        columns: labels as written.
        pages: answers read.
        duplicates_dropped: rows that the API sent a second time.
        files: each file and where it went; empty when an empty report was skipped.
        index: the index of a set of files, or None for a single file, and where another run's set was left as it is.
        not_removed: addresses of files of an earlier set that could not be removed.
        emailed_to: addresses that got the mail.
        mailed_earlier: mails that an earlier try of this run had sent, and whose data has changed since.
        skipped: True when the report was empty and ``empty="skip"``.
        schema: the columns that `columns` names, with their types and the API's own labels.
        undocumented_filters: filter keys that the vendor does not document.
    """

    info: ReportInfo
    outcome: ReportOutcome
    file_format: str
    columns: Sequence[str]
    pages: int
    duplicates_dropped: int
    files: Sequence[FileSummary] = ()
    index: DeliveredFile | None = None
    not_removed: Sequence[str] = ()
    emailed_to: Sequence[str] = ()
    mailed_earlier: Sequence[EarlierMail] = ()
    skipped: bool = field(default=False)
    schema: Sequence[Column] = ()
    undocumented_filters: Sequence[str] = ()

    def to_xcom(self) -> dict[str, Any]:
        """The small dict that the operators return: under `MAX_XCOM_BYTES` of JSON, without a row's content.

        The report is proved whole when, and only when, ``rows`` equals ``reported_total``. If the window had not ended
        when it was read, and only then, ``window_open`` is True. ``undocumented_filters`` is there when there are any,
        ``mailed_earlier`` when an earlier try mailed other data than ``files`` are. For a set of files, ``index`` is
        the address of the object that lists them all, and ``not_removed`` names files of an earlier set that could not
        be removed. When many columns, files or recipients would make the dict larger, their lists are cut, the longest
        first, and ``columns_omitted``, ``files_omitted`` or ``emailed_to_omitted`` says by how many entries.
        """
        info, outcome = self.info, self.outcome
        value: dict[str, Any] = {
            "report": info.report,
            "file_format": self.file_format,
            "window": info.window_json(),
            "rows": outcome.rows,
            "reported_total": outcome.total_to_compare,
            "pages": self.pages,
            "duplicates_dropped": self.duplicates_dropped,
            "columns": list(self.columns),
            "redacted_columns": sorted(info.redacted),
            "schema_id": self._schema_id(),
            "files": [file.to_xcom() for file in self.files],
            "emailed_to": list(self.emailed_to),
        }
        if self.index is not None:
            value["index"] = self.index.uri
        if self.not_removed:
            value["not_removed"] = list(self.not_removed)
        if outcome.window_open:
            value["window_open"] = True
        if self.undocumented_filters:
            value["undocumented_filters"] = list(self.undocumented_filters)
        if self.mailed_earlier:
            value["mailed_earlier"] = [mail.to_json() for mail in self.mailed_earlier]
        _shorten(value, [name for name, part in value.items() if isinstance(part, list)])
        return value

    def _schema_id(self) -> str:
        """A short hash of what the columns are and how they are redacted: the same for files that make one table."""
        columns = [[column.label, column.source] for column in self.schema]
        text = json.dumps([columns, dict(self.info.redacted)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def log_line(self) -> str:
        """The result in one line for the log."""
        sentences = [self.outcome.note, report_facts(self.info, self.outcome).still_open]
        files = ", ".join(
            f"{file.uri or file.file.filename} ({file.status or 'attached or linked'}, {file.file.bytes} bytes)"
            for file in self.files
        )
        mail = f"; mailed to {len(self.emailed_to)} recipients" if self.emailed_to else ""
        what = f"{self.pages} pages, {self.duplicates_dropped} repeated rows dropped; {files}{mail}"
        return " ".join([*filter(None, sentences), what])


def _shorten(value: dict[str, Any], names: Sequence[str]) -> None:
    """Cut the longest of some lists from its end until the whole fits."""
    sizes = {name: [len(json.dumps(item)) + len(", ") for item in value[name]] for name in names}
    excess = len(json.dumps(value)) - MAX_XCOM_BYTES
    while excess > 0 and any(sizes.values()):
        name = max(names, key=lambda name: sum(sizes[name]))
        excess -= sizes[name].pop()
        value[name].pop()
        value[f"{name}_omitted"] = value.get(f"{name}_omitted", 0) + 1
