// So many tasks, for tools that count what a whole program does.
//     counted_work map|submit|single|recorded|watched_map|watched_stream TASKS
//     counted_work idle MILLISECONDS
// A watched map tells a function how far it is, and prints how often it did. What is recorded is a single task after the
// other while a session is on. The time without work, which begins once everybody has gone to sleep, stands between two system calls that are
// recognised.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

namespace {

int identity(int value) { return value; }

// By itself, so that a tool can be told to look at nothing else.
[[gnu::noinline]] mp::Future<int> hand_out(mp::Pool& pool, int task) { return pool.submit(identity, task); }

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const int tasks = std::atoi(argv[2]);
    // A snapshot of this process, which tools follow where they do not follow an exec.
    mp::Pool pool({.workers = 1, .start_method = mp::StartMethod::fork});
    if (argv[1] == std::string_view("map")) {
        return pool.map(identity, mp::range(0, tasks)).back() == tasks - 1 ? 0 : 1;
    }
    if (argv[1] == std::string_view("watched_map")) {
        int reports = 0;
        pool.map(identity, mp::range(0, tasks), {.progress = [&](const mp::Progress&) { ++reports; }});
        return std::printf("%d\n", reports) > 0 ? 0 : 1;
    }
    if (argv[1] == std::string_view("watched_stream")) {
        for (int result : pool.imap(identity, mp::range(0, tasks), {.progress = true}))
            if (result < 0) return 1;
        return 0;
    }
    if (argv[1] == std::string_view("idle")) {
        pool.apply(identity, 0);
        std::this_thread::sleep_for(std::chrono::seconds(1));
        ::access("/idle begins", F_OK);
        std::this_thread::sleep_for(std::chrono::milliseconds(tasks));
        ::access("/idle ends", F_OK);
        return 0;
    }
    if (argv[1] == std::string_view("single") || argv[1] == std::string_view("recorded")) {
        const std::string picture = "/tmp/counted_work." + std::to_string(::getpid()) + ".json";
        std::optional<mp::trace::Session> session;
        if (argv[1] == std::string_view("recorded")) session.emplace(picture);
        for (int i = 0; i < tasks; ++i)
            if (hand_out(pool, i).get() != i) return 1;
        session.reset();
        std::remove(picture.c_str());
        return 0;
    }
    std::vector<mp::Future<int>> futures;
    futures.reserve(static_cast<std::size_t>(tasks));
    for (int i = 0; i < tasks; ++i) futures.push_back(hand_out(pool, i));
    for (int i = 0; i < tasks; ++i)
        if (futures[static_cast<std::size_t>(i)].get() != i) return 1;
    return 0;
}
