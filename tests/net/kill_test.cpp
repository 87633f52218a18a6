// A client killed at each of its steps of connecting and sending - system calls, and pieces of the handshake and of
// messages - while the listener serves others; and a listener at each of its own.
#include <multiprocessing/connection.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/listener.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "support/child.hpp"
#include "support/kill_each_step.hpp"
#include "support/leak_check.hpp"
#include "support/resources.hpp"

namespace mp {
namespace {

using namespace std::chrono_literals;

const std::string text = "a message that leaves in several pieces";

/// Where to listen, and the key of both sides.
class NetKills : public test::LeakCheck,
                 public testing::WithParamInterface<std::tuple<std::string, std::optional<std::string>>> {
  protected:
    static std::string place() {
        const auto& family = std::get<0>(GetParam());
        return family == "path"       ? (std::filesystem::temp_directory_path() / "victim").string()
               : family == "abstract" ? "@multiprocessing-victim-" + std::to_string(::getpid())
                                      : "localhost:0";
    }
    static std::optional<std::string> key() { return std::get<1>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(, NetKills,
                         testing::Combine(testing::Values("path", "abstract", "tcp"),
                                          testing::Values(std::nullopt, std::optional<std::string>("secret"))),
                         [](const auto& info) {
                             return std::get<0>(info.param) + (std::get<1>(info.param) ? "_with_a_key" : "");
                         });

/// Connects, sends a text and is answered. Throws what the library throws; nothing but the end of the listener ends it.
std::string talk(const std::string& address, const std::optional<std::string>& key, const std::string& say = text) {
    auto connection = Client<std::string>(address, {.authkey = key, .timeout = 1h});
    connection.send(say);
    return connection.recv();
}

/// Serves the next client that is there for long enough; what it said, or nothing when it left in the middle.
std::optional<std::string> serve_one(Listener& listener) {
    auto connection = listener.accept<std::string>();
    try {
        const std::string said = connection.recv();
        connection.send("answer to " + said);
        return said;
    } catch (const Closed&) {
        return std::nullopt;
    }
}

/// Serves one client after the other until one says so. 0 when it then holds what it held at first.
int serve_all(Listener& listener) {
    const auto before = test::take_snapshot(::getpid());
    for (std::optional<std::string> said; said != "stop";) said = serve_one(listener);
    (void)listener.poll();  // who came after that has left
    for (const auto& line : test::leaks(before, test::take_snapshot(::getpid()))) {
        std::fprintf(stderr, "the listener leaks %s\n", line.c_str());
        return 1;
    }
    return 0;
}

struct Server {
    test::Child process;
    std::string address;
};

/// A process that listens, and there calls `serve(listener)`.
template <class Serve>
Server start(const std::string& place, const std::optional<std::string>& key, Serve serve) {
    auto [told, tell] = Pipe<void, std::string>();
    test::Child process([&, &told = told, &tell = tell] {
        told.close();
        Listener listener(place, {.authkey = key});
        tell.send(listener.address());
        tell.close();
        return serve(listener);
    });
    tell.close();
    return {std::move(process), told.recv()};
}

TEST_P(NetKills, AClientKilledAtAnyStepHoldsUpNoOtherClient) {
    auto server = start(place(), key(), serve_all);
    EXPECT_GE(test::kill_each_step([&] { talk(server.address, key()); },
                                   [&](bool) { ASSERT_EQ(talk(server.address, key()), "answer to " + text); }),
              8);
    EXPECT_EQ(talk(server.address, key(), "stop"), "answer to stop");
    EXPECT_EQ(server.process.wait(), 0);
}

TEST_P(NetKills, AListenerKilledAtAnyStepIsATypedErrorOfItsClientAndItsAddressIsFree) {
    int step = 0;
    for (bool finished = false; !finished && !HasFailure();) {
        SCOPED_TRACE("step " + std::to_string(++step));
        auto server = start(place(), key(), [step](Listener& listener) {
            test::die_at_step(step);
            return serve_one(listener) == text ? 0 : 1;
        });
        bool answered = false;
        try {
            EXPECT_EQ(talk(server.address, key()), "answer to " + text);
            answered = true;
        } catch (const Closed&) {
        } catch (const SystemError& error) {
            // Before it came, or while it stood in the line.
            EXPECT_THAT(error.code().value(), testing::AnyOf(ECONNREFUSED, ECONNRESET)) << error.what();
        }
        const int status = server.process.wait();
        finished = status == 0;
        EXPECT_TRUE(finished || status == -SIGKILL) << status;
        EXPECT_TRUE(answered || !finished);
        EXPECT_EQ(Listener(server.address).address(), server.address);
    }
    EXPECT_GE(step, 8);
}

TEST_P(NetKills, AnAddressIsFreeAfterAKillAtAnyStepOfTakingIt) {
    EXPECT_GE(test::kill_each_step([&] { Listener listener(place(), {.authkey = key()}); },
                                   [&](bool) {
                                       Listener again(place(), {.authkey = key()});
                                       ASSERT_FALSE(again.poll());
                                   }),
              5);
}

}  // namespace
}  // namespace mp
