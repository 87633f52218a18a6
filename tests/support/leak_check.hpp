// Proves at the end of a test that it left no process, descriptor, thread, shared mapping or temporary file behind.
//
//     using PoolMap = mp::test::LeakCheck;
//     TEST_F(PoolMap, ReturnsResultsInInputOrder) { … }
//
// A failure lists what was left: pid and command line, descriptor and target, the mapping's line.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "support/resources.hpp"

namespace mp::test {

/// Registers what must happen before each comparison, at the start and the end of a test: it shuts down what the
/// library keeps for its next use by design, such as the helper process that forks workers. Returns true, so that it
/// can initialise a namespace-scope constant.
bool at_quiesce(std::function<void()> action);

/// For tests that leave something on purpose, as the last line: what is there now is taken as given from here on.
void accept_leaks();

/// The processes below this one count as its family: the test's guard (see main.cpp), or else this process itself.
pid_t family_root();

/// Waits until nothing is held that `before` does not hold, at most `patience`; returns what is left. Processes and
/// threads end a moment after the call that asked them to.
std::vector<std::string> wait_for_no_leaks(const Snapshot& before, std::chrono::milliseconds patience);

class LeakCheck : public ::testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;
};

/// What TearDown does: one test failure with everything that is left, compared with the last SetUp or accept_leaks.
void expect_no_leaks(std::chrono::milliseconds patience = std::chrono::seconds(5));

}  // namespace mp::test
