// While memory is short, one worker works, so that everything comes to an end but nothing more is begun beside it.
#include <algorithm>

#include "pool/core.hpp"

namespace mp::detail {

using pool::Job;

namespace {
constexpr std::chrono::milliseconds between_memory_looks{250};
}

// Something waits that more workers could run: the pool's own thread looks at memory after a while.
void PoolCore::expect_memory_look() {
    if (memory_look_ != Clock::time_point::max()) return;
    memory_look_ = Clock::now() + between_memory_looks;
    expect_look(memory_look_);
}

void PoolCore::look_at_memory() {
    {
        Lock lock(mutex_);
        if (Clock::now() < memory_look_) return;
    }
    const auto reading = pool::read_memory();
    Lock lock(mutex_);
    memory_look_ = Clock::time_point::max();
    const bool was_open = admission_.open();
    const bool waits = schedule_.waiting() > 0 || !jobs_.empty();
    if (waits)
        admission_.look(reading);
    else
        admission_.reset();
    if (was_open != admission_.open()) insight_.paused(was_open, reading.available);
    if (was_open && !admission_.open()) pause_admission(lock);
    if (!was_open && admission_.open()) resume_admission(lock);
    if (waits) expect_memory_look();
}

// What has not begun is taken back, but for one worker of each map.
void PoolCore::pause_admission(const Lock&) {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        Worker& worker = workers_[i];
        for (auto sent = worker.sent.rbegin(); sent != worker.sent.rend(); ++sent) {
            if (!sent->task) continue;
            // As when tasks are given to others: descriptors are on their way to this worker.
            if (sent->task->has_handles() || !take_back(worker, *sent)) break;
            schedule_.withdraw(i, reinterpret_cast<std::uintptr_t>(sent->task));
            sent->task->state.store(PoolTask::State::pending, std::memory_order_relaxed);
            sent->task = nullptr;
        }
    }
    for (const auto& job : jobs_) {
        if (job->worker) continue;
        bool kept = false;
        for (auto& worker : workers_) {
            for (auto& sent : worker.sent) {
                if (sent.job != job || !std::exchange(kept, true)) continue;
                if (take_back(worker, sent)) {
                    sent.job.reset();
                    --job->taking_part;
                } else if (!worker.stopping) {
                    worker.lane->header().leave.store(sent.number, std::memory_order_seq_cst);
                    job->torn = true;
                }
            }
            std::erase_if(worker.queued, [&](const Queued& queued) {
                if (queued.job != job || !std::exchange(kept, true)) return false;
                --job->taking_part;
                return true;
            });
        }
    }
}

void PoolCore::resume_admission(const Lock& lock) {
    for (const auto& job : std::vector(jobs_)) {
        if (job->worker) continue;
        for (auto& worker : workers_) {
            const auto is_its = [&](const auto& one) { return one.job == job; };
            if (!takes_part(*job, worker) || std::ranges::any_of(worker.sent, is_its) ||
                std::ranges::any_of(worker.queued, is_its))
                continue;
            send_round(lock, job, worker);
        }
    }
    hand_out(lock);
}

}  // namespace mp::detail
