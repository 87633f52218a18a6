// Ctrl-C: what the pool's own thread does before the program ends by it.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <future>

#include "os/retry.hpp"
#include "pool/core.hpp"

namespace mp::detail {

namespace {

// From SIGKILL until the workers are gone, and for output that nobody reads.
constexpr std::chrono::seconds grace{1};

void tell_of_stop(std::size_t workers) {
    if (::isatty(STDERR_FILENO) != 1) return;
    const std::string text = "\nmultiprocessing: stopping " + std::to_string(workers) +
                             (workers == 1 ? " worker" : " workers") + "; Ctrl-C again ends the program at once\n";
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

}  // namespace

// Workers that live and have not come to an end with what they began.
std::vector<std::size_t> PoolCore::busy_workers(const Lock&) {
    std::vector<std::size_t> busy;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        const Worker& worker = workers_[i];
        if (!worker.child || worker.child->status()) continue;
        // A frame is given back after `running` was stored.
        if (worker.tasks.drained() && worker.lane->header().running.load(std::memory_order_acquire) == 0) continue;
        busy.push_back(i);
    }
    return busy;
}

void PoolCore::end_by_interrupt() {
    // Kept for good: whoever calls the pool waits for the end of the program, and sees no error of what is stopped.
    const Lock lock(mutex_);
    for (auto& worker : workers_) {
        if (!worker.child) continue;
        for (auto sent = worker.sent.rbegin(); sent != worker.sent.rend(); ++sent) {
            if (!sent->task && !sent->job) continue;
            if (!take_back(worker, *sent) && sent->job)
                worker.lane->header().leave.store(sent->number, std::memory_order_seq_cst);
        }
        shm::notify<shm::Ordering::fenced>(worker.lane->header().task_wake);
    }

    auto busy = busy_workers(lock);
    if (!busy.empty()) tell_of_stop(busy.size());
    pool::StopProgress ladder(options_.stop_ladder, Clock::now());
    auto limit = Clock::time_point::max();
    while (!busy.empty() && Clock::now() < limit) {
        while (const auto step = ladder.advance(Clock::now())) {
            for (const std::size_t index : busy) {
                process::Child& child = *workers_[index].child;
                if (*step == pool::StopProgress::Step::token)
                    child.request_stop();
                else
                    child.signal(*step == pool::StopProgress::Step::terminate ? SIGTERM : SIGKILL);
            }
            if (*step == pool::StopProgress::Step::kill) limit = Clock::now() + grace;
        }
        // A death has a descriptor; that a worker comes to rest has to be looked for.
        std::vector<pollfd> watched;
        for (const std::size_t index : busy) watched.push_back({workers_[index].child->sentinel(), POLLIN, 0});
        os::retry([&] { return ::poll(watched.data(), watched.size(), 2); });
        busy = busy_workers(lock);
    }
    if (relay_) {
        try {
            // On a thread of its own, which may wait for whoever does not read the program's output.
            auto shown = std::make_shared<std::promise<void>>();
            auto done = shown->get_future();
            std::thread([relay = relay_.get(), shown] {
                relay->finish();
                shown->set_value();
            }).detach();
            done.wait_for(grace);
        } catch (const std::exception&) {
            // No thread: what is still in the pipes is lost.
        }
    }
    interrupts_->stopped();
}

}  // namespace mp::detail
