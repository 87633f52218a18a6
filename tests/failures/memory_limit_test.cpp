// Limits of one process's memory: which groups could limit it, and what the kernel's own limit refuses.
#include "os/memory_limit.hpp"

#include <stdlib.h>
#include <sys/mman.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/child.hpp"
#include "support/sanitizers.hpp"

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

/// A machine made of files.
class MemoryGroups : public testing::Test {
  protected:
    MemoryGroups() {
        char path[] = "/tmp/mp-memory-XXXXXX";
        root_ = ::mkdtemp(path);
        write("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        write("proc/self/cgroup", "0::/slice/job\n");
    }
    ~MemoryGroups() override { fs::remove_all(root_); }

    void write(const fs::path& path, const std::string& text) {
        fs::create_directories((root_ / path).parent_path());
        std::ofstream(root_ / path) << text;
    }

    fs::path root_;
};

TEST_F(MemoryGroups, CanBeMadeBelowThoseThatHandTheControllerDown) {
    write("sys/fs/cgroup/cgroup.subtree_control", "cpu memory pids\n");
    write("sys/fs/cgroup/slice/cgroup.subtree_control", "memory\n");
    write("sys/fs/cgroup/slice/job/cgroup.subtree_control", "cpu\n");
    EXPECT_THAT(mp::os::memory_group_parents(root_),
                ElementsAre(root_ / "sys/fs/cgroup/slice", root_ / "sys/fs/cgroup"));
}

TEST_F(MemoryGroups, CannotBeMadeWhereNoneHandsItDown) {
    write("sys/fs/cgroup/slice/job/cgroup.subtree_control", "\n");
    EXPECT_THAT(mp::os::memory_group_parents(root_), IsEmpty());
    EXPECT_FALSE(mp::os::MemoryGroup::make("x", 1 << 20, root_));
}

// These are plain files, so that the new group has none of its own: it cannot be limited, and goes again.
TEST_F(MemoryGroups, ThatCannotBeLimitedAreTakenAway) {
    write("sys/fs/cgroup/slice/cgroup.subtree_control", "memory\n");
    EXPECT_FALSE(mp::os::MemoryGroup::make("x", 1 << 20, root_));
    EXPECT_FALSE(fs::exists(root_ / "sys/fs/cgroup/slice/x"));
}

#if !MP_UNDER_SANITIZER

std::atomic<std::uint32_t> refused{0};

TEST(OwnDataLimit, RefusesPrivateMemoryAndNotesIt) {
    mp::test::Child child([] {
        if (!mp::os::limit_own_data(128 << 20, &refused)) return 1;
        auto fits = std::make_unique<char[]>(32 << 20);
        if (refused) return 2;
        try {
            auto large = std::make_unique<char[]>(256 << 20);
            asm volatile("" : : "r"(large.get()) : "memory");  // the compiler leaves out what nobody looks at
            return 3;
        } catch (const std::bad_alloc&) {
        }
        return refused == 1 ? 0 : 4;
    });
    EXPECT_EQ(child.wait(), 0);
}

TEST(OwnDataLimit, DoesNotCountSharedMappings) {
    mp::test::Child child([] {
        if (!mp::os::limit_own_data(128 << 20, &refused)) return 1;
        void* const memory =
            ::mmap(nullptr, 1 << 30, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return memory == MAP_FAILED ? 2 : 0;
    });
    EXPECT_EQ(child.wait(), 0);
}

#endif

}  // namespace
