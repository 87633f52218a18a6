// Messages between processes: how long there and back, and how many one way, beside a cache line, a kernel pipe,
// Boost.Interprocess, ZeroMQ and Python. Each side runs in processes of its own.
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <multiprocessing/synchronize.hpp>

#include "driver/program.hpp"
#include "driver/suite.hpp"
#include "peers/media.hpp"
#include "peers/shared.hpp"

namespace {

using bench::Better;
using bench::Medium;
using MakeMedium = std::function<std::unique_ptr<Medium>()>;

/// Runs `body` in a fork of this process; wait() throws when that fails.
class Forked {
  public:
    template <class Body>
    explicit Forked(Body body) : pid_(::fork()) {
        if (pid_ != 0) return;
        int status = 1;
        try {
            body();
            status = 0;
        } catch (...) {
        }
        ::_exit(status);
    }
    Forked(Forked&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
    ~Forked() {
        if (pid_ == 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    /// For some seconds: a peer that lost a message would wait for ever.
    void wait() {
        const int end = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
        pollfd watched{end, POLLIN, 0};
        const bool ended = ::poll(&watched, 1, 8'000) == 1;
        ::close(end);
        if (!ended) throw std::runtime_error("a process of the benchmark does not end");
        int status = 0;
        if (::waitpid(std::exchange(pid_, 0), &status, 0) < 0 || status != 0)
            throw std::runtime_error("a process of the benchmark failed");
    }

  private:
    pid_t pid_;
};

/// When the first sender began, and how many messages each receiver has got, where all processes see it.
struct Received {
    std::atomic<std::int64_t> begun;  // nanoseconds of the steady clock
    struct alignas(128) Count {
        std::atomic<int> messages;
    } of[2];

    /// By each sender.
    void begin() {
        std::int64_t not_yet = 0;
        begun.compare_exchange_strong(not_yet, now());
    }
    double seconds_since_begin() const { return 1e-9 * static_cast<double>(now() - begun.load()); }
    int sum() const {
        return of[0].messages.load(std::memory_order_relaxed) + of[1].messages.load(std::memory_order_relaxed);
    }
    static std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }
};

/// Seconds for `count` messages of `size` bytes from so many senders to at most two receivers: until the last has come,
/// whoever got it, and without the end of the processes.
double one_way(const MakeMedium& make, std::size_t size, int count, int senders, int receivers) {
    using namespace std::chrono_literals;
    const auto medium = make();
    mp::Barrier begin(static_cast<std::size_t>(senders + receivers + 1));
    const bench::Shared<Received> received;
    std::vector<Forked> processes;
    for (int i = 0; i < receivers; ++i) {
        processes.emplace_back([&, i] {
            const auto end = medium->receiver(i);
            std::vector<std::byte> message(size, std::byte(7));
            begin.wait();
            // A few at a time, where nobody else takes any of them.
            const int step = receivers == 1 ? 64 : 1, last = receivers == 1 ? count / senders * senders : 1 << 30;
            for (int got = 0; got < last;) {
                const int next = std::min(step, last - got);
                end(message, next);
                received->of[i].messages.store(got += next, std::memory_order_relaxed);
            }
            ::pause();
        });
    }
    for (int i = 0; i < senders; ++i) {
        processes.emplace_back([&, i] {
            const auto end = medium->sender(i);
            std::vector<std::byte> message(size, std::byte(7));
            begin.wait();
            received->begin();
            end(message, count / senders);
            // Until it is killed: ZeroMQ loses what is on the way when its sender goes.
            ::pause();
        });
    }
    begin.wait();
    const auto deadline = std::chrono::steady_clock::now() + 8s;
    const int last = count / senders * senders - medium->held_in_part(receivers);
    while (received->sum() < last) {
        if (std::chrono::steady_clock::now() > deadline)
            throw std::runtime_error("only " + std::to_string(received->sum()) + " messages arrive of " + std::to_string(last));
        std::this_thread::sleep_for(200us);
    }
    return received->seconds_since_begin();
}

/// Microseconds there and back; before each trip comes a pause.
double round_trip(const MakeMedium& make, std::size_t size, int trips, std::chrono::microseconds pause) {
    const auto there = make(), back = make();
    // The first ones start the other process and teach both sides how long to look before they sleep.
    const int first = pause.count() != 0 ? 1 : trips / 5;
    Forked other([&] {
        const auto get = there->receiver(0), put = back->sender(0);
        std::vector<std::byte> message(size);
        for (int i = 0; i < first + trips; ++i) {
            get(message);
            put(message);
        }
    });
    const auto put = there->sender(0), get = back->receiver(0);
    std::vector<std::byte> message(size, std::byte(7));
    double sum = 0;
    for (int i = 0; i < first + trips; ++i) {
        if (pause.count() != 0) std::this_thread::sleep_for(pause);
        const double trip = bench::seconds([&] {
            put(message);
            get(message);
        });
        if (i >= first) sum += trip;
    }
    other.wait();
    return 1e6 * sum / trips;
}

double cache_line_round_trip(int trips) {
    struct Words {
        alignas(128) std::atomic<int> there;
        alignas(128) std::atomic<int> back;
    };
    const bench::Shared<Words> words;
    Forked other([&] {
        for (int i = 1; i <= trips; ++i) {
            while (words->there.load(std::memory_order_acquire) != i) {
            }
            words->back.store(i, std::memory_order_release);
        }
    });
    const double time = bench::seconds([&] {
        for (int i = 1; i <= trips; ++i) {
            words->there.store(i, std::memory_order_release);
            while (words->back.load(std::memory_order_acquire) != i) {
            }
        }
    });
    other.wait();
    return 1e6 * time / trips;
}

/// Seconds for copies within one process: what the memory can do.
double copies(std::size_t size, int count) {
    const std::vector<std::byte> from(size, std::byte(7));
    std::vector<std::byte> to(size);
    return bench::seconds([&] {
        for (int i = 0; i < count; ++i) {
            std::memcpy(to.data(), from.data(), size);
            asm volatile("" : : "r"(to.data()) : "memory");
        }
    });
}

template <class T, class... Arguments>
MakeMedium medium(Arguments... arguments) {
    return [=] { return std::make_unique<T>(arguments...); };
}

MakeMedium our_pipe(std::size_t size) {
    switch (size) {
        case 8:
            return medium<bench::PipeMedium<8>>();
        case 64:
            return medium<bench::PipeMedium<64>>();
        case 1024:
            return medium<bench::PipeMedium<1024>>();
        default:
            return medium<bench::PipeMedium<0>>();
    }
}

MakeMedium bare_ring(std::size_t size) {
    switch (size) {
        case 8:
            return medium<bench::BareRing<8>>();
        case 64:
            return medium<bench::BareRing<64>>();
        default:
            return medium<bench::BareRing<1024>>();
    }
}

MakeMedium our_queue(std::size_t size) {
    switch (size) {
        case 8:
            return medium<bench::QueueMedium<8>>();
        case 64:
            return medium<bench::QueueMedium<64>>();
        case 1024:
            return medium<bench::QueueMedium<1024>>();
        default:
            return medium<bench::LargeQueueMedium>(size);
    }
}

std::string text_of(std::size_t size) {
    if (size >= 1 << 20) return std::to_string(size >> 20) + " MiB";
    return size >= 1024 ? std::to_string(size >> 10) + " KiB" : std::to_string(size) + " B";
}

bench::Side python(const std::string& kind, std::size_t size, int count, std::function<double(double)> figure,
                   int senders = 1, int receivers = 1) {
    return bench::script("Python " + kind,
                         {"/usr/bin/python3", "bench/peers/messages.py", kind, std::to_string(size),
                          std::to_string(count), std::to_string(senders), std::to_string(receivers)},
                         std::move(figure));
}

void latency(bench::Suite& suite) {
    using namespace std::chrono_literals;
    for (const std::size_t size : {std::size_t(8), std::size_t(1) << 10, std::size_t(64) << 10}) {
        const int trips = size > 1024 ? 2000 : 20'000, few = 1000;
        const auto awake = [=](const MakeMedium& make, int n) {
            return [=] { return round_trip(make, size, n, 0us); };
        };
        bench::Row row{.name = "Pipe there and back, awake, " + text_of(size),
                       .unit = "us",
                       .better = Better::lower,
                       .ours = {"mp::Pipe", awake(our_pipe(size), trips)},
                       .peers = {{"kernel pipe", awake(medium<bench::KernelPipe>(), few)},
                                 {"Boost message_queue", awake(medium<bench::BoostQueue>(size), few)},
                                 {"ZeroMQ ipc", awake(medium<bench::ZeroMq>(1), few)},
                                 python("round", size, few, [=](double seconds) { return 1e6 * seconds / few; })}};
        if (size == 8) {
            row.peers.insert(row.peers.begin(), {"a cache line", [=] { return cache_line_round_trip(trips); }});
            row.target = 0.36;
        }
        suite.run(std::move(row));
        const auto asleep = [=](const MakeMedium& make) { return [=] { return round_trip(make, size, 50, 1000us); }; };
        suite.run({.name = "Pipe there and back, asleep, " + text_of(size),
                   .unit = "us",
                   .better = Better::lower,
                   .ours = {"mp::Pipe", asleep(our_pipe(size))},
                   .peers = {{"kernel pipe", asleep(medium<bench::KernelPipe>())},
                             {"Boost message_queue", asleep(medium<bench::BoostQueue>(size))}},
                   .target = size == 8 ? std::optional(56.0) : std::nullopt});
    }
}

/// Million messages a second for few bytes, GB/s for many: a fifth below what this kind of machine can do.
std::optional<double> pipe_target(std::size_t size) {
    switch (size) {
        case 64:
            return 100;
        case std::size_t(1) << 10:
            return 15e3 / 1024;
        case std::size_t(64) << 10:
            return 15.4;
        case std::size_t(1) << 20:
            return 14.5;
        case std::size_t(16) << 20:
            return 11;
        default:
            return std::nullopt;
    }
}

void throughput(bench::Suite& suite) {
    struct Shape {
        int senders, receivers;
    };
    for (const std::size_t size : {std::size_t(8), std::size_t(64), std::size_t(1) << 10, std::size_t(64) << 10,
                                   std::size_t(1) << 20, std::size_t(16) << 20}) {
        const bool small = size <= 1024;
        const double scale = small ? 1e6 : 1e9 / static_cast<double>(size);
        const int ours = small ? 4'000'000 : static_cast<int>((std::size_t(512) << 20) / size);
        const int theirs = small ? 100'000 : static_cast<int>((std::size_t(256) << 20) / size);
        const int pythons = small ? 10'000 : static_cast<int>((std::size_t(64) << 20) / size);
        for (const auto [senders, receivers] : {Shape{1, 1}, Shape{2, 1}, Shape{1, 2}, Shape{2, 2}}) {
            const std::string shape = std::to_string(senders) + "x" + std::to_string(receivers);
            if (suite.quick() && senders != receivers) continue;
            const auto rate = [=, s = senders, r = receivers](const MakeMedium& make, int count) {
                return [=] { return count / one_way(make, size, count, s, r) / scale; };
            };
            const auto rate_of = [=](double seconds) { return pythons / seconds / scale; };
            std::vector<bench::Side> peers{{"Boost message_queue", rate(medium<bench::BoostQueue>(size), theirs)},
                                           {"ZeroMQ ipc", rate(medium<bench::ZeroMq>(receivers), theirs)}};
            const std::string unit = small ? "M/s" : "GB/s";
            if (senders == 1 && receivers == 1) {
                auto pipe_peers = peers;
                if (small) pipe_peers.push_back({"a bare ring", rate(bare_ring(size), ours)});
                pipe_peers.push_back({"kernel pipe", rate(medium<bench::KernelPipe>(), theirs)});
                if (!small) pipe_peers.push_back({"one memcpy", [=] { return ours / copies(size, ours) / scale; }});
                pipe_peers.push_back(python("pipe", size, pythons, rate_of));
                suite.run({.name = "Pipe one way, " + text_of(size),
                           .unit = unit,
                           .better = Better::higher,
                           .ours = {"mp::Pipe", rate(our_pipe(size), ours)},
                           .peers = std::move(pipe_peers),
                           .target = pipe_target(size)});
            }
            peers.push_back(python("queue", size, pythons, rate_of, senders, receivers));
            suite.run({.name = "Queue " + shape + ", " + text_of(size),
                       .unit = unit,
                       .better = Better::higher,
                       .ours = {"mp::Queue", rate(our_queue(size), ours)},
                       .peers = std::move(peers),
                       .target = size == 64 && senders + receivers == 4 ? std::optional(15.0) : std::nullopt});
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    bench::Suite suite("channels", argc, argv);
    latency(suite);
    throughput(suite);
    constexpr int batches = 100'000;
    suite.run({.name = "Queue 2x2, 64 B in batches of 64",
               .unit = "M/s",
               .better = Better::higher,
               .ours = {"mp::Queue::put_range, get_some",
                        [] {
                            const auto batch = bench::BatchQueueMedium::batch;
                            return batches * batch /
                                   one_way(medium<bench::BatchQueueMedium>(), bench::BatchQueueMedium::size, batches, 2,
                                           2) /
                                   1e6;
                        }},
               .target = 83});
    return suite.finish();
}
