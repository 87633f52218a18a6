#include <gnu/libc-version.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <string>

#include <multiprocessing/cpu_count.hpp>

#include "driver/suite.hpp"

namespace bench {

namespace {

// The value of the first line `key : value` of a file of /proc.
std::string look_up(const char* file, const std::string& key) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        const auto colon = line.find(':');
        if (line.rfind(key, 0) != 0 || colon == std::string::npos) continue;
        const auto value = line.find_first_not_of(" \t", colon + 1);
        return value == std::string::npos ? std::string() : line.substr(value);
    }
    return {};
}

std::string load_average() {
    std::array<double, 3> load{};
    if (::getloadavg(load.data(), 3) != 3) return "unknown";
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.2f %.2f %.2f", load[0], load[1], load[2]);
    return text.data();
}

std::string now() {
    const std::time_t time = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", &parts);
    return text.data();
}

std::string first_line(const char* command) {
    std::FILE* const out = ::popen(command, "r");
    if (!out) return {};
    std::array<char, 256> line{};
    const bool read = std::fgets(line.data(), line.size(), out) != nullptr;
    ::pclose(out);
    std::string text = read ? line.data() : "";
    if (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

}  // namespace

nlohmann::ordered_json machine_facts() {
    utsname kernel{};
    ::uname(&kernel);
    const bool is_virtual = look_up("/proc/cpuinfo", "flags").find(" hypervisor") != std::string::npos;
    return {{"date", now()},
            {"revision", first_line("git describe --always --dirty 2>/dev/null")},
            {"cpu", look_up("/proc/cpuinfo", "model name") + (is_virtual ? ", virtual" : "")},
            {"cpus", std::to_string(mp::cpu_count()) + " usable of " + std::to_string(::sysconf(_SC_NPROCESSORS_ONLN))},
            {"memory", look_up("/proc/meminfo", "MemTotal")},
            {"kernel", std::string(kernel.sysname) + ' ' + kernel.release},
            {"compiler",
#if defined(__clang__)
             "clang " __clang_version__
#else
             "g++ " __VERSION__
#endif
            },
            {"libc", std::string("glibc ") + ::gnu_get_libc_version()},
            {"load before (1, 5, 15 min)", load_average()}};
}

}  // namespace bench
