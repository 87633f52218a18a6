// A pool deals out blocks to whoever is free, and a block whose worker dies to another.
#include <signal.h>
#include <multiprocessing/pool.hpp>

#include <cstddef>
#include <utility>
#include <vector>

#include "primes/interrupt.hpp"
#include "primes/modes.hpp"
#include "primes/planned_crash.hpp"

namespace primes {
namespace {

constexpr int most_losses = 100;

struct Pending {
    Block block;
    mp::Future<Counted> counted;
};

}  // namespace

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
    std::vector<Pending> pending;
    int losses = 0;  // without a result in between
    // Enough that nobody runs dry between two looks, and no more: a range may have millions of blocks.
    const std::size_t window = std::size_t{256} * job.workers;
    const auto submit = [&](const Block& block) {
        pending.push_back({block, pool.submit(count_block, job.method, block)});
    };
    while (true) {
        while (more && pending.size() < window) {
            const auto block = plan.next();
            if (block) submit(*block);
            more = block.has_value();
        }
        if (pending.empty()) break;
        // Woken once for many results: each wake-up takes time from a worker.
        pending[more ? pending.size() / 2 : pending.size() - 1].counted.wait_for(crash.patience());
        for (Pending& task : std::exchange(pending, {})) {
            if (!task.counted.done()) {
                pending.push_back(std::move(task));
                continue;
            }
            try {
                result.add(task.counted.get());
                losses = 0;
            } catch (const mp::WorkerLost&) {  // in spite of the pool's own retries: somebody is killing in earnest
                if (++losses > most_losses) throw;
                submit(task.block);
            }
        }
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
