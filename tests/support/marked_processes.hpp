// Finds all processes that a program started, wherever they hang in the tree of processes: by a variable in the
// environment that the program was given and passed on.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace mp::test {

class MarkedProcesses {
  public:
    /// For ProgramOptions::environment.
    const std::string& variable() const { return variable_; }

    /// Workers: those that have a parent among the marked and no children of their own.
    std::vector<pid_t> workers() const {
        const auto all = family();
        std::vector<pid_t> found;
        for (const auto& [pid, parent] : all) {
            const auto same = [](pid_t wanted, auto member) {
                return [wanted, member](const auto& process) { return process.*member == wanted; };
            };
            using Process = std::pair<pid_t, pid_t>;
            if (std::any_of(all.begin(), all.end(), same(parent, &Process::first)) &&
                std::none_of(all.begin(), all.end(), same(pid, &Process::second)))
                found.push_back(pid);
        }
        return found;
    }

    std::vector<pid_t> all() const {
        std::vector<pid_t> found;
        for (const auto& [pid, parent] : family()) found.push_back(pid);
        return found;
    }

  private:
    /// pid and parent of each.
    std::vector<std::pair<pid_t, pid_t>> family() const {
        std::vector<std::pair<pid_t, pid_t>> found;
        for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
            const std::string name = entry.path().filename();
            if (name.find_first_not_of("0123456789") != std::string::npos) continue;
            std::ifstream environment(entry.path() / "environ");
            const std::string variables{std::istreambuf_iterator<char>(environment), {}};
            if (variables.find(variable_) == std::string::npos) continue;
            std::ifstream file(entry.path() / "stat");
            std::string text;
            std::getline(file, text);
            std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));  // state parent
            char state = 0;
            pid_t parent = 0;
            if (fields >> state >> parent && state != 'Z') found.emplace_back(std::stoi(name), parent);
        }
        return found;
    }

    static int next() {
        static int count = 0;
        return ++count;
    }

    std::string variable_ = "MP_TEST_MARK=" + std::to_string(::getpid()) + "-" + std::to_string(next()) + ".";
};

}  // namespace mp::test
