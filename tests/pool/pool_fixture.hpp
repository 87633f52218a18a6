// What the tests of the pool share: every start method, nothing left behind, and functions to run.
#pragma once

#include <multiprocessing/multiprocessing.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "process/forkserver.hpp"
#include "support/event.hpp"
#include "support/leak_check.hpp"
#include "support/sanitizers.hpp"

namespace mp {
inline void PrintTo(const EngineChoice& engine, std::ostream* out) { *out << engine.limits().name; }
}  // namespace mp

namespace mp::test {

using namespace std::chrono_literals;

/// Longer than anything takes that does not hang.
inline constexpr auto patience = std::chrono::seconds(60);

inline const bool quiesces_fork_server = at_quiesce([] { process::Forkserver::shut_down_shared(); });

/// For tests that run once, by the default method.
class PoolTest : public LeakCheck {};

/// For tests that run with every start method.
class PoolByEveryMethod : public LeakCheck, public ::testing::WithParamInterface<StartMethod> {
  protected:
    PoolOptions options(int workers = 2) const {
        PoolOptions result;
        result.workers = workers;
        result.start_method = GetParam();
        return result;
    }
};

inline std::string method_name(const ::testing::TestParamInfo<StartMethod>& info) {
    return std::string(to_string(info.param));
}

#define MP_EVERY_METHOD(fixture)                                                                               \
    INSTANTIATE_TEST_SUITE_P(Methods, fixture,                                                                 \
                             ::testing::Values(::mp::StartMethod::forkserver, ::mp::StartMethod::fork,            \
                                               ::mp::StartMethod::spawn),                                       \
                             method_name)

/// Processes by one of the start methods, or another engine.
struct EngineCase {
    std::string name;
    EngineChoice engine;
    std::optional<StartMethod> method{};
};
inline void PrintTo(const EngineCase& one, std::ostream* out) { *out << one.name; }

/// For tests that run with every engine.
class PoolByEveryEngine : public LeakCheck, public ::testing::WithParamInterface<EngineCase> {
  protected:
    PoolOptions options(int workers = 2) const {
        PoolOptions result;
        result.workers = workers;
        result.start_method = GetParam().method;
        result.engine = GetParam().engine;
        return result;
    }
    const EngineLimits& limits() const { return GetParam().engine.limits(); }
};

inline std::vector<EngineCase> every_engine() {
    std::vector<EngineCase> all;
    for (const StartMethod method : {StartMethod::forkserver, StartMethod::fork, StartMethod::spawn})
        all.push_back({std::string(to_string(method)), EngineChoice(), method});
    for (const EngineChoice& engine : {threads(), inline_engine()}) all.push_back({engine.limits().name, engine});
    return all;
}

#define MP_EVERY_ENGINE(fixture)                                                             \
    INSTANTIATE_TEST_SUITE_P(Engines, fixture, ::testing::ValuesIn(::mp::test::every_engine()), \
                             [](const auto& info) { return info.param.name; })

/// Leaves a test of what this engine says that it does not promise.
#define MP_SKIP_UNLESS(promise) \
    if (!limits().promise) GTEST_SKIP() << limits().name << " does not promise " #promise

/// The text of the error of type E that `action` throws; the test fails when it throws anything else, or nothing.
template <class E, class Action>
std::string error_of(Action&& action) {
    try {
        action();
    } catch (const E& error) {
        return error.what();
    } catch (const std::exception& error) {
        ADD_FAILURE() << "another exception came: " << error.what();
        return {};
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
}

}  // namespace mp::test
