// What the tests of managers share.
#pragma once

#include <multiprocessing/connection.hpp>
#include <multiprocessing/managers.hpp>
#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <utility>

#include "process/forkserver.hpp"
#include "support/child.hpp"
#include "support/event.hpp"
#include "support/leak_check.hpp"

namespace mp::test {

using namespace std::chrono_literals;

inline const bool server_is_no_leak = at_quiesce([] { process::Forkserver::shut_down_shared(); });

/// Counts in a managed value how many of its kind live.
struct Tally {
    managed::Value<int> alive;
    explicit Tally(managed::Value<int> counter) : alive(std::move(counter)) { alive += 1; }
    Tally(const Tally&) = delete;
    Tally& operator=(const Tally&) = delete;
    ~Tally() { alive += -1; }
    int touch() { return 1; }
};

}  // namespace mp::test
