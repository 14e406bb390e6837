"""Where the sandbox's calls come from: computed by the million, or listed one by one."""

from __future__ import annotations

from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.listed import ListedCalls
from airflow_provider_callreport.sandbox.source import CallSource, Selection
from airflow_provider_callreport.sandbox.synthetic import SyntheticCalls

__all__ = ["Call", "CallSource", "ListedCalls", "Selection", "SyntheticCalls"]
