// Pipe, Queue, Value and Lock beside what the machine can do: a bare cache line, a bare counter, a bare robust mutex, a
// kernel pipe. Each number is the median of several rounds of two or more processes; the last column is the ratio to
// the peer measured in the same run.
//
//   bench_channels [filter]      only lines whose name contains the filter
#include <multiprocessing/connection.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double seconds(const std::function<void()>& work) {
    const auto start = Clock::now();
    work();
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Runs `body` in a fork of this process; joined by the destructor.
class Forked {
  public:
    explicit Forked(const std::function<void()>& body) : pid_(::fork()) {
        if (pid_ != 0) return;
        body();
        ::_exit(0);
    }
    Forked(const Forked&) = delete;
    ~Forked() { ::waitpid(pid_, nullptr, 0); }

  private:
    pid_t pid_;
};

std::string filter;
std::map<std::string, double> results;

/// Prints the median of `rounds` results in `unit`, and the ratio to `peer` when that was measured.
void report(const std::string& name, const char* unit, const std::string& peer, int rounds,
            const std::function<double()>& round) {
    if (name.find(filter) == std::string::npos) return;
    std::vector<double> all;
    for (int i = 0; i < rounds; ++i) all.push_back(round());
    std::sort(all.begin(), all.end());
    const double median = all[all.size() / 2];
    results[name] = median;
    std::printf("%-42s %10.3f %-5s (%.3f - %.3f)", name.c_str(), median, unit, all.front(), all.back());
    if (const auto found = results.find(peer); found != results.end()) {
        std::printf("  %.2f x %s", median / found->second, peer.c_str());
    }
    std::printf("\n");
    std::fflush(stdout);
}

struct Block64 {
    std::array<char, 64> bytes;
};

/// A start signal and a table of words in shared memory for the bare peers.
struct Bare {
    alignas(128) std::atomic<std::uint64_t> ping;
    alignas(128) std::atomic<std::uint64_t> pong;
    alignas(128) std::atomic<std::uint64_t> counter;
    alignas(128) pthread_mutex_t mutex;
};

template <class T>
class Shared {
  public:
    T& operator*() { return *memory_; }
    ~Shared() { ::munmap(memory_, sizeof(T)); }

  private:
    T* memory_ = new (::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) T{};
};

