"""Time from a worker's death until the next task has a result, with Python's concurrent.futures, which has to be made
anew. Prints {"seconds": …}."""

import json
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def task(value):
    return value


def main():
    executor = ProcessPoolExecutor(1)
    executor.submit(task, 1).result()
    begin = time.perf_counter()
    try:
        executor.submit(die).result()
    except BrokenProcessPool:
        executor = ProcessPoolExecutor(1)
    executor.submit(task, 1).result()
    seconds = time.perf_counter() - begin
    executor.shutdown()
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
