// A pool under fire: mixed work while a thread kills random workers, some of them stopped before, and now and then the
// fork server. Every result is checked, every loss must be a worker that really was killed, nothing may hang, and in the
// end nothing may be left.
//
//     chaos [--kills N] [--seed S] [--workers W] [--method forkserver|fork|spawn] [--server-kills]
//
// Or the caller of such a pool is killed, many times, at random moments: two seconds later nothing of it may be left.
//
//     chaos --parent-kills N [--seed S] [--workers W] [--method M]
#include <multiprocessing/multiprocessing.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
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
#include "support/marked_processes.hpp"
#include "support/run_program.hpp"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Options {
    int kills = 200;
    unsigned seed = 1;
    int workers = 4;
    bool server_kills = false;
    mp::StartMethod method = mp::StartMethod::forkserver;
    int parent_kills = 0;
    bool victim = false;  // the caller that is to be killed
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

    // Workers also leave by themselves: about as many as are killed.
    explicit Chaos(const Options& given)
        : options(given), pool({.workers = given.workers, .name = "chaos", .max_tasks_per_worker = 1000, .max_worker_age = 5ms,
                                .restart_intensity = {.restarts = 1'000'000}, .start_method = given.method}) {}

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

// In any order, each once; left early now and then, which cancels the rest.
void streams(Chaos& chaos, std::mt19937& random) {
    const int count = 1 + static_cast<int>(random() % 1000);
    const int leave_at = random() % 3 == 0 ? static_cast<int>(random() % 1000) : count;
    std::vector<bool> seen(static_cast<std::size_t>(count));
    int came = 0, lost = 0;
    for (auto&& outcome : chaos.pool.imap_unordered_outcomes([](int x) { return x; }, mp::range(count))) {
        if (came++ == leave_at) return;
        if (!outcome) {
            ++lost;
            chaos.check_loss(outcome.error());
            continue;
        }
        chaos.check(*outcome >= 0 && *outcome < count && !seen[static_cast<std::size_t>(*outcome)], "imap_unordered");
        if (chaos.over) return;
        seen[static_cast<std::size_t>(*outcome)] = true;
    }
    chaos.check(came == count && std::ranges::count(seen, true) + lost == count, "imap_unordered");
    chaos.elements += static_cast<std::uint64_t>(count);
}

void reduces(Chaos& chaos, std::mt19937& random) {
    const long count = 1 + static_cast<long>(random() % 20'000);
    const mp::CallOptions options{.retries = mp::Retries{.crash = 1'000'000}};
    const long sum = chaos.pool.reduce([](long x) { return work(x, 50) - 50; }, [](long a, long b) { return a + b; }, 0L,
                                       mp::range(count), options);
    chaos.check(sum == count * (count - 1) / 2, "reduce");
    chaos.elements += static_cast<std::uint64_t>(count);
}

// Each element is changed in place, in a way that may be done twice.
void arrays(Chaos& chaos, std::mt19937& random) {
    const long count = 1 + static_cast<long>(random() % 5000);
    mp::Array<long> array(static_cast<std::size_t>(count));
    for (long i = 0; i < count; ++i) array.span()[static_cast<std::size_t>(i)] = i;
    const mp::CallOptions options{.retries = mp::Retries{.crash = 1'000'000}};
    chaos.pool.for_each(
        [](long& x) {
            if (x >= 0) x = -1 - work(x, 100);
        },
        array, options);
    for (long i = 0; i < count; ++i) chaos.check(array.span()[static_cast<std::size_t>(i)] == -1 - (i + 100), "for_each");
    chaos.elements += static_cast<std::uint64_t>(count);
}

// Whoever is killed with the lock, or in the midst of a put, holds up nobody.
void shared_things(Chaos& chaos, std::mt19937& random) {
    const int count = 1 + static_cast<int>(random() % 100);
    mp::Lock lock;
    mp::Queue<int> queue;
    mp::Array<int> counter(1);
    const auto task = [](mp::Lock held, const mp::Queue<int>& to, mp::Array<int> counts, int x) {
        {
            const std::scoped_lock hold(held);
            counts.span()[0] = static_cast<int>(work(counts.span()[0], 1000)) - 999;
        }
        to.put(x);
        return x;
    };
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < count; ++i) futures.push_back(chaos.pool.submit(task, lock, queue, counter, i));
    int good = 0;
    for (int i = 0; i < count; ++i) {
        const auto outcome = futures[static_cast<std::size_t>(i)].outcome();
        if (outcome) chaos.check(*outcome == i, "shared things");
        else chaos.check_loss(outcome.error());
        good += outcome.has_value();
    }
    std::set<int> items;
    while (const auto item = queue.try_get()) chaos.check(*item >= 0 && *item < count && items.insert(*item).second, "queue");
    chaos.check(static_cast<int>(items.size()) >= good, "queue");
    chaos.check(counter.span()[0] >= good && counter.span()[0] <= count, "lock");
    chaos.elements += static_cast<std::uint64_t>(count);
}

