// The thread that watches over a pool's workers.
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>

#include "os/retry.hpp"
#include "os/threads.hpp"
#include "pool/core.hpp"

namespace mp::detail {

void PoolCore::wake_watch() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(nudge_.get(), &one, sizeof one));
}

void PoolCore::watch() {
    const os::IgnoredThread ignored;
    ::pthread_setname_np(::pthread_self(), "mp-pool");
    bool retry_start = false;
    int look_again = -1;
    auto next_look = Clock::time_point::max();
    bool recording = false;
    while (true) {
        std::vector<pollfd> watched{{nudge_.get(), POLLIN, 0}};
        std::vector<std::pair<std::size_t, std::shared_ptr<process::Child>>> children;
        {
            Lock lock(mutex_);
            for (std::size_t i = 0; i < workers_.size(); ++i) {
                if (!workers_[i].child) continue;
                children.emplace_back(i, workers_[i].child);
                watched.push_back({workers_[i].child->sentinel(), POLLIN, 0});
            }
            std::erase_if(leaving_, [](const Leaving& one) { return one.child->status().has_value(); });
            for (const Leaving& one : leaving_) watched.push_back({one.child->sentinel(), POLLIN, 0});
            if (children.empty() && leaving_.empty() && (stopping_ || !broken_.empty()) && questions_.empty()) {
                places_.clear();
                return;
            }
            next_look = next_look_;
            recording = insight_.recording();
        }
        auto until = base::Deadline::at(next_look);
        if (next_look == Clock::time_point::max()) until = base::Deadline::never();
        if (look_again >= 0) until = earlier(until, base::Deadline::after(std::chrono::milliseconds(look_again)));
        // While a session records, what workers write down is taken before they write over it.
        if (recording) until = earlier(until, base::Deadline::after(std::chrono::milliseconds(20)));
        if (retry_start) until = earlier(until, base::Deadline::after(std::chrono::milliseconds(100)));
        os::retry([&] { return ::poll(watched.data(), watched.size(), until.poll_timeout()); });
        std::uint64_t count;
        static_cast<void>(!::read(nudge_.get(), &count, sizeof count));
        if (pool::InterruptWatch::pressed()) end_by_interrupt();
        {
            Lock lock(mutex_);
            for (auto& callable : places_.ended()) forget(lock, std::move(callable));
            pump(lock);
            for (std::size_t i = 0; i < children.size(); ++i) {
                if (!watched[i + 1].revents) {
                    if (const auto status = ending(lock, children[i].first)) bury(lock, children[i].first, *status, true);
                } else if (const auto status = children[i].second->status()) {
                    bury(lock, children[i].first, *status, false);
                }
            }
            look_again = rebalance(lock);
            look(lock);
        }
        sample_stacks();
        look_at_memory();
        answer_questions();
        retry_start = !replace_dead();
    }
}

// False when the system refused and it is worth trying again.
bool PoolCore::replace_dead() {
    while (true) {
        std::size_t index = 0;
        {
            Lock lock(mutex_);
            if (stopping_ || !broken_.empty()) return true;
            while (index < workers_.size() && workers_[index].child) ++index;
            if (index == workers_.size()) return true;
        }
        try {
            Worker worker = launch(index);
            Lock lock(mutex_);
            install(lock, index, std::move(worker));
        } catch (const std::exception& error) {
            Lock lock(mutex_);
            // With those gone that are on their way, there may be room.
            const bool nobody = leaving_.empty() && std::ranges::none_of(workers_, [](const auto& w) { return bool(w.child); });
            const bool hopeless = method_ == StartMethod::fork && !snapshot_->alive();
            if (nobody && (hopeless || ++failed_starts_ > most_failed_starts())) {
                break_pool(lock, std::string("its workers died and cannot be replaced: ") + error.what());
                return true;
            }
            return false;
        }
    }
}

}  // namespace mp::detail
