#include "os/cpu_count.hpp"

#include <multiprocessing/cpu_count.hpp>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

namespace {

namespace fs = std::filesystem;

/// A made-up "/" with its own /proc and /sys.
class CpuQuota : public testing::Test {
  protected:
    CpuQuota() {
        char name[] = "/tmp/cpu_quota_XXXXXX";
        root_ = ::mkdtemp(name);
        write("proc/self/mountinfo", "23 1 0:21 / / rw - ext4 /dev/vda rw\n");
        write("proc/self/cgroup", "");
    }
    ~CpuQuota() override { fs::remove_all(root_); }

    void write(const fs::path& path, const std::string& text) {
        fs::create_directories((root_ / path).parent_path());
        std::ofstream(root_ / path, std::ios::app) << text;
    }
    void mount_v2(const std::string& shown, const std::string& point) {
        write("proc/self/mountinfo",
              "30 23 0:26 " + shown + " " + point + " rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    }
    void mount_v1(const std::string& shown, const std::string& point, const std::string& controllers = "cpu,cpuacct") {
        write("proc/self/mountinfo",
              "31 23 0:27 " + shown + " " + point + " rw - cgroup cgroup rw," + controllers + "\n");
    }
    void quota_v1(const fs::path& group, const std::string& quota, const std::string& period = "100000") {
        write(group / "cpu.cfs_quota_us", quota + "\n");
        write(group / "cpu.cfs_period_us", period + "\n");
    }
    auto quota() const { return mp::os::cgroup_cpu_quota(root_); }

    fs::path root_;
};

using Quota = std::optional<unsigned>;

TEST_F(CpuQuota, IsNothingWithoutControlGroups) { EXPECT_EQ(quota(), std::nullopt); }

TEST_F(CpuQuota, IsNothingWithoutProc) {
    fs::remove_all(root_ / "proc");
    EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuota, IsRoundedUpToWholeCpus) {
    mount_v2("/", "/sys/fs/cgroup");
    write("proc/self/cgroup", "0::/app\n");
    write("sys/fs/cgroup/app/cpu.max", "150000 100000\n");
    EXPECT_EQ(quota(), Quota(2));
}

TEST_F(CpuQuota, OfATinySliceIsOne) {
    mount_v2("/", "/sys/fs/cgroup");
    write("proc/self/cgroup", "0::/app\n");
    write("sys/fs/cgroup/app/cpu.max", "1000 100000\n");
    EXPECT_EQ(quota(), Quota(1));
}

TEST_F(CpuQuota, IsNothingWhenItSaysMax) {
    mount_v2("/", "/sys/fs/cgroup");
    write("proc/self/cgroup", "0::/app\n");
    write("sys/fs/cgroup/app/cpu.max", "max 100000\n");
    EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuota, IsTheSmallestOfAllAncestors) {
    mount_v2("/", "/sys/fs/cgroup");
    write("proc/self/cgroup", "0::/a/b/c\n");
    write("sys/fs/cgroup/a/cpu.max", "400000 100000\n");
    write("sys/fs/cgroup/a/b/cpu.max", "300000 100000\n");
    write("sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
    EXPECT_EQ(quota(), Quota(3));
}

TEST_F(CpuQuota, OfVersionOneIsFoundAtEveryLevel) {
    mount_v1("/", "/sys/fs/cgroup/cpu,cpuacct");
    write("proc/self/cgroup", "5:cpuset:/\n4:cpu,cpuacct:/a/b\n");
    quota_v1("sys/fs/cgroup/cpu,cpuacct/a", "250000");
    quota_v1("sys/fs/cgroup/cpu,cpuacct/a/b", "-1");
    EXPECT_EQ(quota(), Quota(3));
}

TEST_F(CpuQuota, OfVersionOneUsesItsOwnPeriod) {
    mount_v1("/", "/sys/fs/cgroup/cpu");
    write("proc/self/cgroup", "4:cpu:/a\n");
    quota_v1("sys/fs/cgroup/cpu/a", "100000", "25000");
    EXPECT_EQ(quota(), Quota(4));
}

TEST_F(CpuQuota, IgnoresHierarchiesWithoutTheCpuController) {
    mount_v1("/", "/sys/fs/cgroup/cpuset", "cpuset");
    mount_v1("/", "/sys/fs/cgroup/cpuacct", "cpuacct");
    write("proc/self/cgroup", "4:cpuset:/a\n5:cpuacct:/a\n");
    quota_v1("sys/fs/cgroup/cpuset/a", "100000");
    quota_v1("sys/fs/cgroup/cpuacct/a", "100000");
    EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuota, OfAHybridSystemIsTheSmallerOfBothVersions) {
    mount_v1("/", "/sys/fs/cgroup/cpu");
    mount_v2("/", "/sys/fs/cgroup/unified");
    write("proc/self/cgroup", "4:cpu:/a\n0::/b\n");
    quota_v1("sys/fs/cgroup/cpu/a", "700000");
    write("sys/fs/cgroup/unified/b/cpu.max", "600000 100000\n");
    EXPECT_EQ(quota(), Quota(6));
}

TEST_F(CpuQuota, InAContainerWithABindMountIsThatOfTheMountPoint) {
    mount_v1("/docker/abc", "/sys/fs/cgroup/cpu,cpuacct");  // no cgroup namespace: the host's path everywhere
    write("proc/self/cgroup", "4:cpu,cpuacct:/docker/abc/inner\n");
    quota_v1("sys/fs/cgroup/cpu,cpuacct", "200000");
    quota_v1("sys/fs/cgroup/cpu,cpuacct/inner", "-1");
    EXPECT_EQ(quota(), Quota(2));
}

TEST_F(CpuQuota, InACgroupNamespaceIsThatOfItsRoot) {
    mount_v2("/", "/sys/fs/cgroup");
    write("proc/self/cgroup", "0::/\n");
    write("sys/fs/cgroup/cpu.max", "500000 100000\n");
    EXPECT_EQ(quota(), Quota(5));
}

TEST_F(CpuQuota, OfAMountFromOutsideTheNamespaceCountsAsAnAncestor) {
    mount_v2("/../..", "/host/cgroup");
    write("proc/self/cgroup", "0::/app\n");
    write("host/cgroup/cpu.max", "300000 100000\n");
    write("host/cgroup/app/cpu.max", "100000 100000\n");  // another "app": not ours
    EXPECT_EQ(quota(), Quota(3));
}

TEST_F(CpuQuota, OfAnUnrelatedGroupDoesNotLimit) {
    mount_v2("/other", "/sys/fs/cgroup");
    write("proc/self/cgroup", "0::/app\n");
    write("sys/fs/cgroup/cpu.max", "100000 100000\n");
    EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuota, OfAGroupOutsideTheNamespaceIsNotReadFromInside) {
    mount_v2("/", "/sys/fs/cgroup");
    write("proc/self/cgroup", "0::/../sibling\n");
    write("sys/fs/cgroup/cpu.max", "100000 100000\n");
    EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuota, UnderstandsBlanksAndColonsInNames) {
    mount_v2("/", "/my\\040groups");
    write("proc/self/cgroup", "0::/a:b\n");
    write("my groups/a:b/cpu.max", "200000 100000\n");
    EXPECT_EQ(quota(), Quota(2));
}

TEST_F(CpuQuota, IgnoresAMountThatAnotherOneHides) {
    mount_v1("/", "/sys/fs/cgroup", "cpu");
    mount_v2("/", "/sys/fs/cgroup");
    write("proc/self/cgroup", "4:cpu:/a\n0::/a\n");
    quota_v1("sys/fs/cgroup/a", "100000");
    write("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    EXPECT_EQ(quota(), Quota(2));
}

TEST_F(CpuQuota, SurvivesGarbage) {
    write("proc/self/mountinfo", "x\n - \n1 2 3\n - cgroup2\n\\9 \\ \\04 \\ \\ - cgroup2 c r\n");
    mount_v2("/", "/sys/fs/cgroup");
    write("proc/self/cgroup", "no colons\n:\n::\n0::\n0::/a/../..\n0::/b (deleted)\n");
    write("sys/fs/cgroup/cpu.max", "99999999999999999999999 0\n");
    write("sys/fs/cgroup/b (deleted)/cpu.max", "\n");
    EXPECT_EQ(quota(), std::nullopt);
}

TEST(AffinityCount, ReadsMasksOfMoreThan1024Cpus) {
    const auto kernel_with_20000_cpus = [](std::size_t bytes, void* mask) -> long {
        if (bytes < 2500) {
            errno = EINVAL;
            return -1;
        }
        std::memset(mask, 0, bytes);
        std::memset(mask, 0xff, 2500);
        return 2504;
    };
    EXPECT_EQ(mp::os::affinity_count(kernel_with_20000_cpus), 20000u);
}

TEST(AffinityCount, FallsBackToTheMachineWhenItMayNotAsk) {
    const auto forbidden = [](std::size_t, void*) -> long {
        errno = EPERM;
        return -1;
    };
    EXPECT_GE(mp::os::affinity_count(forbidden), 1u);
}

// cpython: _TestProcess.test_cpu_count
TEST(CpuCount, IsAtLeastOne) { EXPECT_GE(mp::cpu_count(), 1u); }

TEST(CpuCount, IsNeverMoreThanTheAffinityMask) {
    cpu_set_t mask;
    ASSERT_EQ(::sched_getaffinity(0, sizeof mask, &mask), 0);
    EXPECT_LE(mp::cpu_count(), static_cast<unsigned>(CPU_COUNT(&mask)));
}

TEST(CpuCount, FollowsTheAffinityOfAForkedChild) {
    mp::cpu_count();  // what is cached here must not mislead the child
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        cpu_set_t all, one;
        CPU_ZERO(&one);
        if (::sched_getaffinity(0, sizeof all, &all) != 0) ::_exit(100);
        for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
            if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
        if (::sched_setaffinity(0, sizeof one, &one) != 0) ::_exit(101);
        ::_exit(static_cast<int>(mp::cpu_count()));
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 1);
}

}  // namespace
