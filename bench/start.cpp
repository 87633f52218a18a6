// Starting: one process beside a caller with little and much memory; a pool until each worker has given a result and
// until it is gone.
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

#include "driver/program.hpp"
#include "driver/suite.hpp"
#include "peers/work.hpp"

namespace {

using bench::Better, bench::milliseconds;

constexpr const char* python = "/usr/bin/python3";
double in_milliseconds(double seconds) { return 1e3 * seconds; }

// Memory of the caller, touched page by page, as a program's data is; given back at once.
class Ballast {
  public:
    explicit Ballast(std::size_t size) : size_(size) {
        memory_ = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED) throw std::runtime_error("no memory for the caller's ballast");
        for (std::size_t at = 0; at < size; at += 4096) static_cast<volatile char*>(memory_)[at] = 'x';
    }
    ~Ballast() { ::munmap(memory_, size_); }
    Ballast(const Ballast&) = delete;

  private:
    void* memory_;
    std::size_t size_;
};

void nothing() {}

void start_and_join(mp::StartMethod method) {
    mp::Process process({.start_method = method}, nothing);
    process.start();
    process.join();
    if (process.exitcode() != 0) throw std::runtime_error("the process failed");
}

void wait_for(pid_t pid) {
    int how = 0;
    if (pid <= 0 || ::waitpid(pid, &how, 0) != pid) std::abort();
}

void fork_by_hand() {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    wait_for(pid);
}

void spawn_by_hand() {
    std::string program = "/bin/true";
    char* const arguments[] = {program.data(), nullptr};
    pid_t pid = 0;
    if (::posix_spawn(&pid, program.c_str(), nullptr, nullptr, arguments, environ) != 0) std::abort();
    wait_for(pid);
}

// The least that a process forked elsewhere takes here: a byte to a small process, which forks one that leaves at once,
// and its status back. Nothing is handed over, nothing is watched.
class BareForkServer {
  public:
    BareForkServer() {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
        pid_ = ::fork();
        if (pid_ == 0) {
            ::close(ends[0]);
            serve(ends[1]);
        }
        ::close(ends[1]);
        socket_ = ends[0];
    }
    ~BareForkServer() {
        ::close(socket_);
        wait_for(pid_);
    }
    BareForkServer(const BareForkServer&) = delete;

    void start_and_join() const {
        char order = 0;
        int how = 1;
        if (::write(socket_, &order, 1) != 1 || ::read(socket_, &how, sizeof how) != sizeof how || how != 0)
            std::abort();
    }

  private:
    [[noreturn]] static void serve(int socket) {
        char order;
        while (::read(socket, &order, 1) == 1) {
            const pid_t pid = ::fork();
            if (pid == 0) ::_exit(0);
            int how = 0;
            if (::waitpid(pid, &how, 0) != pid || ::write(socket, &how, sizeof how) != sizeof how) break;
        }
        ::_exit(0);
    }

    pid_t pid_ = 0;
    int socket_ = -1;
};

// Milliseconds of one, on average of a burst: one alone is too short for the clock of a busy machine. With a pause
// before each, which is not counted, everybody concerned sleeps when it comes.
std::function<double()> each(int times, std::chrono::microseconds pause, std::function<void()> work) {
    return [=] {
        std::chrono::duration<double, std::milli> sum{};
        for (int i = 0; i < times; ++i) {
            if (pause.count() > 0) std::this_thread::sleep_for(pause);
            const auto begin = std::chrono::steady_clock::now();
            work();
            sum += std::chrono::steady_clock::now() - begin;
        }
        return sum.count() / times;
    };
}

void process_rows(bench::Suite& suite, const BareForkServer& bare, const std::string& caller, std::size_t size,
                  int times, std::chrono::microseconds pause = {}) {
    const std::string name =
        "Process start and join, " + std::string(pause.count() > 0 ? "1 ms apart, " : "") + "caller of " + caller;
    if (!suite.wants(name)) return;
    const Ballast ballast(size);
    const auto per_process = [&](std::function<void()> work) { return each(times, pause, std::move(work)); };
    bench::Row row{.name = name,
                   .unit = "ms",
                   .better = Better::lower,
                   .ours = {"forkserver", per_process([] { start_and_join(mp::StartMethod::forkserver); })},
                   .peers = {{"mp::Process, spawn", per_process([] { start_and_join(mp::StartMethod::spawn); })},
                             {"mp::Process, fork", per_process([] { start_and_join(mp::StartMethod::fork); })},
                             {"a bare fork server", per_process([&] { bare.start_and_join(); })},
                             {"fork(2) and waitpid", per_process(fork_by_hand)},
                             {"posix_spawn of true", per_process(spawn_by_hand)}},
                   .target = 0.3};
    if (pause.count() == 0) {
        row.series = "memory of the caller in MiB|forkserver";
        row.x = static_cast<double>(size >> 20);
    }
    if (size < (64 << 20) && pause.count() == 0)
        row.peers.push_back(
            bench::script("Python Process", {python, "bench/peers/pool_start.py", "process", "1"}, in_milliseconds));
    suite.run(std::move(row));
}

