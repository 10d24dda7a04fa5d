"""What perf reports is laid out by library, for the loop's thread and for the other."""

from __future__ import annotations

from bench.profile_call import shares_of

REPORT = """
# Overhead      Pid:Command  Shared Object
    59.60%     3778:python  libpython3.11.so.1.0
    12.40%     3778:python  [kernel.kallsyms]
     7.20%     3779:python  libpython3.11.so.1.0
     2.90%     3779:python  _core.cpython-311-x86_64-linux-gnu.so
     0.10%     3778:python  select.cpython-311-x86_64-linux-gnu.so
"""


def test_each_library_has_a_line_and_small_ones_are_in_the_sum_alone() -> None:
    assert shares_of(REPORT, 3778)[1:] == [
        ["Python", "59.6", "7.2"],
        ["kernel", "12.4", "0.0"],
        ["msgspec", "0.0", "2.9"],
        ["all", "72.1", "10.1"],
    ]