// Some never end by themselves.
void timeouts(Chaos& chaos, std::mt19937& random) {
    const bool heeds = random() % 2;
    const auto task = [](bool heed, int x) {
        while (x % 10 == 3) {
            if (!heed) ::pause();
            else if (mp::stop_token().wait_for(1s)) break;
        }
        return x;
    };
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 20; ++i) {
        mp::CallOptions options;
        if (i % 10 == 3) options.task_timeout = 20ms;
        futures.push_back(chaos.pool.submit(options, task, heeds, i));
    }
    for (int i = 0; i < 20; ++i) {
        const auto outcome = futures[static_cast<std::size_t>(i)].outcome();
        if (outcome) chaos.check(i % 10 != 3 && *outcome == i, "timeouts");
        else if (outcome.error().as<mp::TaskTimeout>()) chaos.check(i % 10 == 3, "timeouts");
        else chaos.check_loss(outcome.error());
    }
    chaos.elements += 20;
}

void cancels(Chaos& chaos, std::mt19937& random) {
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 40; ++i) futures.push_back(chaos.pool.submit([](int x) { return ::usleep(2000), x; }, i));
    auto map = chaos.pool.map_async([](int x) { return ::usleep(1000), x; }, mp::range(200));
    std::vector<bool> asked(futures.size());
    for (std::size_t i = 0; i < futures.size(); ++i)
        if (random() % 4 == 0) asked[i] = futures[i].cancel();
    static_cast<void>(map.cancel());
    for (std::size_t i = 0; i < futures.size(); ++i) {
        const auto outcome = futures[i].outcome();
        if (outcome) chaos.check(*outcome == static_cast<int>(i), "cancels");
        else if (outcome.error().as<mp::TaskCancelled>()) chaos.check(asked[i], "cancels");
        else chaos.check_loss(outcome.error());
    }
    const auto outcome = map.outcome();
    if (!outcome && !outcome.error().as<mp::TaskCancelled>()) chaos.check_loss(outcome.error());
    chaos.elements += 240;
}

// Fails until its last attempt.
void retries(Chaos& chaos, std::mt19937& random) {
    const int failures = 1 + static_cast<int>(random() % 3);
    mp::Array<int> tries(50);
    const auto task = [failures](mp::Array<int> counts, int x) {
        if (++counts.span()[static_cast<std::size_t>(x)] <= failures) throw std::runtime_error("not yet");
        return x;
    };
    mp::CallOptions options;
    options.retries = mp::Retries{.crash = 1'000'000, .exception = failures, .delay = {.first = 1ms}};
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 50; ++i) futures.push_back(chaos.pool.submit(options, task, tries, i));
    for (int i = 0; i < 50; ++i) chaos.check(futures[static_cast<std::size_t>(i)].get() == i, "retries");
    chaos.elements += 50;
}

void load(Chaos& chaos, unsigned seed) {
    std::mt19937 random(seed);
    void (*const kinds[])(Chaos&, std::mt19937&) = {maps,    retried_map, submits,       big_results, exceptions, streams,
                                                    reduces, arrays,      shared_things, timeouts,    cancels,    retries};
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
        const bool stop_first = random() % 4 == 0;
        {
            const std::lock_guard lock(chaos.mutex);  // before anybody asks whether it was killed
            if (::kill(victim, stop_first ? SIGSTOP : SIGKILL) != 0 || !chaos.killed.insert(victim).second) continue;
        }
        if (stop_first) {
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
            ::kill(victim, SIGKILL);
        }
        // A few in a row that die before they are ready break a pool, rightly; so one may work now and then.
        if (++chaos.kills % 4 == 0) chaos.pool.apply({.retries = mp::Retries{.crash = 1'000'000}}, [] {});
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

mp::StartMethod method(std::string_view name) {
    for (const auto each : mp::get_all_start_methods())
        if (mp::to_string(each) == name) return each;
    std::fprintf(stderr, "chaos: there is no start method %.*s\n", static_cast<int>(name.size()), name.data());
    std::exit(2);
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
        else if (word == "--parent-kills") options.parent_kills = number();
        else if (word == "--victim") options.victim = true;
        else if (word == "--method" && i + 1 < argc) options.method = method(argv[++i]);
        else {
            std::fprintf(stderr, "usage: chaos [--kills N | --parent-kills N] [--seed S] [--workers W] [--method M] [--server-kills]\n");
            std::exit(2);
        }
    }
    return options;
}

