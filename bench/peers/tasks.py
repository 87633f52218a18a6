"""Python's ways to run many small tasks in two processes. Prints {"seconds": time of the work, without start and stop}.

    tasks.py WAY TASKS MICROSECONDS [BYTES]

WAY: map, map1 (chunksize 1), imap_unordered, apply_async, executor, joblib; mpi under `mpirun … -m mpi4py.futures`.
BYTES: each task takes and returns so many.
"""

import json
import sys
import time
from functools import partial

WORKERS = 2


def task(microseconds, value):
    if microseconds:
        end = time.perf_counter_ns() + 1000 * microseconds
        while time.perf_counter_ns() < end:
            pass
    return value


def ways(way, function, values):
    """Gives first a call that starts the workers, then the work itself."""
    if way in ("map", "map1", "imap_unordered", "apply_async"):
        import multiprocessing

        pool = multiprocessing.Pool(WORKERS)
        yield pool.map(function, values[:WORKERS])
        if way == "map":
            yield pool.map(function, values)
        elif way == "map1":
            yield pool.map(function, values, chunksize=1)
        elif way == "imap_unordered":
            yield list(pool.imap_unordered(function, values))
        else:
            futures = [pool.apply_async(function, (value,)) for value in values]
            yield [future.get() for future in futures]
        pool.terminate()
    elif way in ("executor", "mpi"):
        if way == "mpi":
            from mpi4py.futures import MPIPoolExecutor as Executor
        else:
            from concurrent.futures import ProcessPoolExecutor as Executor
        with Executor(WORKERS) as executor:
            yield list(executor.map(function, values[:WORKERS]))
            yield list(executor.map(function, values))
    elif way == "joblib":
        from joblib import Parallel, delayed

        with Parallel(WORKERS) as parallel:
            yield parallel(delayed(function)(value) for value in values[:WORKERS])
            yield parallel(delayed(function)(value) for value in values)
    else:
        sys.exit(f"no such way: {way}")


def main():
    way, count, microseconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    size = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    # Each its own object: pickle sends the same one only once.
    values = [bytes([i & 255]) * size for i in range(count)] if size else list(range(count))
    steps = ways(way, partial(task, microseconds), values)
    next(steps)
    begin = time.perf_counter()
    results = next(steps)
    seconds = time.perf_counter() - begin
    if len(results) != count:
        sys.exit("results are missing")
    for _ in steps:
        pass
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
