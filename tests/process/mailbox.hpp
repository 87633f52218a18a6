// How the processes of these tests talk to the test: a pipe whose writing end travels as an argument.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <multiprocessing/process.hpp>

#include "os/retry.hpp"
#include "os/unique_fd.hpp"
#include "process/forkserver.hpp"
#include "support/leak_check.hpp"

namespace mp::test {

inline const bool server_is_no_leak = at_quiesce([] { process::Forkserver::shut_down_shared(); });

/// The suite of what is the same for every start method.
class ByMethod : public LeakCheck, public ::testing::WithParamInterface<StartMethod> {
  protected:
    static ProcessOptions options(std::string name = {}) { return {.name = std::move(name), .start_method = GetParam()}; }
};
inline std::string method_name(const ::testing::TestParamInfo<StartMethod>& info) {
    return std::string(to_string(info.param));
}
#define MP_EVERY_START_METHOD(suite)                                                                         \
    INSTANTIATE_TEST_SUITE_P(, suite, ::testing::ValuesIn(mp::get_all_start_methods()), mp::test::method_name)

class Mailbox {
  public:
    Mailbox() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        read_.reset(ends[0]);
        write_ = serial::Handle(ends[1]);
    }

    /// The writing end, for an argument.
    const serial::Handle& address() const { return write_; }
    /// From now on only others hold the writing end.
    void give_away() { write_ = {}; }

    /// Without its newline; what came so far when the other side ended or half a minute passed.
    std::string line() {
        while (text_.find('\n') == text_.npos && more()) {}
        const auto end = text_.find('\n');
        std::string result = text_.substr(0, end);
        text_.erase(0, end == text_.npos ? end : end + 1);
        return result;
    }
    /// Everything until nobody holds the writing end any more; a failure when somebody still does after a while.
    std::string rest(std::chrono::seconds patience = std::chrono::seconds(30)) {
        give_away();
        while (more(patience)) {}
        EXPECT_TRUE(ended_) << "somebody holds the writing end open";
        return std::move(text_);
    }

  private:
    bool more(std::chrono::seconds patience = std::chrono::seconds(30)) {
        pollfd entry{read_.get(), POLLIN, 0};
        if (os::retry([&] { return ::poll(&entry, 1, static_cast<int>(patience.count() * 1000)); }) <= 0) return false;
        char bytes[4096];
        const ssize_t count = os::retry([&] { return ::read(read_.get(), bytes, sizeof bytes); });
        if (count <= 0) return ended_ = true, false;
        text_.append(bytes, static_cast<std::size_t>(count));
        return true;
    }

    os::UniqueFd read_;
    serial::Handle write_;
    std::string text_;
    bool ended_ = false;
};

inline void say(const serial::Handle& to, std::string text) {
    text += '\n';
    [[maybe_unused]] const ssize_t count = ::write(to.fd(), text.data(), text.size());
}

/// What a process does that will be ended from outside; it says so first.
inline void wait_for_ever(serial::Handle ready) {
    say(ready, "ready");
    for (;;) ::pause();
}

inline bool is_readable(int fd) {
    pollfd entry{fd, POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
}

}  // namespace mp::test
