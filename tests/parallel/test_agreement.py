"""What all ranks have to agree on."""

import numpy as np
import pytest
from thread_ranks import on_ranks

from minirnn.parallel import SINGLE, DifferentRanksError, RankFailedError, compare, first, guard, together


def test_work_is_done_on_every_rank_or_on_the_first():
    assert on_ranks(3, lambda comm: together(comm, lambda: comm.rank)) == [0, 1, 2]
    assert on_ranks(3, lambda comm: first(comm, lambda: comm.rank)) == [0, 0, 0]
    assert together(SINGLE, lambda: 5) == first(SINGLE, lambda: 5) == 5


def test_a_rank_that_fails_is_heard_by_all():
    def work(comm):
        try:
            together(comm, lambda: 1 // (comm.rank - 1))
        except (ZeroDivisionError, RankFailedError) as error:
            return f"{type(error).__name__}: {error}"

    said = on_ranks(3, work)
    assert said[1].startswith("ZeroDivisionError")
    assert said[0] == said[2] == f"RankFailedError: rank 1 of 3: {said[1]}"


def test_what_differs_is_named_on_every_rank():
    def work(comm):
        with pytest.raises(DifferentRanksError, match=r"lr is 2 on rank 2, 0 on rank 0; give the same"):
            compare(comm, {"lr": 0 if comm.rank < 2 else 2, "text": "same"}, "give the same")
        compare(comm, {"lr": 1}, "give the same")

    on_ranks(3, work)


def test_arrays_that_differ_in_their_middle_are_told_apart():
    def work(comm):
        state = np.random.RandomState(0).get_state()[1].copy()  # 624 numbers, of which repr shows six
        state[300] += comm.rank
        with pytest.raises(DifferentRanksError, match=r"rng is uint32 .* with checksum .* on rank 1"):
            compare(comm, {"rng": state}, "give the same")
        compare(comm, {"rng": state[:300]}, "give the same")

    on_ranks(2, work)


def test_the_guard_ends_all_for_what_one_rank_alone_knows():
    def work(comm):
        with guard(comm):
            if comm.rank == 1:
                raise OSError("the disk is full")
            comm.gather(None)  # would wait for ever

    with pytest.raises(RankFailedError, match="rank 1 of 2: OSError: the disk is full"):
        on_ranks(2, work)


def test_the_guard_lets_through_what_all_raise():
    def work(comm):
        with guard(comm):
            together(comm, lambda: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        on_ranks(2, work)
