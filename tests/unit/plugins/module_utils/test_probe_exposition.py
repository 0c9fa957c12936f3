# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus reads, and what it does not; a real exporter and promtool: tests/lab."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._probe_errors import Wrong
from ansible_collections.alfred.portmap.plugins.module_utils._probe_exposition import MAX_BYTES, MAX_LINE, count_samples

GOOD = r"""# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by zero"} +Inf -3982045

# HELP rpc_duration_seconds
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
#a comment
# TYPED is no word of its own
# TYPE bucket histogram
bucket_bucket{le="+Inf",} 1
bucket_sum NaN
bucket_count{} 1
with:colon{a="{}=,#", b = "" , _c="é"} -.5E-3@7
@tabbed@0.
""".replace("@", "\t")


def count(text: str) -> int:
    """Asked for in small pieces: lines are cut anywhere."""
    raw = text.encode()
    return count_samples(raw[at : at + 7] for at in range(0, len(raw), 7))


def test_what_the_format_has() -> None:
    assert count(GOOD) == 13


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("a", "line 2 can't be read: a"),
        ("a ", "line 2 can't be read: a "),
        ("a1", "line 2 can't be read: a1"),
        ("a one", "line 2 can't be read: a one"),
        ("a 0x", "line 2 can't be read"),
        ("a 1.5.2", "line 2 can't be read"),
        ("a 1 2.5", "line 2 can't be read"),
        ("a 1 2 3", "line 2 can't be read"),
        ("a 1_000", "line 2 can't be read"),
        ("1a 1", "line 2 can't be read"),
        ("a-b 1", "line 2 can't be read"),
        ("a{b} 1", "line 2 can't be read"),
        ("a{b=c} 1", "line 2 can't be read"),
        ("a{b='c'} 1", "line 2 can't be read"),
        ('a{b="c" 1', "line 2 can't be read"),
        ('a{b="c} 1', "line 2 can't be read"),
        ('a{b="\\x"} 1', "line 2 can't be read"),
        ("a{,} 1", "line 2 can't be read"),
        ('a{b="c",,} 1', "line 2 can't be read"),
        ('a{b:c="d"} 1', "line 2 can't be read"),
        ('a{b="c"}', "line 2 can't be read"),
        ('{b="c"} 1', "line 2 can't be read"),
        ('a{b="c",b="d"} 1', "line 2 has a label twice"),
        ("a 1\r", "line 2 can't be read: a 1?"),
        ("<html>\x1b[2J", "line 2 can't be read: <html>?[2J"),
        ("# TYPE a", "line 2 can't be read"),
        ("# TYPE a guage", "line 2 can't be read"),
        ("# TYPE a-b gauge", "line 2 can't be read"),
        ("# HELP 1 x", "line 2 can't be read"),
        ("# TYPE first gauge", "line 2 gives the type of first after its samples"),
        ("# TYPE a gauge\n# TYPE a gauge", "line 3 is a second TYPE of a"),
        ("# HELP a b\n# HELP a b", "line 3 is a second HELP of a"),
    ],
)
def test_what_it_has_not(line: str, complaint: str) -> None:
    with pytest.raises(Wrong) as error:
        count(f"first 1\n{line}\nlast 1\n")
    assert str(error.value).startswith(f"metrics: {complaint}") and str(error.value).isprintable()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "there are none"),
        (b"# all is quiet\n\n", "there are none"),
        (b"a 1\nb 2", "the last line is not complete"),
        (b'a{b="\xff"} 1\n', "line 1 is not UTF-8"),
        (b"a" * (MAX_LINE + 1), "a line is longer than 64 KiB"),
    ],
)
def test_texts(text: bytes, complaint: str) -> None:
    with pytest.raises(Wrong) as error:
        count_samples([text])
    assert str(error.value) == f"metrics: {complaint}"


def test_too_much_is_not_read_to_its_end() -> None:
    block = (b"#" + b"x" * 60000 + b"\n") * 16
    read: list[int] = []

    def blocks() -> t.Iterator[bytes]:
        while True:
            read.append(len(block))
            yield block

    with pytest.raises(Wrong, match="metrics: more than 64 MiB"):
        count_samples(blocks())
    assert MAX_BYTES < sum(read) <= MAX_BYTES + len(block)


@pytest.mark.parametrize(
    "line",
    [
        "a" * 60000 + "-",
        "a" + " " * 60000 + "-",
        "a{" + " " * 60000 + "-",
        'a{b="c",' + " " * 60000 + "-",
        'a{b="c"' + " " * 60000 + "-",
        'a{b="' + "\\\\" * 30000,
        "a " + "1" * 60000 + "-",
        "a 1" + " " * 60000 + "-",
        "# TYPE" + " " * 60000,
        "# HELP a" + " " * 60000 + "\r",
        'a{b="c"' + ',b="c"' * 9000,
    ],
)
def test_no_line_takes_long(line: str) -> None:
    """Were it quadratic, each would take a minute, and the suite with it."""
    with pytest.raises(Wrong):
        count_samples([line.encode() + b"\n"])
