// The pieces of docs/guide/pipes-and-queues.md.
#include <multiprocessing/multiprocessing.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

using namespace std::chrono_literals;

void answer(mp::Connection<std::string, int> pipe) {
    while (true) {
        try {
            pipe.send("got " + std::to_string(pipe.recv()));
        } catch (const mp::Closed&) {
            return;  // the other side is gone, and all it sent was read
        }
    }
}

void converse() {
    auto [main_end, worker_end] = mp::Pipe<int, std::string>();
    mp::Process process(answer, std::move(worker_end));
    process.start();
    main_end.send(42);
    if (main_end.poll(60s)) std::printf("%s\n", main_end.recv().c_str());
    main_end.close();
    process.join();
}

void produce(mp::Queue<int> numbers) {
    for (int i = 0; i < 3; ++i) numbers.put(i);
    numbers.close();
}

void stream() {
    mp::Queue<int> numbers(2);  // bounded: put waits while two are inside
    mp::Process producer(produce, numbers);
    producer.start();
    for (int number : numbers) std::printf("%d ", number);  // until it is closed and empty
    std::printf("\n");
    producer.join();
}

void without_waiting() {
    mp::Queue<int> queue(1);
    const bool first = queue.try_put(1), second = queue.try_put(2);
    std::printf("%d %d %d\n", first, second, queue.try_get().value_or(0));
    std::printf("%s\n", queue.get_for(1ms) ? "something" : "nothing in time");
}

void ask(const std::string& address) {
    auto connection = mp::Client<std::string, std::size_t>(address, {.authkey = "what both know"});
    connection.send("how long is this?");
    std::printf("%zu\n", connection.recv());
}

void serve() {
    mp::Listener listener("localhost:0", {.authkey = "what both know"});  // port 0: a free one
    mp::Process client(ask, listener.address());                          // could be a program of its own, elsewhere
    client.start();
    if (auto connection = listener.accept_for<std::size_t, std::string>(60s))
        connection->send(connection->recv().size());
    client.join();
}

int main() {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // lines of parent and child in the order of their making
    converse();
    stream();
    without_waiting();
    serve();
}
// Prints:
// got 42
// 0 1 2 
// 1 0 1
// nothing in time
// 17
