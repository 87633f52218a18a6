#include "arguments.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <utility>

namespace top {
namespace {

constexpr std::array<std::pair<const char*, Order>, 5> orders{{{"worker", Order::worker},
                                                               {"cpu", Order::cpu},
                                                               {"memory", Order::memory},
                                                               {"tasks", Order::tasks},
                                                               {"time", Order::time}}};

}  // namespace

std::string name_of(Order order) { return orders[static_cast<std::size_t>(order)].first; }
Order next(Order order) { return orders[(static_cast<std::size_t>(order) + 1) % orders.size()].second; }

std::variant<Arguments, Exit> parse_arguments(const std::vector<std::string>& words) {
    Arguments a;
    std::string order = "worker";
    CLI::App app("Shows the process pools that run on this machine: workers, tasks, rates, CPU, memory, queues.",
                 "mp-top");
    app.add_option("pid", a.pid, "only the pools of this process")->type_name("PID");
    app.add_option("-d,--delay", a.interval, "seconds between two looks")->type_name("SECONDS")->capture_default_str();
    app.add_option("-s,--sort", order, "what workers are sorted by")
        ->type_name("worker|cpu|memory|tasks|time")
        ->capture_default_str();
    app.add_flag("--once", a.once, "print once and end; also when the output is no terminal");
    app.add_flag("--json", a.json, "print once, as JSON");
    try {
        app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    } catch (const CLI::CallForHelp&) {
        return Exit{0, app.help() + "\nKeys: q quits, s sorts by something else, space looks at once.\n"};
    } catch (const CLI::ExtrasError&) {
        return Exit{2, fmt::format("mp-top: there is no option '{}'; --help lists all\n", app.remaining().front())};
    } catch (const CLI::ParseError& error) {
        return Exit{2, fmt::format("mp-top: {}\n", error.what())};
    }
    if (a.pid < 0 || (app.count("pid") > 0 && a.pid == 0))
        return Exit{2, "mp-top: PID must be the number of a process\n"};
    if (!(a.interval >= 0.1 && a.interval <= 3600))
        return Exit{2, "mp-top: --delay must be between 0.1 and 3600 seconds\n"};
    for (const auto& [name, value] : orders)
        if (order == name) {
            a.order = value;
            return a;
        }
    return Exit{2, fmt::format("mp-top: --sort cannot be '{}'; it is worker, cpu, memory, tasks or time\n", order)};
}

}  // namespace top
