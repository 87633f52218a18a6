// A pool deals out blocks to whoever is free, and a block whose worker dies to another.
#include <signal.h>
#include <multiprocessing/pool.hpp>

#include <cstddef>
#include <deque>

#include "primes/interrupt.hpp"
#include "primes/modes.hpp"
#include "primes/planned_crash.hpp"

namespace primes {

Result count_in_pool(const Job& job, const Settings& settings, Progress& progress) {
    Result result(job, "pool");
    mp::Pool pool({.workers = static_cast<int>(job.workers),
                   .name = "primes",
                   .retries = {.crash = 3},
                   .start_method = settings.start_method});
    PlannedCrash crash(settings.crash_worker, [&](unsigned worker) {
        const auto pids = pool.pids();
        return worker < pids.size() && ::kill(pids[worker], SIGKILL) == 0 ? pids[worker] : 0;
    });
    Plan plan(job);
    bool more = true;
    std::deque<mp::Future<Counted>> pending;
    // Enough that nobody runs dry between two looks, and no more: a range may have millions of blocks.
    const std::size_t window = std::size_t{256} * job.workers;
    while (true) {
        while (more && pending.size() < window) {
            if (const auto block = plan.next())
                pending.push_back(pool.submit(count_block, job.method, *block));
            else
                more = false;
        }
        if (pending.empty()) break;
        // Woken once for many results: each wake-up takes time from a worker.
        (more ? pending[pending.size() / 2] : pending.back()).wait_for(crash.patience());
        std::erase_if(pending, [&](auto& future) {
            if (!future.done()) return false;
            result.add(future.get());
            return true;
        });
        if (Interrupt::requested()) {
            pool.terminate();
            result.partial = true;
            return result;
        }
        if (!pending.empty() || more) crash.look(result);
        progress.update(result.done, result.count);
    }
    pool.close();
    pool.join();
    crash.finish(result);
    return result;
}

}  // namespace primes
