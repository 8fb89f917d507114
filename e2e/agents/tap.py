"""Steps with names and a time limit, reported in the Test Anything Protocol."""

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable

LIMIT = 90.0

Step = Callable[[], Awaitable[None]]
_steps: list[tuple[str, Step]] = []


def step(name: str) -> Callable[[Step], Step]:
    """Adds a step."""

    def add(work: Step) -> Step:
        _steps.append((name, work))
        return work

    return add


def run() -> None:
    """Runs the steps and ends the process."""
    print(f"TAP version 13\n1..{len(_steps)}")
    failed = 0
    for number, (name, work) in enumerate(_steps, 1):
        try:
            asyncio.run(asyncio.wait_for(work(), LIMIT))
            print(f"ok {number} - {name}", flush=True)
        except BaseException:
            failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            sys.stdout.flush()
    sys.exit(1 if failed else 0)
