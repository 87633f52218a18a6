#include "pool/globals_check.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "trace/screen.hpp"

namespace mp::pool {

bool checks_globals() {
    const char* wanted = std::getenv("MULTIPROCESSING_CHECK");
    if (!wanted || !*wanted) return false;
    if (std::string_view(wanted).find("globals") != std::string_view::npos) return true;
    trace::Screen::standard_error().write_line("multiprocessing: MULTIPROCESSING_CHECK knows \"globals\", not \"" +
                                               std::string(wanted) + "\"");
    return false;
}

void GlobalsCheck::take_own(const std::string& pool) {
    if (own_taken_) return;
    own_taken_ = true;
    variables_ = os::global_variables();
    own_ = os::contents_of(variables_);
    if (fresh_taken_) compare(pool);
}

void GlobalsCheck::fresh(const std::string& pool, std::span<const std::byte> contents) {
    if (!wanted_ || fresh_taken_) return;
    fresh_taken_ = true;
    fresh_.assign(contents.begin(), contents.end());
    if (own_taken_) compare(pool);
}

void GlobalsCheck::compare(const std::string& pool) {
    const auto found = os::differing(variables_, own_, fresh_);
    const auto lines = os::lines_of(found);
    trace::Screen::standard_error().write_line(globals_report(pool, found, lines));
    wanted_ = false;
    own_ = fresh_ = {};
    variables_ = {};
}

std::string globals_report(const std::string& pool, std::span<const os::GlobalVariable> variables,
                           std::span<const std::string> lines) {
    constexpr std::size_t most = 20;
    const std::string intro = "multiprocessing: globals of pool \"" + pool + "\": ";
    if (variables.empty()) return intro + "workers have the program's variables as the caller has them\n";
    std::string text = intro + std::to_string(variables.size()) +
                       (variables.size() == 1 ? " variable differs" : " variables differ") +
                       " between the caller and a fresh worker:\n";
    std::size_t widest = 0;
    for (std::size_t i = 0; i < std::min(most, variables.size()); ++i)
        widest = std::max(widest, variables[i].name.size());
    widest = std::min<std::size_t>(widest, 60);
    for (std::size_t i = 0; i < std::min(most, variables.size()); ++i) {
        const std::string& name = variables[i].name;
        text += "    " + name + std::string(name.size() < widest ? widest - name.size() : 0, ' ') + "  " +
                std::to_string(variables[i].size) + (variables[i].size == 1 ? " byte" : " bytes");
        if (!lines[i].empty()) text += "  " + lines[i];
        text += '\n';
    }
    if (variables.size() > most) text += "    and " + std::to_string(variables.size() - most) + " more\n";
    return text +
           "A worker is a fresh copy of the program: static initialisers have run, main has not. If tasks need what "
           "main put there,\n"
           "pass it as an argument, set it in the pool's initializer, or use start method fork.\n";
}

}  // namespace mp::pool