// Works until it is killed.
[[noreturn]] void be_a_victim(const Options& options) {
    Chaos chaos(options);
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < 3; ++i) threads.emplace_back([&, i] { load(chaos, options.seed * 31 + i); });
    while (chaos.calls == 0 && !chaos.over) std::this_thread::sleep_for(1ms);
    std::puts("busy");
    std::fflush(stdout);
    while (!chaos.over) std::this_thread::sleep_for(1ms);
    for (const auto& line : chaos.wrong) std::fprintf(stderr, "%s\n", line.c_str());
    std::_Exit(1);
}

int kill_parents(const Options& options, const char* program) {
    std::mt19937 random(options.seed);
    const auto before = mp::test::take_snapshot(::getpid());
    std::vector<std::string> wrong;
    std::size_t processes = 0;
    auto longest = Clock::duration::zero();
    for (int i = 0; i < options.parent_kills && wrong.empty(); ++i) {
        const mp::test::MarkedProcesses marked;
        mp::test::RunningProgram victim({program, "--victim", "--workers", std::to_string(options.workers), "--method",
                                         std::string(mp::to_string(options.method)), "--seed", std::to_string(random() % 10'000)},
                                        {.environment = {marked.variable()}});
        // One in four while the pool is still being made.
        if (i % 4 != 3) {
            if (!victim.wait_for_out("busy")) wrong.push_back("the victim did not begin: " + victim.finish().err);
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 50'000));
            const std::size_t found = marked.all().size();
            processes += found;
            if (found < 2) wrong.emplace_back("the victim has no workers");
        } else {
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
        }
        ::kill(victim.pid(), SIGKILL);
        const auto killed = Clock::now();
        // One that executes its program at that moment shows no mark: so nobody is to be seen three times in a row.
        auto gone = Clock::now();
        for (int looks = 0; looks < 3 && Clock::now() - killed < 2s; ++looks) {
            if (!marked.all().empty()) {
                looks = -1;
                gone = Clock::now();
            }
            std::this_thread::sleep_for(5ms);
        }
        longest = std::max(longest, gone - killed);
        if (Clock::now() - killed >= 2s)
            for (const pid_t pid : marked.all()) wrong.push_back("outlived its caller by 2 s: " + std::to_string(pid));
    }
    for (const auto& left : mp::test::wait_for_no_leaks(before, 5s)) wrong.push_back("left behind: " + left);
    std::printf("chaos: seed %u: %d callers killed, %zu processes with them, the last gone after %.0f ms: %s\n", options.seed,
                options.parent_kills, processes, std::chrono::duration<double, std::milli>(longest).count(),
                wrong.empty() ? "all well" : "WRONG");
    for (const auto& line : wrong) std::printf("  %s\n", line.c_str());
    return wrong.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = parse(argc, argv);
    if (options.victim) be_a_victim(options);
    if (options.parent_kills) return kill_parents(options, argv[0]);
    const auto begin = Clock::now();
    const auto before = mp::test::take_snapshot(::getpid());
    // Those that a killed server leaves are nobody's children.
    const mp::test::MarkedProcesses marked;
    std::string mark = marked.variable();
    ::putenv(mark.data());
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
        std::uint64_t replaced = 0;
        for (const auto& worker : chaos.pool.stats().workers) replaced += worker.restarts;
        chaos.pool.close();
        chaos.pool.join();
        wrong = chaos.wrong;
        char line[256];
        std::snprintf(line, sizeof line,
                      "seed %u: %lu kills (%lu of the fork server), %lu workers replaced, %lu calls, %lu tasks, %lu lost",
                      options.seed, chaos.kills.load(), chaos.server_kills.load(), replaced, chaos.calls.load(),
                      chaos.elements.load(), chaos.lost.load());
        summary = line;
        if (chaos.lost > chaos.kills && !chaos.server_kills) wrong.emplace_back("more was lost than killed");
    }
    mp::process::Forkserver::shut_down_shared();
    for (const auto& left : mp::test::wait_for_no_leaks(before, 5s)) wrong.push_back("left behind: " + left);
    for (const auto end = Clock::now() + 5s; !marked.all().empty() && Clock::now() < end;) std::this_thread::sleep_for(10ms);
    for (const pid_t pid : marked.all()) wrong.push_back("left behind: process " + std::to_string(pid));
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    std::printf("chaos: %s, %.1f s: %s\n", summary.c_str(), seconds, wrong.empty() ? "all well" : "WRONG");
    for (const auto& line : wrong) std::printf("  %s\n", line.c_str());
    return wrong.empty() ? 0 : 1;
}
