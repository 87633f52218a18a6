"""Messages by multiprocessing: messages.py pipe|queue|round SIZE COUNT [SENDERS RECEIVERS]

Prints {"seconds": ...} for COUNT messages, or round trips, without the start of the processes.
"""
import json
import multiprocessing as mp
import sys
import time


def send(put, message, count, gate):
    gate.wait()
    for _ in range(count):
        put(message)


def receive(get, count, gate):
    gate.wait()
    for _ in range(count):
        get()


def echo(end, count):
    for _ in range(count):
        end.send_bytes(end.recv_bytes())


def main():
    kind, size, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    senders, receivers = (int(word) for word in (sys.argv[4:6] or ("1", "1")))
    context = mp.get_context("fork")
    message = bytes(size)
    if kind == "round":
        here, there = context.Pipe()
        other = context.Process(target=echo, args=(there, count))
        other.start()
        begin = time.perf_counter()
        for _ in range(count):
            here.send_bytes(message)
            here.recv_bytes()
        print(json.dumps({"seconds": time.perf_counter() - begin}))
        other.join()
        return
    gate = context.Barrier(senders + receivers + 1)
    if kind == "pipe":
        out, into = context.Pipe(duplex=False)
        put, get = into.send_bytes, out.recv_bytes
    else:
        queue = context.Queue()
        put, get = queue.put, queue.get
    processes = [context.Process(target=send, args=(put, message, count // senders, gate)) for _ in range(senders)]
    processes += [context.Process(target=receive, args=(get, count // receivers, gate)) for _ in range(receivers)]
    for process in processes:
        process.start()
    gate.wait()
    begin = time.perf_counter()
    for process in processes:
        process.join()
    print(json.dumps({"seconds": time.perf_counter() - begin}))


main()
