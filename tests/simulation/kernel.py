"""Virtual time: processes and their threads, of which one runs at a time, in an order that follows from the seed.

Threads are greenlets, so the code under test blocks where it blocks in life: in a sleep, in a request, in an empty
inbox. Time passes only when all of them wait.
"""

from __future__ import annotations

import heapq
import queue
import random
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

START = 1_793_500_000.0
"""Seconds since 1970 at which every simulation begins."""


class Killed(BaseException):
    """The process is gone: raised wherever one of its threads waits, and at whatever it still tries."""


class Process:
    """A program: it can be killed, paused and have a clock of its own."""

    def __init__(self, kernel: Kernel, name: str, skew: float = 0.0) -> None:
        self.kernel, self.name, self.skew = kernel, name, skew
        self.alive = True
        self.ended_at = float("inf")
        self.on_kill: Callable[[], None] = lambda: None
        self.paused_until = 0.0
        self.stop_requested = False
        """Whether it was sent SIGTERM."""
        self.tasks: list[_Task] = []

    def start(self, work: Callable[[], None], name: str = "main") -> None:
        """Have work done in a thread of this process."""
        self.kernel.spawn(self, work, name)

    def kill(self) -> None:
        """End it as SIGKILL does: nothing that it would still have done happens."""
        if self.alive:
            self.alive, self.ended_at = False, self.kernel.time
            self.kernel.log(self.name, "is killed")
            self.on_kill()
            for task in list(self.tasks):
                self.kernel.wake(task, task.token)

    def end(self) -> None:
        """Its main thread has ended, and with it all others."""
        self.alive, self.ended_at = False, self.kernel.time
        for task in list(self.tasks):
            self.kernel.wake(task, task.token)

    def pause(self, seconds: float) -> None:
        """Stop it for a while, as a laptop that is closed does."""
        self.paused_until = self.kernel.time + seconds
        self.kernel.log(self.name, f"is paused for {seconds:.0f} s")

    @property
    def running(self) -> bool:
        """Whether it lives and one of its threads has not ended."""
        return self.alive and bool(self.tasks)


class _Task:
    __slots__ = ("live", "name", "process", "runs", "token", "woken_by")

    def __init__(self, process: Process, name: str) -> None:
        self.process, self.name = process, name
        self.token = 0
        self.woken_by = ""
        self.live = True
        self.runs: greenlet


