#include "process.hpp"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace top {

std::optional<Usage> parse_stat(const std::string& stat) {
    // The second field is the command in parentheses, which may hold anything.
    const auto end = stat.rfind(')');
    if (end == std::string::npos) return std::nullopt;
    std::istringstream rest(stat.substr(end + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field) rest >> skipped;
    double user = 0, system = 0;
    long long resident = 0;
    rest >> user >> system;
    for (int field = 16; field < 24; ++field) rest >> skipped;
    rest >> resident;
    if (!rest) return std::nullopt;
    const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    return Usage{(user + system) / ticks,
                 static_cast<std::uint64_t>(resident) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))};
}

std::optional<Usage> usage_of(pid_t pid) {
    if (pid <= 0) return std::nullopt;
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    return parse_stat({std::istreambuf_iterator<char>(file), {}});
}

}  // namespace top
