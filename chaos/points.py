"""The crash points by name, and the tests that stand for each: chaos runs those very functions."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Final

from chaos.part import Effort, Outcome
from tests.support.processes import ROOT

_CRASH = "tests/engine/test_crash.py::"
_MOMENTS = "tests/chaos/test_moments.py::"
_DISKS = "tests/chaos/test_disks.py::"
_FAILURE = "tests/storage/test_failure.py::"
_OWNERS = "tests/storage/test_ownership.py::"
_TIME = "tests/engine/test_time.py::"
_ENGINE = "tests/engine/test_storage_failure.py::"

CRASH_POINTS: Final[dict[str, tuple[str, ...]]] = {
    "every named moment of a commit": (
        f"{_MOMENTS}test_a_power_failure_at_a_named_moment_breaks_no_promise",
    ),
    "before BEGIN, or anywhere else": (
        f"{_CRASH}test_whatever_the_moment_of_the_kill_completed_steps_are_not_repeated_and_none_is_lost",
        "tests/storage/test_crash.py::test_nothing_acknowledged_is_lost_by_a_kill",
    ),
    "mid-transaction": (f"{_FAILURE}test_a_transaction_that_fails_is_undone_as_a_whole",),
    "after COMMIT, before delivery": (
        f"{_CRASH}test_a_start_that_was_acknowledged_survives_the_kill",
        f"{_CRASH}test_what_a_run_gave_up_is_given_up_although_the_process_died_just_then",
    ),
    "after the side effect, before its row": (f"{_CRASH}test_a_kill_inside_a_step_repeats_that_step_alone",),
    "timer due while nobody was there": (
        f"{_TIME}test_a_sleeping_run_is_woken_after_a_restart_even_when_its_time_came_meanwhile",
    ),
    "during a checkpoint": (f"{_DISKS}test_a_power_failure_during_a_checkpoint_breaks_no_promise",),
    "during a migration": (
        "tests/chaos/test_upgrades.py::test_a_power_failure_during_an_upgrade_leaves_a_database_that_opens",
    ),
    "disk full": (
        f"{_FAILURE}test_a_full_disk_stops_the_journal_and_loses_nothing_acknowledged",
        f"{_FAILURE}test_the_system_refusing_to_write_is_a_failure_and_what_was_acknowledged_is_there",
        f"{_ENGINE}test_everybody_who_waits_is_told_and_nothing_else_was_claimed",
        f"{_ENGINE}test_what_was_on_disk_goes_on_when_there_is_room_again",
    ),
    "fsync error": (f"{_DISKS}test_a_failed_fsync_is_final_and_the_log_is_not_written_again",),
    "shared memory error": (
        "tests/chaos/test_shared_memory.py::test_shared_memory_that_fails_is_told_in_our_own_words",
    ),
    "clock backwards and forwards": (
        f"{_TIME}test_a_clock_that_steps_backwards_neither_loses_a_sleep_nor_turns_the_runs_time_back",
        f"{_TIME}test_a_parked_run_sleeps_until_the_clock_on_the_wall_says_so",
        f"{_TIME}test_an_alarm_notices_that_the_clock_was_set_forward",
    ),
    "two owners on one file": (
        f"{_OWNERS}test_a_second_owner_is_refused_and_told_of_the_first",
        f"{_OWNERS}test_another_name_of_the_file_is_the_same_file",
        f"{_OWNERS}test_an_owner_whose_epoch_has_passed_writes_nothing_more",
        f"{_OWNERS}test_an_owner_whose_file_is_removed_stops",
        f"{_OWNERS}test_a_killed_owner_leaves_the_database_free",
    ),
}
"""From each crash point to the tests that stand for it."""

_LONGEST = 900.0
"""Seconds. How long a test may take on a busy machine is no promise, so they have more time here than in the suite."""


def points(effort: Effort) -> Outcome:
    """Run the tests of all crash points once, however long that takes."""
    outcome = Outcome()
    report = effort.folder / "points.xml"
    wanted = [test for tests in CRASH_POINTS.values() for test in tests]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--timeout=600",
        f"--junitxml={report}",
        *wanted,
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_LONGEST, check=False)
    if not report.exists():
        outcome.violations.append(
            f"points: the tests could not be run: {ended.stdout[-500:]}{ended.stderr[-500:]}"
        )
        return outcome
    ran = _results(report.read_text())
    for point, tests in CRASH_POINTS.items():
        for test in tests:
            name = test.rpartition("::")[2]
            results = [failure for case, failure in ran if case.partition("[")[0] == name]
            outcome.tried[point] += len(results)
            outcome.violations += [f"points, {point}: {test}: {failure}" for failure in results if failure]
            if not results:
                outcome.violations.append(f"points, {point}: {test} was not run")
    return outcome


def _results(report: str) -> list[tuple[str, str]]:
    """Return each case of a report that pytest wrote, with what went wrong in it."""
    return [
        (case.get("name", ""), " ".join(f"{bad.tag}: {bad.get('message', '')}" for bad in case))
        for case in ET.fromstring(report).iter("testcase")  # noqa: S314 - our own tests wrote it just now
    ]
