// The main of every test program. The tests run in a child of a guard process, which adopts and reaps orphans as init
// would: so LeakCheck sees grandchildren that lost their parent, and a dead process nobody reaped is a real leak. When
// the tests are over the guard proves that no process of theirs outlived them, for more than two seconds.
//
// MP_TEST_GUARD=off runs the tests directly, which is easier in a debugger.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>

#include "support/resources.hpp"
#include "support/sanitizers.hpp"

namespace {

bool wants_guard(int argc, char** argv) {
    if (const char* setting = std::getenv("MP_TEST_GUARD"); setting && std::string_view(setting) == "off") return false;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument.starts_with("--gtest_list_tests") || argument.starts_with("--gtest_internal_run_death_test"))
            return false;
    }
    return true;
}

/// Reaps whatever dies until `tests` does; returns its wait status.
int reap_until(pid_t tests) {
    for (;;) {
        int status = 0;
        const pid_t pid = ::waitpid(-1, &status, 0);
        if (pid == tests) return status;
        if (pid < 0 && errno != EINTR) return 1 << 8;
    }
}

/// Gives what the tests started two seconds to notice that they are gone; then names and kills what is left.
bool nothing_outlives_the_tests() {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    for (;;) {
        while (::waitpid(-1, nullptr, WNOHANG) > 0) continue;
        const auto left = mp::test::descendants(::getpid());
        if (left.empty()) return true;
        if (std::chrono::steady_clock::now() >= limit) {
            std::fprintf(stderr, "left running two seconds after the test program ended:\n");
            for (const auto& process : left) {
                std::fprintf(stderr, "  %s\n", process.text.c_str());
                ::kill(process.pid, SIGKILL);
            }
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

/// Gives the test program a TMPDIR of its own, whose contents are its leaks.
std::string make_temporary_folder() {
    std::string folder = "/tmp/mp-test-XXXXXX";
    if (!::mkdtemp(folder.data())) return {};
    ::setenv("TMPDIR", folder.c_str(), 1);
    return folder;
}

int guard(int argc, char** argv, int (*run)(int, char**)) {
    const std::string folder = make_temporary_folder();
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    ::setenv("MP_TEST_GUARD", std::to_string(::getpid()).c_str(), 1);
    const pid_t tests = ::fork();
    if (tests < 0) {
        std::perror("cannot fork");
        return 1;
    }
    if (tests == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        return run(argc, argv);
    }
    // Ctrl-C reaches the tests by themselves; the guard outlives them to report.
    ::signal(SIGINT, SIG_IGN);
    ::signal(SIGQUIT, SIG_IGN);
    const int status = reap_until(tests);
    const bool clean = nothing_outlives_the_tests();
    std::error_code ignored;
    if (!folder.empty()) std::filesystem::remove_all(folder, ignored);
    if (WIFSIGNALED(status)) {
        std::fprintf(stderr, "the test program was killed by signal %d\n", WTERMSIG(status));
        return 1;
    }
    return clean ? WEXITSTATUS(status) : 1;
}

int run_tests(int argc, char** argv) {
    ::testing::InitGoogleMock(&argc, argv);
    return RUN_ALL_TESTS();
}

}  // namespace

#if MP_UNDER_SANITIZER
// Some tests unlock what they do not hold, and expect the error. And libstdc++ counts the owners of an exception in
// functions that ThreadSanitizer does not see.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options() { return "report_mutex_bugs=0"; }
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_suppressions() {
    return "race:std::__exception_ptr::exception_ptr::_M_release\n";
}
#endif

int main(int argc, char** argv) {
    return wants_guard(argc, argv) ? guard(argc, argv, run_tests) : run_tests(argc, argv);
}