class Kernel:
    """The clock and everything that is due. ``run`` is called by the thread that owns the simulation."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.time = 0.0
        self._lines: list[tuple[float, str, str]] = []
        self.steps = 0
        self.at_step: dict[int, Callable[[], object]] = {}
        """What happens before the n-th step."""
        self.crashes: list[str] = []
        """Tracebacks of what no code should let through."""
        self._due: list[tuple[float, int, Callable[[], object] | _Task, int, str]] = []
        """When, what or whose turn, and for whoever waits: which of its waits, and why it ends."""
        self._counter = 0
        self._world = getcurrent()
        self._thread = threading.get_ident()
        self._current: _Task | None = None
        self._live: set[_Task] = set()

    def log(self, who: str, what: str) -> None:
        """Write one line of the history."""
        self._lines.append((self.time, who, what))

    @property
    def history(self) -> list[str]:
        """What has happened, in lines: written only where somebody reads them."""
        return [f"{time:10.3f} {who:12} {what}" for time, who, what in self._lines]

    def at(self, delay: float, act: Callable[[], object]) -> None:
        """Schedule a callback in the simulation itself."""
        self._push(self.time + delay, act)

    def _push(self, time: float, what: Callable[[], object] | _Task, token: int = 0, why: str = "") -> None:
        self._counter += 1
        heapq.heappush(self._due, (time, self._counter, what, token, why))

    def run(self, until: Callable[[], bool], limit: float) -> bool:
        """Let time pass until a condition holds; False where it does not within the limit or nothing is left to do."""
        end, due, pop = self.time + limit, self._due, heapq.heappop
        while not until():
            if not due or due[0][0] > end:
                return False
            if self.at_step and self.steps in self.at_step:
                self.at_step.pop(self.steps)()
                continue
            self.time, _, act, token, why = pop(due)
            if type(act) is _Task:
                self._resume(act, token, why)
            else:
                act()  # type: ignore[operator]
            self.steps += 1
        return True

    def close(self) -> None:
        """End every thread."""
        for task in self._live:
            task.process.alive = False
        for task in list(self._live):
            if task.live:
                self._switch(task)

    # threads

    def spawn(self, process: Process, work: Callable[[], None], name: str) -> None:
        """A new thread of a process, which begins at once."""
        task = _Task(process, name)
        process.tasks.append(task)
        self._live.add(task)

        def body() -> None:
            try:
                if process.alive:
                    work()
            except Killed:
                pass
            except BaseException:
                self.crashes.append(f"{process.name} crashes in {name}: {traceback.format_exc()}")
            process.tasks.remove(task)
            task.live = False
            self._live.discard(task)

        task.runs = greenlet(body, self._world)
        self.wake(task, 0)

    def wake(self, task: _Task, token: int, why: str = "") -> None:
        """Let a waiting thread go on, unless it has done so since; a paused process's when it is awake again."""
        self._push(self.time, task, token, why)

    def sleep(self, seconds: float) -> None:
        """Let time pass for the calling thread."""
        task = self._mine()
        nearest = self._due[0][0] if self._due else 0.0
        if nearest > self.time + seconds and task.process.paused_until <= self.time and not self.at_step:
            self.time += max(0.0, seconds)  # nobody else has anything to do before
            return
        self._wait(task, seconds)

    def wait(self, waiters: deque[tuple[_Task, int]], timeout: float | None) -> bool:
        """Wait to be woken through ``waiters``; False after the timeout."""
        task = self._mine()
        waiters.append((task, task.token + 1))
        return self._wait(task, timeout) == "called"

    def call(self, waiters: deque[tuple[_Task, int]]) -> bool:
        """Wake the first of those that wait still; False where none does."""
        while waiters:
            task, token = waiters.popleft()
            if task.token == token and task.live:
                self.wake(task, token, "called")
                return True
        return False

    @property
    def inside(self) -> bool:
        """Whether the caller is the thread whose turn it is; else it is a helper that the code began itself."""
        return self._current is not None and threading.get_ident() == self._thread

    def check(self) -> Process:
        """The process of the calling thread. Raises Killed where it is gone."""
        return self._mine().process

    def _mine(self) -> _Task:
        task = self._current
        assert task is not None, "only threads of a process may wait"
        if not task.process.alive:
            raise Killed
        return task

    def _wait(self, task: _Task, timeout: float | None) -> str:
        task.token += 1
        token = task.token
        if timeout is not None:
            self._push(self.time + max(0.0, timeout), task, token, "timeout")
        self._world.switch()
        if not task.process.alive:
            raise Killed
        return task.woken_by

    def _resume(self, task: _Task, token: int, why: str) -> None:
        if task.token != token or not task.live:
            return
        process = task.process
        if process.paused_until > self.time and process.alive:
            self._push(process.paused_until, task, token, why)
            return
        task.woken_by = why
        self._switch(task)

    def _switch(self, task: _Task) -> None:
        task.token += 1
        self._current = task
        task.runs.switch()
        self._current = None


class VirtualClock:
    """A process's clock. ``jump`` moves its time of day, as a bad time server does."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> float:
        return START + self._process.kernel.time + self._process.skew

    def monotonic(self) -> float:
        return self._process.kernel.time

    def sleep(self, seconds: float) -> None:
        self._process.kernel.sleep(seconds)


class VirtualThreads:
    """A process's threads, and what they speak through."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def start(self, work: Callable[[], None], name: str) -> None:
        self._process.start(work, name)

    def inbox(self) -> VirtualInbox:
        return VirtualInbox(self._process.kernel)

    def flag(self) -> VirtualFlag:
        return VirtualFlag(self._process.kernel)


class VirtualInbox:
    """A queue between the threads of a process."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._items: deque[Any] = deque()
        self._waiters: deque[Any] = deque()

    def put(self, item: Any, /) -> None:
        self._items.append(item)
        self._kernel.call(self._waiters)

    def get(self, *, timeout: float | None = None) -> Any:
        self._kernel.check()
        if timeout is None:
            while not self._items:
                self._kernel.wait(self._waiters, None)
        elif not self._items and timeout > 0:
            self._kernel.wait(self._waiters, timeout)
        if not self._items:
            raise queue.Empty
        return self._items.popleft()


class VirtualFlag:
    """Something that becomes true once."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._true = False
        self._waiters: deque[Any] = deque()

    def set(self) -> None:
        self._true = True
        while self._kernel.call(self._waiters):
            pass

    def is_set(self) -> bool:
        return self._true

    def wait(self, timeout: float) -> bool:
        if not self._true:
            self._kernel.wait(self._waiters, timeout)
        return self._true
