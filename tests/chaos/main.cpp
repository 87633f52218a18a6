// A pool under fire: mixed work while a thread kills random workers, and now and then the fork server. Every result is
// checked, every loss must be a worker that really was killed, nothing may hang, and in the end nothing may be left.
//
//     chaos [--kills N] [--seed S] [--workers W] [--server-kills]
#include <multiprocessing/multiprocessing.hpp>

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "process/forkserver.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Options {
    int kills = 200;
    unsigned seed = 1;
    int workers = 4;
    bool server_kills = false;
};

struct Chaos {
    Options options;
    mp::Pool pool;
    std::atomic<bool> over = false;
    std::atomic<std::uint64_t> calls = 0, elements = 0, lost = 0, kills = 0, server_kills = 0;
    std::atomic<std::int64_t> last_progress = 0;
    std::mutex mutex;
    std::set<pid_t> killed;            // by the thread below; guarded by `mutex`
    std::vector<std::string> wrong{};  // guarded by `mutex`

    explicit Chaos(const Options& given) : options(given), pool({.workers = given.workers, .name = "chaos"}) {}

    void progress() { last_progress = Clock::now().time_since_epoch().count(); }
    void complain(const std::string& what) {
        const std::lock_guard lock(mutex);
        if (wrong.size() < 20) wrong.push_back(what);
        over = true;
    }
    void check(bool good, const char* what) {
        if (!good) complain(std::string(what) + " gave a wrong result");
    }
    // A loss is right when that worker was killed - or died with its fork server.
    void check_loss(const mp::Failure& failure) {
        ++lost;
        const auto* worker = failure.worker_lost();
        if (!worker) return complain(std::string("unexpected error: ") + failure.what());
        const std::lock_guard lock(mutex);
        if (!killed.contains(worker->pid()) && !server_kills) {
            if (wrong.size() < 20) wrong.push_back(std::string("blamed, though nobody killed its worker: ") + failure.what());
            over = true;
        }
    }
};

long work(long x, int rounds) {
    long sum = x;
    for (int i = 0; i < rounds; ++i) {
        asm volatile("" : "+r"(sum));
        sum += 1;
    }
    return sum;
}