void pipes() {
    constexpr int trips = 200'000;
    report("cache line, there and back", "us", "", 5, [] {
        Shared<Bare> memory;
        Bare& bare = *memory;
        Forked other([&] {
            for (std::uint64_t i = 1; i <= trips; ++i) {
                while (bare.ping.load(std::memory_order_acquire) != i) {
                }
                bare.pong.store(i, std::memory_order_release);
            }
        });
        return 1e6 / trips * seconds([&] {
                   for (std::uint64_t i = 1; i <= trips; ++i) {
                       bare.ping.store(i, std::memory_order_release);
                       while (bare.pong.load(std::memory_order_acquire) != i) {
                       }
                   }
               });
    });
    report("Pipe, 8 B round trip awake", "us", "cache line, there and back", 5, [] {
        auto [here, there] = mp::Pipe<long>();
        Forked other([&, &there = there] {
            for (int i = 0; i < trips; ++i) there.send(there.recv());
        });
        for (long i = 0; i < 1000; ++i) here.send(i), here.recv();
        return 1e6 / trips * seconds([&, &here = here] {
                   for (long i = 1000; i < trips; ++i) here.send(i), here.recv();
               });
    });
    report("kernel pipe, 8 B round trip", "us", "", 3, [] {
        int to[2], from[2];
        if (::pipe(to) != 0 || ::pipe(from) != 0) return 0.0;
        constexpr int few = 10'000;
        double result;
        {
            Forked other([&] {
                long value;
                for (int i = 0; i < few; ++i) {
                    if (::read(to[0], &value, 8) != 8 || ::write(from[1], &value, 8) != 8) return;
                }
            });
            result = 1e6 / few * seconds([&] {
                         long value = 1;
                         for (int i = 0; i < few; ++i) {
                             if (::write(to[1], &value, 8) != 8 || ::read(from[0], &value, 8) != 8) return;
                         }
                     });
        }
        for (int fd : {to[0], to[1], from[0], from[1]}) ::close(fd);
        return result;
    });
    report("Pipe, 8 B round trip asleep", "us", "kernel pipe, 8 B round trip", 3, [] {
        auto [here, there] = mp::Pipe<long>();
        constexpr int few = 200;
        Forked other([&, &there = there] {
            for (int i = 0; i < few; ++i) there.send(there.recv());
        });
        double sum = 0;
        for (long i = 0; i < few; ++i) {
            ::usleep(1000);  // until the other one sleeps
            sum += seconds([&, &here = here] { here.send(i), here.recv(); });
        }
        return 1e6 / few * sum;
    });
    report("Pipe, 64 B one way", "M/s", "", 5, [] {
        constexpr int count = 5'000'000;
        auto [here, there] = mp::Pipe<Block64>();
        Forked other([&, &there = there] {
            for (int i = 0; i < count; ++i) there.send(Block64{});
        });
        here.recv();
        return count / 1e6 / seconds([&, &here = here] {
                   for (int i = 1; i < count; ++i) here.recv();
               });
    });
    for (const std::size_t size : {std::size_t(1) << 10, std::size_t(64) << 10, std::size_t(1) << 20,
                                   std::size_t(16) << 20}) {
        report("Pipe, " + std::to_string(size >> 10) + " KiB one way", "GB/s", "", 5, [size] {
            const std::size_t count = (std::size_t(1) << 30) / size;
            auto [here, there] = mp::Pipe<int>();
            Forked other([&, &there = there] {
                const std::vector<std::byte> message(size, std::byte(7));
                for (std::size_t i = 0; i <= count; ++i) there.send_bytes(message);
            });
            std::vector<std::byte> buffer(size);
            here.recv_bytes_into(buffer);
            return static_cast<double>(count * size) / 1e9 / seconds([&, &here = here] {
                       for (std::size_t i = 0; i < count; ++i) here.recv_bytes_into(buffer);
                   });
        });
    }
    report("Pipe, vector<double> 1 MiB one way", "GB/s", "", 5, [] {
        const std::size_t size = 1 << 17, count = 500;
        auto [here, there] = mp::Pipe<std::vector<double>>();
        Forked other([&, &there = there] {
            const std::vector<double> message(size, 1.5);
            for (std::size_t i = 0; i <= count; ++i) there.send(message);
        });
        here.recv();
        return static_cast<double>(count * size * 8) / 1e9 / seconds([&, &here = here] {
                   for (std::size_t i = 0; i < count; ++i) here.recv();
               });
    });
}

