"""Ranks that are threads of one process: what ranks say to each other, without MPI."""

import threading

from minirnn.parallel import RankFailedError

HANG = 600  # seconds: ranks compile on their way to a meeting, on a machine that may be busy


class ThreadRank:
    def __init__(self, rank, size, meeting, table):
        self.rank, self.size, self.meeting, self.table = rank, size, meeting, table

    def gather(self, value):
        self.table[self.rank] = value
        self.meeting.wait(HANG)
        values = list(self.table)
        self.meeting.wait(HANG)
        return values

    def bcast(self, value):
        return self.gather(value)[0]

    def any(self, flag):
        return any(self.gather(flag))

    def sum(self, buffer):
        total = None
        for part in self.gather(buffer.copy()):
            total = part if total is None else total + part
        buffer[...] = total

    def abort(self, message):
        self.meeting.abort()
        raise RankFailedError(message)


def on_ranks(size, work):
    """[work(rank's communicator)] of all ranks; what one of them raised is raised."""
    meeting, table = threading.Barrier(size), [None] * size
    results, errors = [None] * size, [None] * size

    def run(rank):
        try:
            results[rank] = work(ThreadRank(rank, size, meeting, table))
        except BaseException as error:
            errors[rank] = error
            meeting.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    real = [e for e in errors if e is not None and not isinstance(e, threading.BrokenBarrierError)]
    if real:
        raise min(real, key=lambda e: "BrokenBarrierError" in str(e))
    return results
