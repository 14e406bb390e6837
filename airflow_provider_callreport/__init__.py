"""Airflow provider for the DeepCall Call Report API.

The file you get is the whole report, or the task is red and says why.
"""

from __future__ import annotations

from airflow_provider_callreport.provider_info import get_provider_info

__version__ = "0.1.0"

__all__ = ["__version__", "get_provider_info"]
