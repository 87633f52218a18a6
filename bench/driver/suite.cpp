#include "driver/suite.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <ranges>

#include "driver/statistics.hpp"

namespace bench {

namespace {

using Json = nlohmann::ordered_json;

// What the turns of one side gave.
struct Figures {
    Side* side;
    std::vector<double> values{};
    std::string error{};

    void measure(bool counts) {
        if (!error.empty()) return;
        try {
            const double value = side->run();
            if (counts) values.push_back(value);
        } catch (const std::exception& problem) {
            error = problem.what();
            values.clear();
        }
    }
};

Json as_json(const Summary& summary) {
    return {{"median", summary.median},
            {"lower_quartile", summary.lower_quartile},
            {"upper_quartile", summary.upper_quartile},
            {"least", summary.least},
            {"most", summary.most}};
}

Json as_json(const Figures& figures) {
    Json json{{"name", figures.side->name}};
    if (!figures.side->command.empty()) json["command"] = figures.side->command;
    if (!figures.error.empty()) {
        json["error"] = figures.error;
        return json;
    }
    json["values"] = figures.values;
    json.update(as_json(summarize(figures.values)));
    return json;
}

// Above 1 where ours is better.
std::vector<double> ratios(Better better, const std::vector<double>& ours, const std::vector<double>& peer) {
    std::vector<double> list;
    for (std::size_t turn = 0; turn < std::min(ours.size(), peer.size()); ++turn)
        list.push_back(better == Better::higher ? ours[turn] / peer[turn] : peer[turn] / ours[turn]);
    return list;
}

void print_side(const Json& side) {
    std::printf("  %-34s ", side["name"].get<std::string>().c_str());
    if (side.contains("error")) {
        std::printf("failed: %s\n", side["error"].get<std::string>().c_str());
        return;
    }
    std::printf("%10.4g (%.4g - %.4g)", side["median"].get<double>(), side["lower_quartile"].get<double>(),
                side["upper_quartile"].get<double>());
    if (side.contains("ratio")) {
        const Json& ratio = side["ratio"];
        std::printf("  ratio %.3f (%.3f - %.3f; %.3f - %.3f)", ratio["median"].get<double>(),
                    ratio["lower_quartile"].get<double>(), ratio["upper_quartile"].get<double>(),
                    ratio["least"].get<double>(), ratio["most"].get<double>());
    }
    if (side.contains("target"))
        std::printf("  %s: target %g", side["reached"].get<bool>() ? "reached" : "missed",
                    side["target"].get<double>());
    std::printf("\n");
}

void print_row(const Json& row) {
    std::printf("%s [%s, %s is better; %zu turns]   %s\n", row["name"].get<std::string>().c_str(),
                row["unit"].get<std::string>().c_str(), row["better"].get<std::string>().c_str(),
                row["turns"].get<std::size_t>(), row["command"].get<std::string>().c_str());
    print_side(row["ours"]);
    for (const Json& peer : row["peers"]) print_side(peer);
    std::fflush(stdout);
}

}  // namespace

Suite::Suite(std::string name, int argc, char** argv) : name_(std::move(name)) {
    CLI::App arguments("the benchmark " + name_ + "; ratios are above 1 where this library is better");
    arguments.add_option("text", texts_, "only rows whose name contains one of these");
    arguments.add_flag("--quick", quick_, "fewer turns, and without the rows that take long");
    arguments.add_flag("--list", list_, "only name the rows");
    arguments.add_option("--turns", turns_, "turns a row")->check(CLI::Range(1, 1000));
    arguments.add_option("--json", json_file_, "write all figures to this file");
    try {
        arguments.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(arguments.exit(error));
    }
    machine_ = machine_facts();
}

bool Suite::wants(std::string_view row) const {
    return texts_.empty() || std::ranges::any_of(texts_, [&](const auto& text) { return row.find(text) != row.npos; });
}

void Suite::run(Row row) {
    if (!wants(row.name)) return;
    if (list_) {
        std::printf("%s\n", row.name.c_str());
        return;
    }
    std::vector<Figures> sides{{&row.ours}};
    for (Side& peer : row.peers) sides.push_back({&peer});
    constexpr std::chrono::seconds share(8);
    const bool late = quick_ && std::chrono::steady_clock::now() - begin_ > share;
    const double budget = late ? 0 : quick_ ? 0.5 : 5;
    const std::size_t fewest = turns_ ? turns_ : !quick_ ? 7 : late ? 2 : 3;
    const std::size_t most = turns_ ? turns_ : quick_ ? 9 : 25;
    std::size_t turns = 0;
    for (auto& side : sides)
        if (side.side->warm_up) side.measure(false);
    double spent = 0;
    const auto measure = [&](Figures& side) {
        // Scripts take most of the time, and vary little.
        const bool script = !side.side->command.empty();
        if (quick_ && script && turns > 0) return;
        const double took = seconds([&] { side.measure(true); });
        if (!quick_ || !script) spent += took;
    };
    // There and back, so that nobody always comes after the same one and what that leaves in the caches.
    for (; turns < fewest || (turns < most && spent < budget); ++turns)
        if (turns % 2 == 0)
            std::ranges::for_each(sides, measure);
        else
            std::ranges::for_each(sides | std::views::reverse, measure);

    Json json{{"name", row.name},
              {"unit", row.unit},
              {"better", row.better == Better::lower ? "lower" : "higher"},
              {"turns", turns},
              {"command", "./dev bench " + name_ + " '" + row.name + "'"}};
    if (!row.series.empty()) {
        json["series"] = row.series;
        json["x"] = row.x;
    }
    json["ours"] = as_json(sides[0]);
    if (!sides[0].error.empty()) failed_ = true;
    if (row.target && sides[0].error.empty()) {
        const double median = json["ours"]["median"];
        json["ours"]["target"] = *row.target;
        json["ours"]["reached"] = row.better == Better::lower ? median <= *row.target : median >= *row.target;
    }
    json["peers"] = Json::array();
    for (std::size_t i = 1; i < sides.size(); ++i) {
        Json peer = as_json(sides[i]);
        if (sides[0].error.empty() && sides[i].error.empty()) {
            const Summary ratio = summarize(ratios(row.better, sides[0].values, sides[i].values));
            peer["ratio"] = as_json(ratio);
            if (sides[i].side->target) {
                peer["target"] = *sides[i].side->target;
                peer["reached"] = ratio.median >= *sides[i].side->target;
            }
        }
        json["peers"].push_back(std::move(peer));
    }
    print_row(json);
    rows_.push_back(std::move(json));
}

int Suite::finish() {
    if (!json_file_.empty()) {
        std::ofstream file(json_file_);
        file << Json{{"suite", name_}, {"quick", quick_}, {"machine", machine_}, {"rows", rows_}}.dump(1) << '\n';
        if (!file.flush()) {
            std::fprintf(stderr, "cannot write %s\n", json_file_.c_str());
            return 1;
        }
    }
    return failed_ ? 1 : 0;
}

}  // namespace bench
