import pytest

from benchmarks.load import Measurement, read_http2_report, read_report

HEAD = """Running 2s test @ http://127.0.0.1:8080/invocations
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    27.32ms    3.95ms  60.01ms   80.00%
    Req/Sec     2.31k   190.00     2.61k    70.00%
  Latency Distribution
     50%  512.00us
     75%   28.00ms
     90%   31.00ms
     99%    1.25s
  4000 requests in 2.00s, 1.07MB read
"""
TAIL = "Requests/sec:   2000.00\nTransfer/sec:    547.47KB\n"


def test_latencies_are_in_milliseconds_whatever_their_unit():
    assert read_report(HEAD + TAIL) == Measurement(rate=2000, p50=0.512, p99=1250, failed=0)


def test_answers_that_are_not_200_are_failures_and_no_throughput():
    report = HEAD + "  Non-2xx or 3xx responses: 1000\n" + TAIL
    assert read_report(report).rate == 1500
    assert read_report(report).failed == 1000


def test_a_run_without_an_answer_is_read():
    report = """Running 1s test @ http://127.0.0.1:9/
  Latency Distribution
     50%    0.00us
     75%    0.00us
     90%    0.00us
     99%    0.00us
  0 requests in 1.00s, 0.00B read
  Socket errors: connect 8, read 0, write 0, timeout 0
Requests/sec:      0.00
"""

    assert read_report(report) == Measurement(rate=0, p50=0, p99=0, failed=8)


HTTP2 = """finished in 2.00s, 20.00 req/s, 3.80KB/s
requests: 40 total, 41 started, 40 done, {succeeded} succeeded, {failed} failed, 0 errored
status codes: 40 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 6.75KB (6907) total, 270B (270) headers (space savings 91.67%), 1.60KB ({data}) data
"""
LOG = "1795531596321249\t200\t7000\n1795531596321225\t200\t1000\n1795531596328433\t200\t2000\n"


def test_h2load_tells_of_every_request():
    report = HTTP2.format(succeeded=39, failed=1, data=1640)
    assert read_http2_report(report, LOG, 2) == Measurement(rate=19.5, p50=2, p99=7, failed=1)


def test_answers_of_grpc_without_a_body_are_no_predictions():
    report = HTTP2.format(succeeded=40, failed=0, data=0)
    assert read_http2_report(report, LOG, 2) == Measurement(rate=0, p50=0, p99=0, failed=40)


def test_what_is_no_report_is_refused():
    with pytest.raises(ValueError, match="unable to connect"):
        read_report("unable to connect to 127.0.0.1:9 Connection refused")
