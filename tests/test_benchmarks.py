"""The benchmarks count what they say they count: a small race, and each contestant's rows held against the truth."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page, scale
from benchmarks.harness import ROOT, Result, delivered_bytes, rows_wrong, run, servers, set_faults, truth
from benchmarks.others import BAD_SERVERS, Race, outcome

pytestmark = pytest.mark.slow

CALLS = 300


@pytest.fixture(scope="module")
def where() -> Iterator[dict[str, Any]]:
    with servers(CALLS) as running:
        yield {**running, "page_size": 100}


@pytest.fixture(scope="module")
def right() -> Counter[tuple[str, ...]]:
    return truth(CALLS)


def test_each_contestant_gets_the_rows_of_a_good_server(where: dict[str, Any], right: Counter[tuple[str, ...]]) -> None:
    """fast-export: ratios are between jobs that did the job; the requests are the API's own count."""
    set_faults(where, [])
    assert right.total() == CALLS
    for job in ("ours", "script", "bare"):
        result = run(job, where)
        # Ours asks reportCount as well.
        assert (result.ended, result.rows, result.requests) == ("green", CALLS, 5 if job == "ours" else 4), result
        assert rows_wrong(where, job, right) == 0
        assert delivered_bytes(where) > CALLS
        assert result.cpu > 0
        assert result.peak_mib > 10


def test_the_floor_reads_every_call(where: dict[str, Any]) -> None:
    """fast-export: the floor does the same reading."""
    set_faults(where, [])
    result = run("floor", where)
    assert (result.ended, result.rows, result.requests) == ("green", CALLS, 4), result


def test_lost_and_doubled_rows_are_counted(where: dict[str, Any], right: Counter[tuple[str, ...]]) -> None:
    """whole-or-red: a short page that nobody noticed is so many rows wrong, and pages that overlap twice as many."""
    for fault, wrong in (("short_page:page=1,rows=5", 5), ("overlapping_pages:page=1,rows=5", 10)):
        set_faults(where, [fault])
        result = run("bare", where)
        assert outcome(result, rows_wrong(where, "bare", right)) == {"outcome": "wrong", "wrong": wrong, "error": ""}


def test_a_job_that_never_ends_is_stopped(where: dict[str, Any]) -> None:
    """whole-or-red: the same page for ever."""
    set_faults(where, ["ignores_page"])
    result = run("bare", where, most_requests=40)
    assert result.ended == "endless"
    assert result.requests > 40


def test_a_job_that_fails_is_red(where: dict[str, Any]) -> None:
    """whole-or-red: the error is kept, and no row is counted wrong."""
    set_faults(where, [BAD_SERVERS[0].fault])
    result = run("bare", where)
    assert (result.ended, result.error) == ("red", "KeyError: 'data'")
    assert outcome(result, 0)["outcome"] == "red"


def test_a_green_job_with_all_rows_is_right() -> None:
    """whole-or-red: the four words of the table."""
    words = [outcome(Result("bare", ended), wrong)["outcome"] for ended, wrong in (("green", 0), ("green", 7))]
    assert words == ["right", "wrong"]


def test_the_model_finds_the_constants_that_runs_were_made_with() -> None:
    """side-by-side: runs made by a known model give that model back, and no other wall time."""
    known = scale.Model(0.5, 0.002, 1e-5, 0.004, 2e-6, 160.0, 150.0)
    runs = [
        {
            "calls": calls,
            "size": size,
            "latency": latency,
            "side_by_side": side_by_side,
            "requests": known.requests(calls, size),
            "seconds": known.wall(calls, size, latency, side_by_side),
            "cpu": known.cpu(calls, size),
            "bytes": calls * 160,
            "peak_mib": 150.0,
        }
        for calls, size, latency, side_by_side in scale.GRID
    ]
    found = scale.fit(runs)
    for name in ("start", "per_request", "per_row", "service_per_request", "service_per_row", "bytes_per_row"):
        assert getattr(found, name) == pytest.approx(getattr(known, name), rel=1e-6), name
    assert found.error == pytest.approx(0, abs=1e-9)
    # 50 ms and four side by side: four answers in the time of one, as long as the work on a page is shorter.
    alone, four = (found.wall(9_000, 100, 0.05, side_by_side) - found.start for side_by_side in (1, 4))
    assert alone / four == pytest.approx(4)
    assert found.wall(9_000, 100, 0.0, 4) - found.start == pytest.approx(found.requests(9_000, 100) * 0.002 + 9_000e-5)


def test_the_page_is_made_of_what_was_measured(tmp_path: Path) -> None:
    """flat-memory, fast-export: each figure of the page comes from the kept runs; a second making changes nothing."""
    race = asdict(Race("csv", "s3", 0.05, 1000, 2, ("ours", "script")))
    entry = {"ended": "green", "rows": 1000, "calls": 1000, "peak_mib": 100.0, "requests": 11, "wrong": 0, "cpu": 0.1}
    runs = [
        {**entry, "contestant": name, "round": turn, "seconds": seconds}
        for turn in (0, 1)
        for name, seconds in (("ours", 1.0), ("script", 2.5 + turn))
    ]
    bad = {
        "page 2 is 5 calls short": {"ours": {"outcome": "red", "wrong": 0}, "script": {"outcome": "wrong", "wrong": 5}}
    }
    machine = {"cores": 2, "system": "Linux", "python": "3.11", "day": "2026-11-24"}
    kept, made = tmp_path / "others.json", tmp_path / "benchmarks.md"
    kept.write_text(json.dumps({"races": [{"race": race, "runs": runs}], "bad_servers": bad, "machine": machine}))
    shutil.copy(ROOT / "docs" / "benchmarks.md", made)

    page.write_page(kept, made, tmp_path)
    text = made.read_text()
    assert "| the script, 100 a page | 3.00 (2.50 to 3.50); wanted 6 |" in text
    assert "| the script, 100 a page | 3.00 s | 100.0 us | 100 MiB | 11 | 0 |" in text
    assert "| page 2 is 5 calls short | red | **green, 5 rows wrong** |" in text
    assert "1,000 calls" in (tmp_path / "benchmark_waits.svg").read_text()
    page.write_page(kept, made, tmp_path)
    assert made.read_text() == text


def test_a_page_without_the_place_is_an_error(tmp_path: Path) -> None:
    """fast-export: a figure that has no place on the page is not lost in silence."""
    made = tmp_path / "page.md"
    made.write_text("<!-- measured: one -->\n<!-- end -->\n")
    with pytest.raises(ValueError, match=r"page.md has no place for 'two'"):
        page.replace_blocks(made, {"one": "1", "two": "2"})
    page.replace_blocks(made, {"one": "1"})
    assert made.read_text() == "<!-- measured: one -->\n\n1\n<!-- end -->\n"
