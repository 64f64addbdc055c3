#!/usr/bin/env python3
"""test_check.py - who gets a second run, and who does not: a check that forgives too much proves nothing.

Takes --results like lint.py. Method: the runners' own functions, given scenarios and a unit test binary that fail as is asked.
"""
import contextlib
import io
import os
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "scenario"), os.path.join(os.path.dirname(HERE), "kafka")]

import check                                                            # noqa: E402
import oracle                                                           # noqa: E402
import procs                                                            # noqa: E402
import run                                                              # noqa: E402
import scenario                                                         # noqa: E402
import test_lint                                                        # noqa: E402

# As cmocka does with one test, which fails the first time.
BINARY = """#!/bin/sh
if [ -e "$0.ran" ]; then problem=; rc=0; else problem='<failure>it was late</failure>'; rc=1; echo "%s"; fi
echo ran >> "$0.ran"
cat > "$CMOCKA_XML_FILE" <<X
<testsuites><testsuite><testcase name="it_holds" time="0.01">$problem</testcase></testsuite></testsuites>
X
exit $rc
"""


def result_of(directory, function):
    """"pass", "unsure" or "fail": what run.py makes of a scenario."""
    row = {"name": "planted", "run": function, "needs_root": False}
    run.KEPT = os.path.join(directory, "kept")
    work = os.path.join(directory, "work")
    os.makedirs(work, exist_ok=True)
    return run.one(scenario.Run("/bin/false", work), row, 1)[0]


def failing(error):
    def function(_):
        raise error
    return function


def judged(lines, order):
    """What the judge says of a file of so many lines of which these arrived, in this order."""
    made = oracle.Lines("r", 1)
    return str(oracle.judge("r", {b"f": lines}, [(0, at, made.line(b"f", seq).rstrip(b"\n")) for at, seq in enumerate(order)]))


def wrong_lines_and_crashes_get_no_second_run(directory):
    crashed = type("Agent", (), {"name": "agent", "exit_code": -signal.SIGSEGV, "kill": lambda s: None, "reports": lambda s: None})

    def crash(t):
        t.agents.append(crashed())

    for want, why, function in (
            ("pass", "nothing", lambda t: None),
            ("unsure", "a condition", failing(AssertionError("[2, 1]"))),
            ("unsure", "a wait in vain", failing(procs.Timeout(f"waited 30 s in vain: {judged(3, [0, 1])}"))),
            ("fail", "a lost line", failing(AssertionError(judged(3, [0, 1])))),
            ("fail", "a doubled line", failing(AssertionError(judged(2, [0, 1, 1])))),
            ("fail", "lines in another order", failing(AssertionError(judged(2, [1, 0])))),
            ("fail", "books", failing(AssertionError("books do not balance: {}"))),
            ("fail", "a crash", crash)):
        got = result_of(directory, function)
        assert got == want, f"{why} is {got!r} instead of {want!r}"


def unit_row(directory, words):
    binary = os.path.join(directory, "test_planted" + str(len(os.listdir(directory))))
    with open(binary, "w") as f:
        f.write(BINARY % words)
    os.chmod(binary, 0o755)
    with contextlib.redirect_stdout(io.StringIO()):
        (_, passed, _, _, again), = check.run_unit("unit", binary, "")
    with open(binary + ".ran") as f:
        return passed, again, len(f.readlines())


def a_unit_test_runs_twice_unless_a_sanitizer_spoke(directory):
    assert unit_row(directory, "") == (True, True, 2)
    assert unit_row(directory, "==1==ERROR: AddressSanitizer: heap-use-after-free") == (False, False, 1)
    assert unit_row(directory, "Test failed with exception: Segmentation fault(11)") == (False, False, 1)


def more_than_a_handful_of_second_runs_fails_the_check(_):
    for n, want in ((check.SECOND_TIME_MOST, 0), (check.SECOND_TIME_MOST + 1, 1)):
        results, said = check.Results(), io.StringIO()
        with contextlib.redirect_stdout(said):
            for i in range(n):
                results.add(f"unit:test_{i}", True, 0, again=True)
            rc = results.finish()
        assert rc == want and said.getvalue().endswith(f"{0 if want else n} passed, {n if want else 0} failed\n"), said.getvalue()


TESTS = (wrong_lines_and_crashes_get_no_second_run, a_unit_test_runs_twice_unless_a_sanitizer_spoke, more_than_a_handful_of_second_runs_fails_the_check)


def tests():
    """(name, problem or None)."""
    for test in TESTS:
        problem = None
        with tempfile.TemporaryDirectory() as directory:
            try:
                test(directory)
            except AssertionError as e:
                problem = str(e) or "not as expected"
        yield test.__name__, problem


if __name__ == "__main__":
    sys.exit(test_lint.report("Plants failures and sees which of them get a second run.", tests()))
