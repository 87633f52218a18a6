#include "os/memory.hpp"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::StartsWith;

namespace {

/// A machine made of files.
class Memory : public testing::Test {
  protected:
    Memory() {
        char path[] = "/tmp/mp-memory-XXXXXX";
        root_ = ::mkdtemp(path);
        write("proc/meminfo", "MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable:    4000 kB\n");
    }
    ~Memory() override { fs::remove_all(root_); }

    void write(const fs::path& path, const std::string& text) {
        fs::create_directories((root_ / path).parent_path());
        std::ofstream(root_ / path) << text;
    }
    void mount_v2() {
        write("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        write("proc/self/cgroup", "0::/slice/job\n");
    }
    void mount_v1() {
        write("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
        write("proc/self/cgroup", "4:memory:/job\n3:cpu,cpuacct:/elsewhere\n");
    }

    fs::path root_;
};

TEST_F(Memory, IsWhatTheMachineHasWithoutGroups) { EXPECT_EQ(mp::os::available_memory(root_), 4000u * 1024); }

TEST_F(Memory, IsBoundedByEveryGroupAbove) {
    mount_v2();
    write("sys/fs/cgroup/slice/memory.max", "1000000\n");
    write("sys/fs/cgroup/slice/memory.current", "900000\n");
    write("sys/fs/cgroup/slice/memory.stat", "anon 1\ninactive_file 50000\n");
    write("sys/fs/cgroup/slice/job/memory.max", "max\n");
    write("sys/fs/cgroup/slice/job/memory.current", "5\n");
    EXPECT_EQ(mp::os::available_memory(root_), 150000u);
}

TEST_F(Memory, IsNoneWhenAGroupIsOverItsLimit) {
    mount_v1();
    write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1000\n");
    write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "2000\n");
    EXPECT_EQ(mp::os::available_memory(root_), 0u);
}

TEST_F(Memory, IsUnboundedWhenNothingSays) {
    fs::remove(root_ / "proc/meminfo");
    EXPECT_EQ(mp::os::available_memory(root_), std::numeric_limits<std::uint64_t>::max());
}

TEST_F(Memory, OfThisMachineIsSomething) { EXPECT_GT(mp::os::available_memory(), 1024u * 1024); }

TEST_F(Memory, KillsAreToldByTheOwnGroupsCounter) {
    mount_v2();
    write("proc/vmstat", "oom_kill 100\n");
    write("sys/fs/cgroup/slice/memory.events", "oom_kill 5\n");
    write("sys/fs/cgroup/slice/job/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n");
    const auto before = mp::os::OomCounters::now(root_);
    write("sys/fs/cgroup/slice/memory.events", "oom_kill 6\n");  // a neighbour's
    write("proc/vmstat", "oom_kill 101\n");
    EXPECT_FALSE(mp::os::OomCounters::now(root_).evidence_since(before));
    write("sys/fs/cgroup/slice/job/memory.events", "low 0\noom 4\noom_kill 3\noom_group_kill 0\n");
    const auto evidence = mp::os::OomCounters::now(root_).evidence_since(before);
    ASSERT_TRUE(evidence);
    EXPECT_THAT(*evidence, StartsWith("oom_kill in "));
    EXPECT_THAT(*evidence, EndsWith("/slice/job/memory.events went from 2 to 3"));
}

TEST_F(Memory, KillsAreToldByVersionOneGroups) {
    mount_v1();
    write("sys/fs/cgroup/memory/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
    const auto before = mp::os::OomCounters::now(root_);
    write("sys/fs/cgroup/memory/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
    EXPECT_TRUE(mp::os::OomCounters::now(root_).evidence_since(before));
}

TEST_F(Memory, KillsAreToldByTheMachineWhereThereAreNoGroups) {
    write("proc/vmstat", "oom_kill 100\n");
    const auto before = mp::os::OomCounters::now(root_);
    EXPECT_FALSE(mp::os::OomCounters::now(root_).evidence_since(before));
    write("proc/vmstat", "oom_kill 101\n");
    EXPECT_TRUE(mp::os::OomCounters::now(root_).evidence_since(before));
}

}  // namespace
