"""Counts the primes up to LAST by trial division with Python's Pool.map in two processes, start and stop included. Prints
{"seconds": …}.

    primes.py LAST
"""

import json
import multiprocessing
import sys
import time


def is_prime(value):
    if value < 2:
        return 0
    for divisor in range(2, value):
        if value % divisor == 0:
            return 0
    return 1


def main():
    last = int(sys.argv[1])
    begin = time.perf_counter()
    with multiprocessing.Pool(2) as pool:
        count = sum(pool.map(is_prime, range(1, last + 1)))
    seconds = time.perf_counter() - begin
    if last == 80000 and count != 7837:
        sys.exit("the count is wrong")
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
