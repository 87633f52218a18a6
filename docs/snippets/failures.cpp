// The pieces of docs/guide/when-things-go-wrong.md.
#include <multiprocessing/multiprocessing.hpp>

#include <signal.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace mp::literals;

int risky(int x) {
    if (x == 2) ::raise(SIGKILL);
    if (x == 3) throw std::out_of_range("3 is too much");
    return 10 * x;
}

int slow(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    return milliseconds;
}

std::atomic<bool> pressed = false;

int main() {
    mp::Pool pool(2);
    for (const auto& outcome : pool.map_outcomes(risky, mp::range(1, 5))) {
        try {
            std::printf("%d\n", outcome.value());
        } catch (const mp::WorkerLost& lost) {
            std::printf("task %d: signal %d\n", int(*lost.task_index()), *lost.signal());
        } catch (const std::out_of_range& error) {
            std::printf("%s\n", error.what());
        }
    }

    try {
        pool.apply({.task_timeout = 50ms}, slow, 60'000);
    } catch (const mp::TaskTimeout&) {
        std::puts("too slow");
    }

    mp::Value<int> attempts(0);
    const int result = pool.apply({.retries = mp::Retries{.exception = 2}}, [](mp::Value<int> count) {
        if (++count < 3) throw std::runtime_error("not yet");
        return count.load();
    }, attempts);
    std::printf("attempt %d succeeded\n", result);

    mp::Pool modest({.workers = 1, .memory_limit = 200_MiB});
    try {
        modest.apply([](std::size_t size) { return std::vector<char>(size, 'x').size(); }, 1_GiB);
    } catch (const mp::MemoryLimitExceeded& error) {
        std::printf("a task wanted more than %d MiB\n", int(error.limit() >> 20));
    }

    std::signal(SIGINT, [](int) { pressed = true; });  // now Ctrl-C is this program's affair
    int taken = 0;
    for (int x : pool.imap([](int n) { return n; }, std::views::iota(0))) {  // without end
        if (pressed) break;  // leaving the loop cancels what is under way
        ++taken;
        if (x == 9) std::raise(SIGINT);  // as the key would
    }
    std::printf("stopped after %d\n", taken);
}
// Prints:
// 10
// task 1: signal 9
// 3 is too much
// 40
// too slow
// attempt 3 succeeded
// a task wanted more than 200 MiB
// stopped after 10
