#include <multiprocessing/detail/in_parallel.hpp>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "os/library_thread.hpp"

namespace mp::detail {

namespace {

using Work = std::function<void(std::uint64_t begin, std::uint64_t end)>;

// Stretches are claimed, not assigned: a thread that starts late, or not at all, gets fewer.
class Division {
  public:
    Division(std::uint64_t count, int threads, const Work& work)
        : work_(work),
          count_(count),
          stretch_(std::max(std::uint64_t{1}, count / (stretches * static_cast<unsigned>(threads)))) {}

    void take_part() noexcept {
        for (std::uint64_t begin; (begin = next_.fetch_add(stretch_, std::memory_order_relaxed)) < count_;) {
            try {
                work_(begin, std::min(begin + stretch_, count_));
            } catch (...) {
                next_.store(count_, std::memory_order_relaxed);
                const std::lock_guard lock(mutex_);
                if (!error_) error_ = std::current_exception();
            }
        }
    }

    /// Once all have ended.
    void rethrow() {
        if (error_) std::rethrow_exception(std::move(error_));
    }

  private:
    static constexpr std::uint64_t stretches = 16;  // a thread

    const Work& work_;
    std::uint64_t count_;
    std::uint64_t stretch_;
    std::atomic<std::uint64_t> next_{0};  // relaxed: whoever joins a thread sees what it has done
    std::mutex mutex_;
    std::exception_ptr error_;
};

}  // namespace

void in_parallel(std::uint64_t count, int threads, const Work& work) {
    if (threads <= 1) {
        if (count > 0) work(0, count);
        return;
    }
    Division division(count, threads, work);
    std::vector<std::thread> helpers;
    try {
        const auto wanted = static_cast<std::size_t>(threads) - 1;
        helpers.reserve(wanted);
        while (helpers.size() < wanted)
            helpers.push_back(os::start_library_thread("cannot start a thread to copy", [&division] {
                ::pthread_setname_np(::pthread_self(), "mp-copy");
                division.take_part();
            }));
    } catch (...) {
        // The threads that are there do it all.
    }
    division.take_part();
    for (std::thread& helper : helpers) helper.join();
    division.rethrow();
}

}  // namespace mp::detail
