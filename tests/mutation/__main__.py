"""Lines broken one at a time, and whether the tests that belong to them notice: `python tests/mutation --help`."""

import argparse
import json
import random
import sys
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from belonging import ROOMS, belonging, files, room_of
from copies import ROOT, Copy, preload
from reached import NEAR, ORDER, RECORD, Reached, choice
from slips import Slip, changed_lines, changes, of_lines, slips

EQUIVALENT = Path(__file__).with_name("cannot_be_seen.toml")
PATIENCE = 3.0  # times what the tests take where nothing is changed; then they hang
FEW = 8  # tests that run at first: they start sooner than all
CAUGHT, SURVIVED, UNSEEN = "caught", "survived", "cannot be seen"


class Trial(NamedTuple):
    """A slip in a file, and the source that it is made in."""

    path: str
    source: str
    slip: Slip

    def said(self) -> str:
        before, after = (text.replace("\n", "\n      ") for text in changed_lines(self.source, self.slip))
        return f"{self.path}:{self.slip.line}: {self.slip.kind}\n    - {before}\n    + {after}"


class Outcome(NamedTuple):
    trial: Trial
    state: str
    why: str


def drawn(only: str, count: int, seed: int) -> list[Trial]:
    """One slip of each of `count` lines of a room, drawn at random; the same ones for the same seed and source."""
    rng, lines = random.Random(f"{seed} {only}"), []
    for path in files(only):
        source = (ROOT / path).read_text(encoding="utf-8")
        lines += [(path, source, each) for each in of_lines(slips(source))]
    rng.shuffle(lines)
    found: list[Trial] = []
    while lines and len(found) < count:
        path, source, each = lines.pop()
        slip = rng.choice(each)
        if changes(source, slip):
            found.append(Trial(path, source, slip))
    return found


def reviewed() -> dict[tuple[str, str, str], str]:
    """(file, the line before, the line after) -> why no test can see the difference."""
    entries = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("slip", [])
    return {(e["file"], e["before"].strip(), e["after"].strip()): e["reason"] for e in entries}


class Plain(NamedTuple):
    """What the tests of a room do where nothing is changed: how long they take together, and what each comes to."""

    seconds: float
    reached: Reached


def plain(room: str, tests: list[str], copy: Copy) -> Plain:
    record = copy.folder / "reached.json"
    ended = copy.run(tests, 3600, **{RECORD: str(record)})
    if ended.code != 0:  # also where a test does not bear to be followed
        ended = copy.run(tests, 3600)
    if ended.code != 0:
        sys.exit(f"the tests of {room} fail where nothing is changed: {ended.why()}\n{ended.said[-2000:]}")
    print(f"{room}: its tests take {ended.seconds:.0f} s where nothing is changed", flush=True)
    return Plain(ended.seconds, json.loads(record.read_text(encoding="utf-8")))


def judged(trial: Trial, copy: Copy, known: Plain, near: bool) -> Outcome:
    """Whether a slip is noticed: by a few of the tests that come to its line, by all that do, or by any of the room."""
    order, every = copy.folder / "order.json", [test for test in belonging(trial.path) if (copy.folder / test).exists()]
    few, nearest = choice(known.reached, trial.path, trial.source, trial.slip.line, FEW)
    copy.write(trial.path, trial.slip.applied(trial.source))
    try:
        stages = [(few, True)] * bool(few) + [(nearest, True)] * (len(nearest) > len(few))
        for names, alone in [*stages, *([] if near and few else [(nearest, False)])]:
            tests = list(dict.fromkeys(name.split("::")[0] for name in names)) if alone else every
            seconds = sum(known.reached[name][0] for name in names) if alone else known.seconds
            order.write_text(json.dumps(names), encoding="utf-8")
            said = {ORDER: str(order), **({NEAR: "1"} if alone else {})}
            ended = copy.run(tests, 60 + PATIENCE * seconds, **said)
            if ended.code != 0:
                return Outcome(trial, CAUGHT, ended.why())
    finally:
        copy.write(trial.path, trial.source)
    return Outcome(trial, SURVIVED, "")