void maps(Chaos& chaos, std::mt19937& random) {
    const int count = 1 + static_cast<int>(random() % 3000);
    const int rounds = static_cast<int>(random() % 20'000);
    const auto outcomes = chaos.pool.map_outcomes([rounds](int x) { return work(x, rounds); }, mp::range(count),
                                                  {.chunk_size = random() % 2 ? std::optional<std::int64_t>(7) : std::nullopt});
    chaos.check(outcomes.size() == static_cast<std::size_t>(count), "map");
    for (int i = 0; i < count; ++i) {
        const auto& outcome = outcomes[static_cast<std::size_t>(i)];
        if (outcome) chaos.check(*outcome == i + rounds, "map");
        else chaos.check_loss(outcome.error());
    }
    chaos.elements += static_cast<std::uint64_t>(count);
}

void retried_map(Chaos& chaos, std::mt19937& random) {
    const int count = 1 + static_cast<int>(random() % 500);
    const auto texts = chaos.pool.map([](int x) { return std::string(static_cast<std::size_t>(x % 5000), static_cast<char>('a' + x % 26)); },
                                      mp::range(count), {.retries = mp::Retries{.crash = 1'000'000}});
    for (int i = 0; i < count; ++i)
        chaos.check(texts[static_cast<std::size_t>(i)] == std::string(static_cast<std::size_t>(i % 5000), static_cast<char>('a' + i % 26)), "retried map");
    chaos.elements += static_cast<std::uint64_t>(count);
}

void submits(Chaos& chaos, std::mt19937& random) {
    const int count = 1 + static_cast<int>(random() % 1000);
    const int rounds = static_cast<int>(random() % 10'000);
    std::vector<mp::Future<long>> futures;
    for (int i = 0; i < count; ++i) futures.push_back(chaos.pool.submit(work, long(i), rounds));
    for (int i = 0; i < count; ++i) {
        const auto outcome = futures[static_cast<std::size_t>(i)].outcome();
        if (outcome) chaos.check(*outcome == i + rounds, "submit");
        else chaos.check_loss(outcome.error());
    }
    chaos.elements += static_cast<std::uint64_t>(count);
}

void big_results(Chaos& chaos, std::mt19937& random) {
    const std::string argument(random() % 300'000, 'x');
    std::vector<mp::Future<std::string>> futures;
    for (int i = 0; i < 30; ++i)
        futures.push_back(chaos.pool.submit([](const std::string& text, int n) { return text + std::string(static_cast<std::size_t>(n) * 10'000, 'y'); }, argument, i));
    for (std::size_t i = 0; i < 30; ++i) {
        const auto outcome = futures[i].outcome();
        if (outcome) chaos.check(*outcome == argument + std::string(i * 10'000, 'y'), "big result");
        else chaos.check_loss(outcome.error());
    }
    chaos.elements += 30;
}

void exceptions(Chaos& chaos, std::mt19937& random) {
    const int modulus = 2 + static_cast<int>(random() % 5);
    const auto outcomes = chaos.pool.map_outcomes(
        [modulus](int x) {
            if (x % modulus == 0) throw std::out_of_range(std::to_string(x));
            return x;
        },
        mp::range(200));
    for (int i = 0; i < 200; ++i) {
        const auto& outcome = outcomes[static_cast<std::size_t>(i)];
        if (outcome) chaos.check(i % modulus != 0 && *outcome == i, "exceptions");
        else if (const auto* error = outcome.error().as<std::out_of_range>()) chaos.check(i % modulus == 0 && error->what() == std::to_string(i), "exceptions");
        else chaos.check_loss(outcome.error());
    }
    chaos.elements += 200;
}

void load(Chaos& chaos, unsigned seed) {
    std::mt19937 random(seed);
    void (*const kinds[])(Chaos&, std::mt19937&) = {maps, retried_map, submits, big_results, exceptions};
    while (!chaos.over) {
        try {
            kinds[random() % std::size(kinds)](chaos, random);
        } catch (const std::exception& error) {
            chaos.complain(std::string("unexpected exception: ") + error.what());
        }
        ++chaos.calls;
        chaos.progress();
    }
}

void kill_workers(Chaos& chaos) {
    std::mt19937 random(chaos.options.seed * 7919);
    while (!chaos.over && chaos.kills < static_cast<std::uint64_t>(chaos.options.kills)) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        if (chaos.options.server_kills && random() % 50 == 0) {
            ++chaos.server_kills;
            ::kill(mp::process::Forkserver::shared()->pid(), SIGKILL);
            ++chaos.kills;
            continue;
        }
        const auto pids = chaos.pool.pids();
        if (pids.empty()) continue;
        const pid_t victim = pids[random() % pids.size()];
        const std::lock_guard lock(chaos.mutex);  // before anybody asks whether it was killed
        if (::kill(victim, SIGKILL) == 0 && chaos.killed.insert(victim).second) ++chaos.kills;
    }
    chaos.over = true;
}

// Dies of what must not happen, with something to look at.
void watch(Chaos& chaos, const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        std::this_thread::sleep_for(100ms);
        const auto idle = Clock::now() - Clock::time_point(Clock::duration(chaos.last_progress.load()));
        if (idle < 120s) continue;
        std::fprintf(stderr, "chaos: nothing has ended for 2 minutes, seed %u\n", chaos.options.seed);
        std::abort();
    }
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const auto number = [&] {
            if (i + 1 < argc) return std::atoi(argv[++i]);
            std::fprintf(stderr, "chaos: %s needs a number\n", argv[i]);
            std::exit(2);
        };
        if (word == "--kills") options.kills = number();
        else if (word == "--seed") options.seed = static_cast<unsigned>(number());
        else if (word == "--workers") options.workers = number();
        else if (word == "--server-kills") options.server_kills = true;
        else {
            std::fprintf(stderr, "usage: chaos [--kills N] [--seed S] [--workers W] [--server-kills]\n");
            std::exit(2);
        }
    }
    return options;
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = parse(argc, argv);
    const auto begin = Clock::now();
    const auto before = mp::test::take_snapshot(::getpid());
    std::vector<std::string> wrong;
    std::string summary;
    {
        Chaos chaos(options);
        chaos.progress();
        std::jthread watchdog([&](const std::stop_token& stop) { watch(chaos, stop); });
        {
            std::vector<std::jthread> threads;
            for (unsigned i = 0; i < 3; ++i) threads.emplace_back([&, i] { load(chaos, options.seed * 31 + i); });
            kill_workers(chaos);
        }
        chaos.pool.close();
        chaos.pool.join();
        wrong = chaos.wrong;
        char line[256];
        std::snprintf(line, sizeof line, "seed %u: %lu kills (%lu of the fork server), %lu calls, %lu tasks, %lu lost", options.seed,
                      chaos.kills.load(), chaos.server_kills.load(), chaos.calls.load(), chaos.elements.load(), chaos.lost.load());
        summary = line;
        if (chaos.lost > chaos.kills && !chaos.server_kills) wrong.emplace_back("more was lost than killed");
    }
    mp::process::Forkserver::shut_down_shared();
    for (const auto& left : mp::test::wait_for_no_leaks(before, 5s)) wrong.push_back("left behind: " + left);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    std::printf("chaos: %s, %.1f s: %s\n", summary.c_str(), seconds, wrong.empty() ? "all well" : "WRONG");
    for (const auto& line : wrong) std::printf("  %s\n", line.c_str());
    return wrong.empty() ? 0 : 1;
}
