#include "driver/program.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace bench {

namespace {

// Its standard output, when `captured`.
std::string run(const std::vector<std::string>& words, bool captured) {
    std::vector<char*> arguments;
    for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    std::array<int, 2> out{-1, -1};
    if (captured && ::pipe2(out.data(), O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    if (captured)
        ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    else
        ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid = 0;
    const int error = ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    std::string text;
    if (captured) {
        ::close(out[1]);
        std::array<char, 4096> part;
        for (ssize_t size; !error && (size = ::read(out[0], part.data(), part.size())) > 0;)
            text.append(part.data(), static_cast<std::size_t>(size));
        ::close(out[0]);
    }
    int status = 0;
    if (error || ::waitpid(pid, &status, 0) != pid || status != 0) throw std::runtime_error("cannot run " + words[0]);
    return text;
}

}  // namespace

void run_program(const std::vector<std::string>& words) { run(words, false); }

Side script(std::string name, std::vector<std::string> words, std::function<double(double)> figure) {
    std::string command;
    for (const auto& word : words) command += (command.empty() ? "" : " ") + word;
    // The scripts lie in the sources; commands are shown as typed in their top folder.
    for (auto& word : words)
        if (word.rfind("bench/peers/", 0) == 0) word = std::string(BENCH_SOURCES) + "/" + word;
    return {.name = std::move(name),
            .run =
                [words = std::move(words), figure = std::move(figure)] {
                    return figure(nlohmann::json::parse(run(words, true)).at("seconds").get<double>());
                },
            .command = std::move(command),
            .warm_up = false};
}

}  // namespace bench
