#include "process/execute.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <multiprocessing/errors.hpp>

#include "os/self_executable.hpp"
#include "process/worker_mode.hpp"

namespace mp::process {

namespace {

// The program's arguments as it was started with; `ps` and the copy itself see the same.
std::vector<std::string> own_arguments() {
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::vector<std::string> arguments;
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = std::min(text.find('\0', begin), text.size());
        arguments.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    if (arguments.empty()) arguments.emplace_back("multiprocessing");
    return arguments;
}

class SpawnPlan {
  public:
    SpawnPlan() {
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawnattr_init(&attributes);
    }
    ~SpawnPlan() {
        ::posix_spawn_file_actions_destroy(&actions);
        ::posix_spawnattr_destroy(&attributes);
    }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
};

// Numbers in the copy.
constexpr int control = 3;
constexpr int program_file = 4;

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (auto& text : strings) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

}  // namespace

base::Expected<pid_t> execute_copy(int socket) {
    auto arguments = own_arguments();
    std::vector<std::string> environment;
    for (char** entry = environ; entry && *entry; ++entry) environment.emplace_back(*entry);
    environment.push_back(marker_entry(control));

    const auto program = os::self_executable();
    if (!program.file && !os::UniqueFd::duplicate(socket)) return base::last_error();  // no descriptor left to look with
    if (!program.file) throw Error("cannot execute a copy of this program: " + program.reason);

    SpawnPlan plan;
    // The program is executed by its open file, which therefore stays open until the copy closes it. Neither number may be
    // taken by what the other is copied from.
    const os::UniqueFd high_socket(::fcntl(socket, F_DUPFD_CLOEXEC, program_file + 1));
    const os::UniqueFd high_file(::fcntl(program.file.get(), F_DUPFD_CLOEXEC, program_file + 1));
    if (!high_socket || !high_file) return base::last_error();
    ::posix_spawn_file_actions_adddup2(&plan.actions, high_socket.get(), control);
    ::posix_spawn_file_actions_adddup2(&plan.actions, high_file.get(), program_file);
    // A standard stream that is closed here must not become the number of something else there.
    for (const int fd : {0, 1, 2}) {
        if (fd != 0 && ::fcntl(fd, F_GETFD) >= 0) continue;
        ::posix_spawn_file_actions_addopen(&plan.actions, fd, "/dev/null", fd == 0 ? O_RDONLY : O_WRONLY, 0);
    }
    ::posix_spawn_file_actions_addclosefrom_np(&plan.actions, program_file + 1);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&plan.attributes, &none);
    ::posix_spawnattr_setflags(&plan.attributes, POSIX_SPAWN_SETSIGMASK);

    pid_t pid = 0;
    const std::string path = "/proc/self/fd/" + std::to_string(program_file);
    if (const int error = ::posix_spawn(&pid, path.c_str(), &plan.actions, &plan.attributes,
                                        pointers(arguments).data(), pointers(environment).data()))
        return base::error_of(error);
    return pid;
}

void close_program_file() { ::close(program_file); }

}  // namespace mp::process
