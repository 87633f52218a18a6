#include "os/threads.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "support/child.hpp"
#include "support/sanitizers.hpp"

namespace {

using mp::os::IgnoredThread;
using mp::test::Child;

TEST(IgnoredThread, MayBeginInAForkThatWasMadeWhileAnotherBegan) {
    MP_SKIP_UNDER_SANITIZERS("their allocator may be locked by another thread at the fork, and stays so in the child");
    std::atomic<bool> over{false};
    const std::jthread busy([&] {
        while (!over) const IgnoredThread one;
    });
    for (int i = 0; i < 200 && !HasFailure(); ++i) {
        Child child([] {
            ::alarm(60);
            const IgnoredThread one;
            return mp::os::other_threads().empty() ? 0 : 1;
        });
        EXPECT_EQ(child.wait(), 0);
    }
    over = true;
}

}  // namespace
