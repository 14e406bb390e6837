"""DeepCall over HTTP. Nothing here imports Airflow.

Read in this order: `errors` (what can go wrong), `settings` (where, who, how patiently), `client` (one request, one
checked answer), `filters` (a window and filters become a request), `paging` (answers become a proven stream of pages),
`table` (pages become typed rows).
"""

from __future__ import annotations

from airflow_provider_callreport.api.call_filter import CallReportFilter

__all__ = ["CallReportFilter"]
