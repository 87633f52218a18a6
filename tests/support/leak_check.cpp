#include "support/leak_check.hpp"

#include <unistd.h>

#include <cstdlib>
#include <thread>
#include <utility>

namespace mp::test {
namespace {

std::vector<std::function<void()>>& quiesce_actions() {
    static std::vector<std::function<void()>> actions;
    return actions;
}

void quiesce() {
    for (const auto& action : quiesce_actions()) action();
}

// Tests run one after the other, so there is one baseline.
Snapshot baseline;

}  // namespace

bool at_quiesce(std::function<void()> action) {
    quiesce_actions().push_back(std::move(action));
    return true;
}

void accept_leaks() { baseline = take_snapshot(family_root()); }

pid_t family_root() {
    // The guard tells its pid; a copy of this program that some other process started must not believe it.
    const char* guard = std::getenv("MP_TEST_GUARD");
    const pid_t parent = ::getppid();
    return guard && guard == std::to_string(parent) ? parent : ::getpid();
}

std::vector<std::string> wait_for_no_leaks(const Snapshot& before, std::chrono::milliseconds patience) {
    // There is no event for "a descriptor was closed": look again until the time is up. The usual case looks once.
    const auto limit = std::chrono::steady_clock::now() + patience;
    for (;;) {
        auto left = leaks(before, take_snapshot(family_root()));
        if (left.empty() || std::chrono::steady_clock::now() >= limit) return left;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

void expect_no_leaks(std::chrono::milliseconds patience) {
    quiesce();
    const auto left = wait_for_no_leaks(baseline, patience);
    if (left.empty()) return;
    std::string text = "the test left behind:\n";
    for (const std::string& line : left) text += "  " + line + "\n";
    ADD_FAILURE() << text;
}

void LeakCheck::SetUp() {
    quiesce();
    accept_leaks();
}

void LeakCheck::TearDown() { expect_no_leaks(); }

}  // namespace mp::test
