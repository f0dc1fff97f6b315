"""The alpha-beta model of docs/scaling.md."""

import pytest

benchmark = pytest.importorskip("benchmarks.parallel", reason="the benchmarks are not in a wheel")


def test_an_allreduce_is_latency_for_little_and_bandwidth_for_much():
    assert benchmark.allreduce_seconds(1, 10**9, 1.0, 1.0) == 0.0
    assert benchmark.allreduce_seconds(8, 0, 1e-5, 1e9) == pytest.approx(6e-5)
    assert benchmark.allreduce_seconds(2, 10**9, 0.0, 1e9) == pytest.approx(1.0)
    assert benchmark.allreduce_seconds(1000, 10**9, 0.0, 1e9) == pytest.approx(2.0, rel=1e-2)


@pytest.mark.parametrize("communication", [1e-4, 3e-3, 0.2])
def test_the_smallest_batch_is_the_first_that_keeps_four_fifths(communication):
    step = (2e-3, 1e-4)
    efficiency = lambda streams: (work := step[0] + step[1] * streams) / (work + communication)
    least = benchmark.smallest_batch(step, communication)
    assert efficiency(least) >= 0.8 - 1e-9
    assert least == 1 or efficiency(least - 2) < 0.8  # rounding may cost one


def test_the_fit_finds_what_the_figures_were_made_from():
    sums = {str(n): 2 * 3e-6 + n / 5e9 for n in benchmark.BUFFERS}
    alpha, bandwidth = benchmark._fitted(sums)
    assert alpha == pytest.approx(3e-6)
    assert bandwidth == pytest.approx(5e9)
