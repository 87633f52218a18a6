// Value and Lock beside what the machine can do: a bare counter, a bare robust mutex.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <new>
#include <string>

#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include "driver/suite.hpp"
#include "peers/shared.hpp"

namespace {

using bench::Better;

constexpr int count = 2'000'000;

template <class Work>
std::function<double()> nanoseconds_each(Work work) {
    return [work] {
        return 1e9 / count * bench::seconds([&] {
                   for (int i = 0; i < count; ++i) work();
               });
    };
}

/// The same while another process does it too.
template <class Work>
std::function<double()> nanoseconds_contended(Work work) {
    return [work] {
        const pid_t other = ::fork();
        if (other == 0) {
            for (int i = 0; i < count; ++i) work();
            ::_exit(0);
        }
        const double time = nanoseconds_each(work)();
        ::waitpid(other, nullptr, 0);
        return time;
    };
}

struct Bare {
    alignas(128) std::atomic<std::uint64_t> counter;
    alignas(128) pthread_mutex_t mutex;
};

void initialise(pthread_mutex_t& mutex) {
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    ::pthread_mutex_init(&mutex, &attributes);
    ::pthread_mutexattr_destroy(&attributes);
}

}  // namespace

int main(int argc, char** argv) {
    bench::Suite suite("shared_state", argc, argv);
    const bench::Shared<Bare> memory;
    Bare& bare = *memory;
    initialise(bare.mutex);
    const auto count_up = [&] { bare.counter.fetch_add(1); };
    const auto lock_bare = [&] {
        ::pthread_mutex_lock(&bare.mutex);
        ::pthread_mutex_unlock(&bare.mutex);
    };
    const auto values = [&]<class T>(const std::string& type, T zero) {
        mp::Value<T> total(zero);
        const auto add = [&total] { total += 1; };
        suite.run({.name = "Value<" + type + "> +=, alone",
                   .unit = "ns",
                   .better = Better::lower,
                   .ours = {"mp::Value", nanoseconds_each(add)},
                   .peers = {{"fetch_add", nanoseconds_each(count_up)}}});
        suite.run({.name = "Value<" + type + "> +=, contended",
                   .unit = "ns",
                   .better = Better::lower,
                   .ours = {"mp::Value", nanoseconds_contended(add)},
                   .peers = {{"fetch_add", nanoseconds_contended(count_up)}}});
    };
    values("int", 0);
    values("long", 0L);
    values("double", 0.0);
    mp::Lock lock;
    suite.run({.name = "Lock and unlock, alone",
               .unit = "ns",
               .better = Better::lower,
               .ours = {"mp::Lock", nanoseconds_each([&] {
                            lock.lock();
                            lock.unlock();
                        })},
               .peers = {{"robust pthread mutex", nanoseconds_each(lock_bare)}},
               .target = 29});
    mp::Value<int> value(0);
    suite.run({.name = "Value guard",
               .unit = "ns",
               .better = Better::lower,
               .ours = {"mp::Value::lock", nanoseconds_each([&] {
                            auto guard = value.lock();
                            *guard += 1;
                        })},
               .peers = {{"robust pthread mutex", nanoseconds_each(lock_bare)}}});
    return suite.finish();
}
