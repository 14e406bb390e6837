"""Recordings whose ids are chosen to be taken for one another."""

from __future__ import annotations

import pytest

from airflow_provider_callreport.recordings.keys import part_names


@pytest.mark.parametrize("nodes", [["part2", ""], ["", "part1"], ["part2", "919876543210"], ["part3", "n", "n"]])
def test_an_id_that_looks_like_a_place_is_no_name(nodes: list[str]) -> None:
    """D1: with one name for two recordings, the second would be taken for one that is at its key already."""
    assert len(set(part_names(nodes))) == len(nodes)
