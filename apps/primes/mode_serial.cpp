// No second process: the yardstick. The counting has a thread of its own, so that this one can draw and hear Ctrl-C
// while a single number takes hours.
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "primes/interrupt.hpp"
#include "primes/modes.hpp"

namespace primes {
namespace {

struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Counted> fresh;  // not yet seen by the other thread
    bool stop = false;
    bool finished = false;
};

void count_all(const Job& job, Shared& shared) {
    Plan plan(job);
    while (const auto block = plan.next()) {
        const Counted counted = count_block(job.method, *block);
        const std::lock_guard lock(shared.mutex);
        shared.fresh.push_back(counted);
        if (shared.stop) return;
    }
    const std::lock_guard lock(shared.mutex);
    shared.finished = true;
    shared.changed.notify_one();
}

}  // namespace

Result count_serially(const Job& job, Progress& progress) {
    Result result(job, "serial");
    // The thread may outlive this function: a number that takes hours is not waited for after Ctrl-C.
    const auto shared = std::make_shared<Shared>();
    std::thread([job, shared] { count_all(job, *shared); }).detach();
    std::unique_lock lock(shared->mutex);
    while (true) {
        const bool finished =
            shared->changed.wait_for(lock, std::chrono::milliseconds(50), [&] { return shared->finished; });
        for (const Counted& counted : std::exchange(shared->fresh, {})) result.add(counted);
        if (finished) return result;
        if (Interrupt::requested()) {
            shared->stop = true;
            result.partial = true;
            return result;
        }
        progress.update(result.done, result.count);
    }
}

}  // namespace primes
