"""The barrier at which the threads of a team wait for each other, and how a thread goes through several calls, as LLVM
text.

    barrier(arrivals, team, passed)                  arrivals: how often any thread has come, 0 at first; passed: the
                                                     same, of the barriers that this thread has passed
    calls(function, calls, count, integers, me)      the function, with every row of integers, and a barrier behind it

Arrivals only grow, so that a thread which comes to the next barrier while another has not left this one does no harm;
and whoever gives up raises them beyond all that are waited for, which lets the others through. A thread waits some
microseconds, which is what another is late by on a processor of its own, and then lets others have the processor after
each look: the one that it waits for may want it.
"""

from minirnn.compile.llvm.target import Target

__all__ = ["ABANDONED", "CALLS", "NAME", "THREAD", "module"]

NAME, CALLS = "minirnn_barrier", "minirnn_calls"
THREAD = (("i64", "rank"), ("i64", "team"), ("ptr", "barrier"), ("ptr", "room"), ("i64", "passed"))  # a thread's own
ABANDONED = 1 << 62  # arrivals beyond all that are waited for
PAUSES = 4000

_PAUSE = {"avx512": ("@llvm.x86.sse2.pause", ""), "avx2": ("@llvm.x86.sse2.pause", "")}
_PAUSE["neon"] = ("@llvm.aarch64.hint", "i32 1")


def module(target: Target) -> str:
    """The text of the barrier's module."""
    name, given = _PAUSE.get(target.name, ("", ""))
    pause = f"call void {name}({given})" if name else ""
    declared = f"declare void {name}({given.split(' ')[0]})" if name else ""
    return f"""{declared}
declare i32 @sched_yield()

define void @{NAME}(ptr %arrivals, i64 %team, ptr %passed) nounwind {{
entry:
  %before = load i64, ptr %passed
  %goal = add i64 %before, %team
  store i64 %goal, ptr %passed
  %mine = atomicrmw add ptr %arrivals, i64 1 seq_cst, align 8
  br label %look
look:
  %looks = phi i64 [ 0, %entry ], [ %more, %wait ], [ %looks, %yield ]
  %now = load atomic i64, ptr %arrivals acquire, align 8
  %come = icmp sge i64 %now, %goal
  br i1 %come, label %behind, label %late
late:
  %long = icmp sge i64 %looks, {PAUSES}
  br i1 %long, label %yield, label %wait
wait:
  {pause}
  %more = add i64 %looks, 1
  br label %look
yield:
  %ignored = call i32 @sched_yield()
  br label %look
behind:
  ret void
}}

define void @{CALLS}(ptr %function, ptr %calls, i64 %count, i64 %integers, ptr %me) nounwind {{
entry:
  %teams = getelementptr i64, ptr %me, i64 1
  %team = load i64, ptr %teams
  %barriers = getelementptr i64, ptr %me, i64 2
  %arrivals = load ptr, ptr %barriers
  %passed = getelementptr i64, ptr %me, i64 4
  br label %next
next:
  %k = phi i64 [ 0, %entry ], [ %more, %call ]
  %left = icmp slt i64 %k, %count
  br i1 %left, label %call, label %behind
call:
  %at = mul i64 %k, %integers
  %block = getelementptr i64, ptr %calls, i64 %at
  call void %function(ptr %block, ptr %me)
  call void @{NAME}(ptr %arrivals, i64 %team, ptr %passed)
  %more = add i64 %k, 1
  br label %next
behind:
  ret void
}}
"""
