// Run without arguments it execs a copy of itself, sends it the names of functions over the control socket, and checks
// that the copy found them, called the right ones, and never saw main. One line and exit code 0 when all is well.
// Built once for each configuration by build_and_run.sh.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/init.hpp>

#include "os/self_executable.hpp"
#include "process/server.hpp"

namespace {

using mp::detail::EntryId;

struct TestKind {
    using Signature = int(int);
    static constexpr std::string_view name = "configuration test";
};

template <class F>
int call(int x) {
    return F{}(x);
}

template <class F>
EntryId name_of(F) {
    return mp::detail::identify(mp::detail::entry_record<TestKind, &call<F>, F>);
}

struct Square {
    int operator()(int x) const { return x * x; }
};

// These two have the same code, so a folding linker makes one of them; their records must stay apart.
auto same_code_one = [](int x) { return x + 7; };
auto same_code_two = [](int x) { return x + 7; };

/// To be seen initialised in the copy: its initialiser runs before main.
const std::string initialised = std::to_string(4) + "2";

struct Message {
    std::uint8_t build_id_size = 0;
    std::byte build_id[32] = {};
    std::uint64_t offset = 0;
    std::uint64_t type_hash = 0;
    char path[512] = {};
};

Message packed(const EntryId& id) {
    Message message;
    message.build_id_size = id.module.size;
    std::memcpy(message.build_id, id.module.build_id.data(), sizeof message.build_id);
    message.offset = id.offset;
    message.type_hash = id.type_hash;
    std::memcpy(message.path, id.module.path.data(), std::min(id.module.path.size(), sizeof message.path - 1));
    return message;
}

EntryId unpacked(const Message& message) {
    EntryId id;
    id.module.size = message.build_id_size;
    std::memcpy(id.module.build_id.data(), message.build_id, sizeof message.build_id);
    id.module.path = message.path;
    id.offset = message.offset;
    id.type_hash = message.type_hash;
    return id;
}

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "FAILED: %s\n", what);
    std::exit(1);
}

int ask(int socket, const EntryId& id) {
    const Message message = packed(id);
    int answer = -1;
    if (::send(socket, &message, sizeof message, MSG_NOSIGNAL) != sizeof message) fail("cannot send to the copy");
    if (::recv(socket, &answer, sizeof answer, 0) != sizeof answer) fail("the copy died");
    return answer;
}

}  // namespace

/// Stands in for the library's own server: answers each function's name with what the function makes of 5.
int mp::process::run_marked_copy(Marker marker, int, char**) {
    if (initialised != "42") return 3;
    if (std::getenv("MULTIPROCESSING_WORKER") != nullptr) return 4;
    if (role() != Role::program) return 5;
    Message message;
    while (::recv(marker.socket, &message, sizeof message, 0) == sizeof message) {
        int answer = -1;
        try {
            answer = detail::resolve<TestKind>(unpacked(message)).code(5);
        } catch (const Error& error) {
            std::fprintf(stderr, "%s\n", error.what());
        }
        if (::send(marker.socket, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) return 6;
    }
    return 17;
}

int main([[maybe_unused]] int argc, [[maybe_unused]] char** argv) try {
#ifdef SAY_INIT
    mp::init(argc, argv);
#endif
    if (mp::process::role() != mp::process::Role::program) {
        try {
            mp::process::require_not_runaway_copy();
        } catch (const mp::Error& error) {
            std::fprintf(stderr, "%s\n", error.what());
        }
        return 99;
    }

    const mp::os::SelfExecutable self = mp::os::self_executable();
    if (!self.file) fail(self.reason.c_str());
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) fail("socketpair");
    const std::string marker = mp::process::marker_entry(100);
    std::vector<char*> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
    environment.push_back(const_cast<char*>(marker.c_str()));
    environment.push_back(nullptr);
    std::string name = "copy";
    char* const arguments[] = {name.data(), nullptr};
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(ends[1], 100);
        ::execve(self.path.c_str(), arguments, environment.data());
        ::_exit(126);
    }
    ::close(ends[1]);

    if (ask(ends[0], name_of(Square())) != 25) fail("a function object");
    if (ask(ends[0], name_of([](int x) { return x + 1; })) != 6) fail("a lambda");
    const EntryId one = name_of(same_code_one);
    const EntryId two = name_of(same_code_two);
#ifndef FOLDS_DATA  // then equal records of equal code are one, which is right as well
    if (one == two) fail("two lambdas have one name");
#endif
    if (ask(ends[0], one) != 12 || ask(ends[0], two) != 12) fail("lambdas with the same code");
    EntryId wrong = one;
    wrong.offset += 8;
    if (ask(ends[0], wrong) != -1) fail("a wrong offset was accepted");
    ::close(ends[0]);
    int status = 0;
    if (::waitpid(child, &status, 0) != child) fail("waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 17) {
        std::fprintf(stderr, "status of the copy: %#x\n", static_cast<unsigned>(status));
        fail("the copy did not end through run_marked_copy");
    }
    std::puts("identity holds");
} catch (const mp::Error& error) {
    fail(error.what());
}
