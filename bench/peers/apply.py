"""Python's Pool.apply, one call after the other. Prints {"seconds": …} for CALLS of them.

    apply.py CALLS
"""

import json
import multiprocessing
import sys
import time


def task(value):
    return value


def main():
    calls = int(sys.argv[1])
    with multiprocessing.Pool(1) as pool:
        pool.apply(task, (0,))
        begin = time.perf_counter()
        for value in range(calls):
            pool.apply(task, (value,))
        print(json.dumps({"seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    main()