void pool_row(bench::Suite& suite, const std::string& caller, std::size_t size, int workers) {
    const std::string name =
        "pool of " + std::to_string(workers) + ": start, a result of each, end; caller of " + caller;
    if (!suite.wants(name)) return;
    const Ballast ballast(size);
    bench::Row row{.name = name,
                   .unit = "ms",
                   .better = Better::lower,
                   .ours = {"mp::Pool", milliseconds([=] {
                                mp::Pool pool(workers);
                                std::vector<mp::Future<int>> futures;
                                for (int i = 0; i < workers; ++i) futures.push_back(pool.submit(bench::empty, i));
                                for (auto& future : futures) future.get();
                            })},
                   .series = "workers|pool from nothing to end, caller of " + caller,
                   .x = static_cast<double>(workers)};
    row.peers.push_back({"fork(2), as often", milliseconds([=] {
                             std::vector<pid_t> pids;
                             for (int i = 0; i < workers; ++i) {
                                 pids.push_back(::fork());
                                 if (pids.back() == 0) ::_exit(0);
                             }
                             for (const pid_t pid : pids) wait_for(pid);
                         })});
    if (workers == 8) {
        const std::string count = std::to_string(workers);
        row.peers.push_back(
            bench::script("Python Pool", {python, "bench/peers/pool_start.py", "pool", count}, in_milliseconds));
        row.peers.push_back(bench::script("Python executor", {python, "bench/peers/pool_start.py", "executor", count},
                                          in_milliseconds));
        if (!suite.quick())
            row.peers.push_back(bench::script("Python joblib (loky)",
                                              {python, "bench/peers/pool_start.py", "joblib", count}, in_milliseconds));
    }
    suite.run(std::move(row));
}

void program_rows(bench::Suite& suite) {
    constexpr int programs = 100;
    suite.run({.name = "100 processes, two at a time",
               .unit = "ms",
               .better = Better::lower,
               .ours = {"mp::Process", milliseconds([] {
                            for (int i = 0; i < programs; i += 2) {
                                mp::Process one(nothing), other(nothing);
                                one.start();
                                other.start();
                                one.join();
                                other.join();
                            }
                        })},
               .peers = {{"xargs -P2 of true",
                          milliseconds([] { bench::run_program({"sh", "-c", "seq 100 | xargs -P2 -n1 true"}); }),
                          "seq 100 | xargs -P2 -n1 true"},
                         {"GNU parallel -j2 of true", milliseconds([] {
                              bench::run_program({"sh", "-c", "seq 100 | parallel --will-cite -j2 true"});
                          }),
                          "seq 100 | parallel -j2 true", std::nullopt, false}}});
}

}  // namespace

int main(int argc, char** argv) {
    bench::Suite suite("start", argc, argv);
    constexpr std::size_t mib = 1 << 20, gib = 1 << 30;
    {
        const BareForkServer bare;
        process_rows(suite, bare, "10 MiB", 10 * mib, 20);
        process_rows(suite, bare, "1 GiB", gib, suite.quick() ? 5 : 20);
        process_rows(suite, bare, "10 MiB", 10 * mib, 20, std::chrono::milliseconds(1));
        if (!suite.quick()) process_rows(suite, bare, "4 GiB", 4 * gib, 10);
    }

    suite.run({.name = "pool of 8 ready",
               .unit = "ms",
               .better = Better::lower,
               .ours = {"mp::Pool",
                        [] {
                            const auto begin = std::chrono::steady_clock::now();
                            mp::Pool pool(8);
                            pool.map(bench::empty, mp::range(0, 8));
                            return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
                                .count();
                        }},
               .target = 5});
    for (const int workers : {1, 2, 8, 64, 200}) pool_row(suite, "10 MiB", 10 * mib, workers);
    if (!suite.quick())
        for (const int workers : {1, 2, 8, 64, 200}) {
            pool_row(suite, "1 GiB", gib, workers);
            if (workers <= 8) pool_row(suite, "4 GiB", 4 * gib, workers);
        }
    program_rows(suite);
    return suite.finish();
}
