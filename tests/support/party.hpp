// The other party of a contract that holds among threads and among processes, however they were started: a test says once
// what it does, and runs with all of them.
//
//     class Queues : public test::EveryMethod {};
//     TEST_P(Queues, KeepsTheOrder) {
//         Queue<int> queue;
//         test::Party producer(GetParam(), [](Queue<int> q) { q.put(1); return 0; }, queue);
//         …
//         EXPECT_EQ(producer.wait(), 0);
//     }
//     MP_EVERY_METHOD(Queues);
#pragma once

#include <multiprocessing/process.hpp>

#include <gtest/gtest.h>

#include <cstdio>
#include <exception>
#include <future>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

#include "process/forkserver.hpp"
#include "support/leak_check.hpp"

namespace mp::test {

enum class Method { threads, forkserver, fork, spawn };

inline StartMethod start_method(Method method) {
    switch (method) {
        case Method::fork:
            return StartMethod::fork;
        case Method::spawn:
            return StartMethod::spawn;
        default:
            return StartMethod::forkserver;
    }
}

inline void PrintTo(Method method, std::ostream* out) {
    *out << (method == Method::threads ? "threads" : to_string(start_method(method)));
}
inline std::string name_of(const testing::TestParamInfo<Method>& info) { return testing::PrintToString(info.param); }

/// Calls a function of no state; a result other than 0 fails, for a process the way an exception does.
template <class F>
struct Checked {
    template <class... Args>
    void operator()(Args&&... args) const {
        if (const int result = F{}(std::forward<Args>(args)...); result != 0)
            throw std::runtime_error("a party of the test returned " + std::to_string(result));
    }
};

/// Runs a captureless lambda, which returns 0 when all was well, with copies of the arguments, in a thread or a process.
/// With Method::fork no other party may be a thread yet.
class Party {
  public:
    template <class F, class... Args>
    Party(Method method, F, const Args&... args) {
        static_assert(std::is_empty_v<F>, "a party runs anywhere: hand over what it needs as arguments");
        if (method == Method::threads) {
            std::packaged_task<int()> task([arguments = std::tuple<Args...>(args...)]() mutable {
                return std::apply(F{}, std::move(arguments));
            });
            result_ = task.get_future();
            thread_ = std::jthread(std::move(task));
        } else {
            process_ = std::make_unique<mp::Process>(ProcessOptions{.start_method = start_method(method)}, Checked<F>{},
                                                     args...);
            process_->start();
        }
    }
    Party(Party&&) = default;
    Party& operator=(Party&&) = delete;
    /// Does not wait for a process that was not waited for: kills it.
    ~Party() {
        if (process_) process_->kill();
    }

    /// 0 when all was well; minus the signal that ended it.
    int wait() {
        if (process_) {
            process_->join();
            return *process_->exitcode();
        }
        thread_.join();
        try {
            return result_.get();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "party: %s\n", error.what());
            return 99;
        }
    }

  private:
    std::unique_ptr<mp::Process> process_;
    std::future<int> result_;
    std::jthread thread_;
};

/// Closes what was handed over to a process; a thread has no copy of its own.
template <class Connection>
void let_go(Method method, Connection& connection) {
    if (method != Method::threads) connection.close();
}

inline const bool forkserver_is_no_leak = at_quiesce([] { process::Forkserver::shut_down_shared(); });

class EveryMethod : public LeakCheck, public testing::WithParamInterface<Method> {};

}  // namespace mp::test

#define MP_EVERY_METHOD(suite)                                                                                    \
    INSTANTIATE_TEST_SUITE_P(, suite,                                                                             \
                             testing::Values(mp::test::Method::threads, mp::test::Method::forkserver,             \
                                             mp::test::Method::fork, mp::test::Method::spawn),                    \
                             mp::test::name_of)
