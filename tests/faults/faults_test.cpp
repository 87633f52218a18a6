// Each system call of a pool's start and of handing over tasks and results fails in turn: success or a typed error, and
// nothing is left behind.
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <tuple>

#include "faults/system_calls.hpp"
#include "pool/pool_fixture.hpp"
#include "support/resource_limit.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::StartMethod;

int put(const mp::Queue<int>& queue, int x) {
    queue.put(x);
    return x;
}
std::size_t length(const std::string& text) { return text.size(); }
std::string text_of(int x) { return std::to_string(x); }
long twice(long x) { return 2 * x; }

// From a pool's start to its end: handles, large arguments, large and many results.
void use_a_pool(StartMethod method) {
    mp::PoolOptions options;
    options.workers = 2;
    options.start_method = method;
    Pool pool(options);
    const mp::Queue<int> queue;
    EXPECT_EQ(pool.submit(put, queue, 7).get(), 7);
    EXPECT_EQ(queue.get(), 7);
    EXPECT_EQ(pool.submit(length, std::string(1 << 20, 'x')).get(), std::size_t{1} << 20);
    EXPECT_EQ(pool.apply([](int size) { return std::string(static_cast<std::size_t>(size), 'y'); }, 1 << 20).size(),
              std::size_t{1} << 20);
    const auto doubled = pool.map(twice, mp::range(300'000L));
    for (long i = 0; i < 300'000; i += 1000) ASSERT_EQ(doubled[static_cast<std::size_t>(i)], 2 * i);
    const auto texts = pool.map(text_of, mp::range(1000));
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(texts[static_cast<std::size_t>(i)], std::to_string(i));
    pool.close();
    pool.join();
}

// A fault that nobody saw, or one of the library's errors.
void expect_success_or_a_typed_error(StartMethod method) {
    try {
        use_a_pool(method);
    } catch (const mp::Error& error) {
        EXPECT_STRNE(error.what(), "");
    } catch (const std::bad_alloc&) {
    } catch (const std::exception& error) {
        ADD_FAILURE() << "another exception: " << error.what();
    }
}

class PoolFaults : public LeakCheck, public ::testing::WithParamInterface<std::tuple<StartMethod, Fault>> {
  protected:
    void SetUp() override {
        LeakCheck::SetUp();
        ::alarm(240);  // a hang ends with the name of its test
#if defined(__SANITIZE_ADDRESS__)
        GTEST_SKIP() << "the sanitizer's own calls would be counted";
#endif
    }
    void TearDown() override {
        ::alarm(0);
        LeakCheck::TearDown();
    }
};

TEST_P(PoolFaults, OfEachSystemCallInTurnAreTypedErrorsAndLeaveNothing) {
    const auto& [method, fault] = GetParam();
    int struck = 0;
    for (int n = 0; n < 1000; n += 1 + n / 16) {
        SCOPED_TRACE("call " + std::to_string(n));
        mp::process::Forkserver::shut_down_shared();
        const auto before = take_snapshot(family_root());
        arm(fault, n);
        expect_success_or_a_typed_error(method);
        const bool did = disarm();
        mp::process::Forkserver::shut_down_shared();
        EXPECT_THAT(wait_for_no_leaks(before, 10s), ::testing::IsEmpty());
        if (!did || HasFailure()) break;
        ++struck;
    }
    if (struck == 0 && !HasFailure()) GTEST_SKIP() << "this start method makes no such call";
}

std::string fault_name(const ::testing::TestParamInfo<std::tuple<StartMethod, Fault>>& info) {
    const auto& [method, fault] = info.param;
    return std::string(mp::to_string(method)) + "_" + fault.call + "_" +
           (fault.error ? ::strerrorname_np(fault.error) : "short");
}

INSTANTIATE_TEST_SUITE_P(
    Each, PoolFaults,
    ::testing::Combine(::testing::Values(StartMethod::forkserver, StartMethod::fork, StartMethod::spawn),
                       ::testing::Values(Fault{"memfd_create", EMFILE}, Fault{"memfd_create", ENOMEM},
                                         Fault{"mmap", ENOMEM}, Fault{"ftruncate", ENOMEM}, Fault{"ftruncate", EINTR},
                                         Fault{"socketpair", EMFILE}, Fault{"socketpair", ENOMEM},
                                         Fault{"pipe2", EMFILE}, Fault{"pipe2", ENFILE}, Fault{"eventfd", EMFILE},
                                         Fault{"eventfd", ENOMEM}, Fault{"epoll_create1", EMFILE},
                                         Fault{"epoll_ctl", ENOMEM}, Fault{"open", EMFILE}, Fault{"open", EINTR},
                                         Fault{"fcntl", EMFILE}, Fault{"fork", EAGAIN}, Fault{"fork", ENOMEM},
                                         Fault{"posix_spawn", EAGAIN}, Fault{"posix_spawn", ENOMEM},
                                         Fault{"pidfd_open", EMFILE}, Fault{"pidfd_open", ENOMEM},
                                         Fault{"futex", EINTR}, Fault{"futex", EAGAIN}, Fault{"sendmsg", EINTR},
                                         Fault{"sendmsg", ENOBUFS}, Fault{"sendmsg", ETOOMANYREFS},
                                         Fault{"recvmsg", EINTR}, Fault{"read", EINTR}, Fault{"read", 0},
                                         Fault{"poll", EINTR}, Fault{"epoll_wait", EINTR}, Fault{"waitpid", EINTR})),
    fault_name);

class PoolLimits : public PoolByEveryMethod {};
MP_EVERY_METHOD(PoolLimits);

TEST_P(PoolLimits, OneDescriptorMoreEachTimeIsATypedErrorUntilThereAreEnough) {
    MP_SKIP_UNDER_SANITIZERS("the sanitizers' own checks need pipes");
    bool enough = false;
    for (int more = 0; !enough && more < 200; ++more) {
        SCOPED_TRACE(std::to_string(more) + " more");
        mp::process::Forkserver::shut_down_shared();
        const auto before = take_snapshot(family_root());
        {
            const ResourceLimit limit(RLIMIT_NOFILE, static_cast<rlim_t>(lowest_free_descriptor() + more));
            try {
                use_a_pool(GetParam());
                enough = true;
            } catch (const mp::Error& error) {
                EXPECT_STRNE(error.what(), "");
            } catch (const std::exception& error) {
                ADD_FAILURE() << "another exception: " << error.what();
            }
        }
        mp::process::Forkserver::shut_down_shared();
        EXPECT_THAT(wait_for_no_leaks(before, 10s), ::testing::IsEmpty());
        if (HasFailure()) break;
    }
    EXPECT_TRUE(enough);
}

}  // namespace
