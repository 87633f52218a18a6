"""Time from nothing to the first result of each worker of a Python pool, and its end. Prints {"seconds": …}.

    pool_start.py WAY WORKERS      WAY: pool, executor, joblib, process (start and join of one)
"""

import json
import multiprocessing
import sys
import time


def task(value):
    return value


def main():
    way, workers = sys.argv[1], int(sys.argv[2])
    if way == "executor":
        from concurrent.futures import ProcessPoolExecutor
    elif way == "joblib":
        from joblib import Parallel, delayed
    begin = time.perf_counter()
    if way == "pool":
        with multiprocessing.Pool(workers) as pool:
            pool.map(task, range(workers), chunksize=1)
    elif way == "executor":
        with ProcessPoolExecutor(workers) as executor:
            list(executor.map(task, range(workers)))
    elif way == "joblib":
        Parallel(workers)(delayed(task)(value) for value in range(workers))
    elif way == "process":
        process = multiprocessing.Process(target=task, args=(1,))
        process.start()
        process.join()
    else:
        sys.exit(f"no such way: {way}")
    print(json.dumps({"seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    main()
