// The stack of a process that runs, asked for from outside.
#include <csignal>
#include <ctime>
#include <thread>

#include <gmock/gmock.h>

#include "process/launch.hpp"
#include "process/mailbox.hpp"
#include "support/event.hpp"
#include "support/sanitizers.hpp"

namespace {

using namespace std::chrono_literals;
using mp::base::Deadline;
using mp::test::ByMethod;
using mp::test::Mailbox;
using mp::test::say;
using ::testing::HasSubstr;
using ::testing::Not;

volatile bool never = false;

[[gnu::noinline]] void spin_in_here() {
    while (!never) asm volatile("");
}
[[gnu::noinline]] void sleep_in_here() {
    timespec long_time{.tv_sec = 1000, .tv_nsec = 0};
    while (::nanosleep(&long_time, &long_time) != 0) {
    }
}

int run(mp::serial::Reader& reader) {
    const auto mailbox = reader.take_handle();
    const auto what = mp::serial::decode<std::string>(reader);
    if (what == "overruled") ::signal(SIGURG, SIG_IGN);
    std::thread other;
    if (what == "blocked in main") {
        other = std::thread([] { sleep_in_here(); });
        sigset_t urgent;
        ::sigemptyset(&urgent);
        ::sigaddset(&urgent, SIGURG);
        ::pthread_sigmask(SIG_BLOCK, &urgent, nullptr);
    }
    say(mailbox, "here");
    if (what == "spin") spin_in_here();
    sleep_in_here();
    return 0;
}

class StackSample : public ByMethod {
  protected:
    std::shared_ptr<mp::process::Child> start(const std::string& what) {
        mp::serial::Writer arguments;
        arguments.attach(mailbox_.address());
        mp::serial::encode(arguments, what);
        auto child = mp::process::launch(
            {.name = "sampled",
             .method = GetParam(),
             .entry = mp::detail::identify(mp::detail::entry_record<mp::detail::ProcessEntry, &run>),
             .arguments = arguments.bytes(),
             .handles = arguments.handles()});
        EXPECT_EQ(mailbox_.line(), "here");
        return child;
    }
    static void end(mp::process::Child& child) {
        child.signal(SIGKILL);
        child.wait(Deadline::never());
    }
    // The process has told us that it comes there, and may need a moment.
    static bool comes_to(mp::process::Child& child, const std::string& function) {
        std::string text;
        return mp::test::eventually([&] {
                   const auto stack = child.sample_stack(Deadline::after(60s));
                   text = stack ? stack->to_string() : "no answer";
                   return text.find(function) != std::string::npos;
               }) ||
               (ADD_FAILURE() << text, false);
    }

    Mailbox mailbox_;
};
MP_EVERY_START_METHOD(StackSample);

TEST_P(StackSample, ShowsWhereAProcessSpins) {
    MP_SKIP_UNDER_SANITIZERS("ThreadSanitizer hands a signal on at the next system call, and here is none");
    const auto child = start("spin");
    EXPECT_TRUE(comes_to(*child, "spin_in_here at"));
    EXPECT_TRUE(comes_to(*child, "stack_sample_test.cpp:"));
    EXPECT_FALSE(child->status());
    end(*child);
}

TEST_P(StackSample, ShowsWhereAProcessSleepsInASystemCall) {
    const auto child = start("sleep");
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(comes_to(*child, "sleep_in_here at"));
    EXPECT_FALSE(child->status());
    end(*child);
}

TEST_P(StackSample, OfAStoppedProcessComesWhenItGoesOn) {
    const auto child = start("sleep");
    child->signal(SIGSTOP);
    EXPECT_FALSE(child->sample_stack(Deadline::after(50ms)));
    child->signal(SIGCONT);
    EXPECT_TRUE(comes_to(*child, "sleep_in_here"));
    end(*child);
}

TEST_P(StackSample, IsNotToBeHadOfADeadProcess) {
    const auto child = start("sleep");
    end(*child);
    EXPECT_FALSE(child->sample_stack(Deadline::never()));
}

TEST_P(StackSample, IsNotToBeHadWhereItsSignalIsIgnoredOrBlocked) {
    for (const char* what : {"overruled", "blocked in main"}) {
        const auto child = start(what);
        EXPECT_FALSE(child->sample_stack(Deadline::after(50ms))) << what;
        EXPECT_FALSE(child->status());
        end(*child);
    }
}

}  // namespace
