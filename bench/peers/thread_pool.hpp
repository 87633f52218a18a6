// The thread pool that everybody writes: one queue, one mutex, one condition variable, packaged tasks.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

class ThreadPool {
  public:
    explicit ThreadPool(int workers) {
        for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
    }
    ~ThreadPool() {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
        }
        changed_.notify_all();
        for (auto& thread : threads_) thread.join();
    }
    ThreadPool(const ThreadPool&) = delete;

    template <class F>
    auto submit(F function) {
        auto task = std::make_shared<std::packaged_task<std::invoke_result_t<F>()>>(std::move(function));
        auto future = task->get_future();
        {
            const std::lock_guard lock(mutex_);
            tasks_.emplace_back([task = std::move(task)] { (*task)(); });
        }
        changed_.notify_one();
        return future;
    }

  private:
    void work() {
        while (true) {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return closed_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            const auto task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            task();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> tasks_;
    bool closed_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace bench