def table(outcomes: list[Outcome]) -> str:
    """By room: how many slips were caught, and of which share of those that can be seen."""
    rows = [f"{'':12s} {CAUGHT:>8s} {SURVIVED:>9s} {UNSEEN:>15s}"]
    rooms = dict.fromkeys(room_of(one.trial.path) for one in outcomes)
    for room in [*rooms, "all"]:
        states = [one.state for one in outcomes if room in ("all", room_of(one.trial.path))]
        caught, survived, unseen = (states.count(state) for state in (CAUGHT, SURVIVED, UNSEEN))
        share = f"{100 * caught / (caught + survived):5.0f} %" if caught + survived else ""
        rows.append(f"{room:12s} {caught:8d} {survived:9d} {unseen:15d} {share}")
    return "\n".join(rows)


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    given.add_argument("--only", action="append", help=f"{', '.join(ROOMS)}, or a folder or file under minirnn/")
    given.add_argument("--count", type=int, default=20, help="lines of each")
    given.add_argument("--seed", type=int, default=0, help="of the draw of lines")
    given.add_argument("--jobs", type=int, default=2, help="copies of the tree that work at the same time")
    given.add_argument("--near", action="store_true", help="only tests that come to the line, or else its file")
    given.add_argument("--list", action="store_true", help="print what would be tried, and end")
    options = given.parse_args()
    preload()

    places = options.only or list(ROOMS)
    if missing := [place for place in places if not files(place)]:
        given.error(f"--only {missing[0]}: no such room, folder or file under minirnn/")
    trials = [trial for place in places for trial in drawn(place, options.count, options.seed)]
    if options.list:
        print(*(trial.said() for trial in trials), sep="\n")
        return 0
    known = reviewed()
    unseen = {trial: known.get((trial.path, *changed_lines(trial.source, trial.slip))) for trial in trials}
    outcomes = [Outcome(trial, UNSEEN, why) for trial, why in unseen.items() if why is not None]
    outcomes += run_all([trial for trial, why in unseen.items() if why is None], options.jobs, options.near)
    survivors = [one.trial.said() for one in outcomes if one.state == SURVIVED]
    if survivors:
        print("\nsurvived: each a test, or a reason in", EQUIVALENT.name, *survivors, sep="\n")
    print(f"\nseed {options.seed}", table(sorted(outcomes, key=lambda one: one.trial.path)), sep="\n")
    return 0


def run_all(trials: list[Trial], jobs: int, near: bool) -> list[Outcome]:
    """Try the slips, each in one of `jobs` copies; before, the same tests where nothing is changed, to be timed."""
    with tempfile.TemporaryDirectory(prefix="minirnn-mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        free: SimpleQueue[Copy] = SimpleQueue()
        for k in range(min(jobs, max(1, len(trials)))):
            free.put(Copy(Path(folder) / str(k)))

        def lent(work: Callable[[Copy], Any]) -> Any:
            copy = free.get()
            try:
                return work(copy)
            finally:
                free.put(copy)

        def one(trial: Trial) -> Outcome:
            outcome = lent(lambda copy: judged(trial, copy, known[room_of(trial.path)], near))
            print(f"{outcome.state:8s} {trial.path}:{trial.slip.line} {outcome.why}", flush=True)
            return outcome

        tests: dict[str, dict[str, None]] = {}
        for trial in trials:
            tests.setdefault(room_of(trial.path), {}).update(dict.fromkeys(belonging(trial.path)))
        found = pool.map(lambda room: lent(lambda copy: plain(room, list(tests[room]), copy)), tests)
        known = dict(zip(tests, found, strict=True))
        return list(pool.map(one, trials))


if __name__ == "__main__":
    sys.exit(main())