/// Two producers and two consumers; items a second.
double two_by_two(const std::function<void(mp::Queue<Block64>&, int)>& produce,
                  const std::function<void(mp::Queue<Block64>&)>& consume, int count) {
    mp::Queue<Block64> queue(10'000);  // bounded: growing costs the first touch of each page
    mp::Barrier begin(5);
    double time;
    {
        std::vector<std::unique_ptr<Forked>> consumers;
        for (int i = 0; i < 2; ++i) {
            consumers.push_back(std::make_unique<Forked>([&] {
                begin.wait();
                consume(queue);
            }));
        }
        std::vector<std::unique_ptr<Forked>> producers;
        for (int i = 0; i < 2; ++i) {
            producers.push_back(std::make_unique<Forked>([&] {
                begin.wait();
                produce(queue, count / 2);
            }));
        }
        begin.wait();
        time = seconds([&] {
            producers.clear();
            queue.close();
            consumers.clear();
        });
    }
    return count / 1e6 / time;
}

void queues() {
    constexpr int count = 4'000'000;
    const auto one_by_one = [](mp::Queue<Block64>& queue) {
        try {
            for (;;) queue.get();
        } catch (const mp::Closed&) {
        }
    };
    report("Queue put + get, alone, 64 B", "ns", "", 5, [] {
        mp::Queue<Block64> queue;
        return 1e9 / 1'000'000 * seconds([&] {
                   for (int i = 0; i < 1'000'000; ++i) {
                       queue.put(Block64{});
                       queue.get();
                   }
               });
    });
    report("Queue 1x1, 64 B", "M/s", "", 5, [&] {
        mp::Queue<Block64> queue(10'000);
        Forked producer([&] {
            for (int i = 0; i < count; ++i) queue.put(Block64{});
        });
        queue.get();
        return count / 1e6 / seconds([&] {
                   for (int i = 1; i < count; ++i) queue.get();
               });
    });
    report("Queue 2x2, 64 B, one by one", "M/s", "", 5, [&] {
        return two_by_two([](mp::Queue<Block64>& queue, int n) { for (int i = 0; i < n; ++i) queue.put(Block64{}); },
                          one_by_one, count);
    });
    report("Queue 2x2, 64 B, batches of 64", "M/s", "Queue 2x2, 64 B, one by one", 5, [&] {
        return two_by_two(
            [](mp::Queue<Block64>& queue, int n) {
                const std::vector<Block64> batch(64);
                for (int i = 0; i < n; i += 64) queue.put_range(batch);
            },
            [](mp::Queue<Block64>& queue) {
                try {
                    for (;;) queue.get_some(64);
                } catch (const mp::Closed&) {
                }
            },
            4 * count);
    });
}

void values() {
    constexpr int count = 5'000'000;
    Shared<Bare> memory;
    Bare& bare = *memory;
    report("fetch_add, alone", "ns", "", 5, [&] {
        return 1e9 / count * seconds([&] {
                   for (int i = 0; i < count; ++i) bare.counter.fetch_add(1);
               });
    });
    const auto value = [&]<class T>(const char* name, const char* peer, T) {
        mp::Value<T> total(0);
        report(name, "ns", peer, 5, [&] {
            return 1e9 / count * seconds([&] {
                       for (int i = 0; i < count; ++i) total += 1;
                   });
        });
    };
    value("Value<int> +=, alone", "fetch_add, alone", 0);
    value("Value<long> +=, alone", "fetch_add, alone", 0L);
    value("Value<double> +=, alone", "fetch_add, alone", 0.0);
    report("fetch_add, contended", "ns", "", 5, [&] {
        Forked other([&] {
            for (int i = 0; i < count; ++i) bare.counter.fetch_add(1);
        });
        return 1e9 / count * seconds([&] {
                   for (int i = 0; i < count; ++i) bare.counter.fetch_add(1);
               });
    });
    const auto contended = [&]<class T>(const char* name, T) {
        mp::Value<T> total(0);
        report(name, "ns", "fetch_add, contended", 5, [&] {
            Forked other([&] {
                for (int i = 0; i < count; ++i) total += 1;
            });
            return 1e9 / count * seconds([&] {
                       for (int i = 0; i < count; ++i) total += 1;
                   });
        });
    };
    contended("Value<int> +=, contended", 0);
    contended("Value<long> +=, contended", 0L);
    contended("Value<double> +=, contended", 0.0);
}

void locks() {
    constexpr int count = 2'000'000;
    Shared<Bare> memory;
    Bare& bare = *memory;
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    ::pthread_mutex_init(&bare.mutex, &attributes);
    report("robust pthread mutex, alone", "ns", "", 5, [&] {
        return 1e9 / count * seconds([&] {
                   for (int i = 0; i < count; ++i) {
                       ::pthread_mutex_lock(&bare.mutex);
                       ::pthread_mutex_unlock(&bare.mutex);
                   }
               });
    });
    mp::Lock lock;
    report("Lock + unlock, alone", "ns", "robust pthread mutex, alone", 5, [&] {
        return 1e9 / count * seconds([&] {
                   for (int i = 0; i < count; ++i) {
                       lock.lock();
                       lock.unlock();
                   }
               });
    });
    mp::Value<int> value(0);
    report("Value guard", "ns", "robust pthread mutex, alone", 5, [&] {
        return 1e9 / count * seconds([&] {
                   for (int i = 0; i < count; ++i) {
                       auto v = value.lock();
                       *v += 1;
                   }
               });
    });
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1) filter = argv[1];
    pipes();
    queues();
    values();
    locks();
}
