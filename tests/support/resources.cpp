#include "support/resources.hpp"
#include "support/sanitizers.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <set>
#include <sstream>
#include <string_view>
#include <thread>

namespace mp::test {
namespace {

namespace fs = std::filesystem;

/// What can be read of it. Not through a stream: those throw when a process vanishes between open and read.
std::string read_file(const std::string& path) {
    std::string text;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return text;
    char buffer[4096];
    for (ssize_t count; (count = ::read(fd, buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(count));
    ::close(fd);
    return text;
}

/// The names in a folder; those that vanish meanwhile are left out, and so is everything when it cannot be read.
std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        names.push_back(it->path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

bool is_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string command_line(pid_t pid, const std::string& short_name) {
    std::string text = read_file("/proc/" + std::to_string(pid) + "/cmdline");
    std::replace(text.begin(), text.end(), '\0', ' ');
    while (text.ends_with(' ')) text.pop_back();
    return text.empty() ? "[" + short_name + "]" : text;
}

std::vector<Process> all_processes() {
    std::vector<Process> result;
    for (const std::string& name : names_in("/proc")) {
        if (!is_number(name)) continue;
        // pid (name) state parent …: the name may hold spaces and parentheses, so look for the last one.
        const std::string stat = read_file("/proc/" + name + "/stat");
        const auto open = stat.find('('), close = stat.rfind(')');
        if (open == stat.npos || close == stat.npos) continue;
        std::istringstream rest(stat.substr(close + 1));
        std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
        if (fields.size() < 20) continue;
        Process process;
        process.pid = std::stoi(name);
        process.state = fields[0][0];
        process.parent = std::stoi(fields[1]);
        process.start_time = fields[19];
        process.text = stat.substr(open + 1, close - open - 1);
        result.push_back(process);
    }
    return result;
}

std::vector<Resource> open_descriptors() {
    std::vector<Resource> result;
    for (const std::string& name : names_in("/proc/self/fd")) {
        std::error_code error;
        const std::string target = fs::read_symlink("/proc/self/fd/" + name, error);
        if (error) continue;  // the descriptor that listed the folder
        result.push_back({name + " " + target, "descriptor " + name + " -> " + target});
    }
    return result;
}

// ThreadSanitizer's runtime starts a thread of its own with the program's first: that is no leak of what runs later.
[[maybe_unused]] const bool sanitizer_has_its_thread = MP_UNDER_SANITIZER && (std::thread([] {}).join(), true);

std::vector<Resource> running_threads() {
    std::vector<Resource> result;
    for (const std::string& id : names_in("/proc/self/task")) {
        std::string name = read_file("/proc/self/task/" + id + "/comm");
        if (name.ends_with('\n')) name.pop_back();
        if (!name.empty()) result.push_back({id, "thread " + id + " \"" + name + "\""});
    }
    return result;
}

std::vector<Resource> shared_mappings() {
    std::vector<Resource> result;
    std::istringstream maps(read_file("/proc/self/maps"));
    for (std::string line; std::getline(maps, line);) {
        std::istringstream in(line);
        std::string range, access, offset, device, inode, path;
        in >> range >> access >> offset >> device >> inode;
        std::getline(in >> std::ws, path);
        const bool memory_file = path.starts_with("/memfd:") || path.starts_with("/dev/shm/");
        if (access.ends_with('s') || memory_file) result.push_back({range + device + inode, "mapping " + line});
    }
    return result;
}

std::vector<Resource> temporary_files() {
    std::vector<Resource> result;
    const auto add = [&](const fs::path& folder, auto&& counts) {
        for (const std::string& name : names_in(folder)) {
            const std::string path = folder / name;
            struct stat status;
            if (!counts(name) || ::lstat(path.c_str(), &status) != 0 || status.st_uid != ::geteuid()) continue;
            result.push_back({path + " " + std::to_string(status.st_ino), "file " + path});
        }
    };
    add("/dev/shm", [](const std::string&) { return true; });
    // Others use /tmp meanwhile: only what is named after the library counts, and not the folders of other tests.
    add("/tmp", [](const std::string& name) {
        return name.find("multiprocessing") != name.npos || (name.starts_with("mp-") && !name.starts_with("mp-test-"));
    });
    if (const char* own = std::getenv("TMPDIR"); own && fs::path(own) != "/tmp")
        add(own, [](const std::string&) { return true; });
    return result;
}

void collect(const std::vector<Resource>& before, const std::vector<Resource>& after, std::vector<std::string>& out) {
    std::multiset<std::string> known;
    for (const Resource& resource : before) known.insert(resource.identity);
    for (const Resource& resource : after) {
        if (const auto same = known.find(resource.identity); same != known.end())
            known.erase(same);
        else
            out.push_back(resource.text);
    }
}

// A fork server keeps a process in advance. Without a server it is one that was left behind.
bool is_part_of_its_server(const Process& process, const std::vector<Process>& all) {
    return process.text == "mp-spare" && std::ranges::any_of(all, [&](const Process& other) {
               return other.pid == process.parent && other.text == "mp-forkserver" && other.state != 'Z';
           });
}

}  // namespace

std::vector<Process> descendants(pid_t root) {
    std::vector<Process> all = all_processes();
    std::set<pid_t> family{root};
    for (bool grew = true; grew;) {
        grew = false;
        for (const Process& process : all)
            if (family.contains(process.parent)) grew |= family.insert(process.pid).second;
    }
    for (const Process& process : all)
        if (is_part_of_its_server(process, all)) family.erase(process.pid);
    std::vector<Process> result;
    for (Process& process : all) {
        if (process.pid == root || process.pid == ::getpid() || !family.contains(process.pid)) continue;
        process.text = "process " + std::to_string(process.pid) + " (" +
                       (process.state == 'Z' ? "dead, not reaped, " : "") + "child of " +
                       std::to_string(process.parent) + "): " + command_line(process.pid, process.text);
        result.push_back(std::move(process));
    }
    return result;
}

Snapshot take_snapshot(pid_t root) {
    Snapshot result;
    for (const Process& process : descendants(root))
        result.processes.push_back({std::to_string(process.pid) + " " + process.start_time, process.text});
    result.descriptors = open_descriptors();
    result.threads = running_threads();
    result.mappings = shared_mappings();
    result.files = temporary_files();
    return result;
}

std::vector<std::string> leaks(const Snapshot& before, const Snapshot& after) {
    std::vector<std::string> result;
    collect(before.processes, after.processes, result);
    collect(before.descriptors, after.descriptors, result);
    collect(before.threads, after.threads, result);
    collect(before.mappings, after.mappings, result);
    collect(before.files, after.files, result);
    // A sanitizer that looked for a name has started its helper, and talks to it through pipes.
    const auto has = [](const char* part) { return [=](const std::string& line) { return line.find(part) != std::string::npos; }; };
    if (MP_UNDER_SANITIZER && std::ranges::any_of(result, has("llvm-symbolizer"))) {
        std::erase_if(result, has("llvm-symbolizer"));
        std::erase_if(result, has("-> pipe:"));
    }
    return result;
}

}  // namespace mp::test
