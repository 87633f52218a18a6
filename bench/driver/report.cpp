// Makes one page and one table of the files that the benchmark programs wrote with --json.
//
//     bench_report FILE... --html PAGE [--json ALL] [--markdown]
//
// The page needs nothing but itself. Also understood are files of Google Benchmark (--benchmark_out).
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "driver/plot.hpp"

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* style = R"(
:root { --paper: #ffffff; --ink: #1d2330; --faint: #697386; --grid: #e3e7ee; --fine: #1f6fb2; --missed: #c2410c; --target: #1d2330;
        --line0: #1f6fb2; --line1: #c2410c; --line2: #2f855a; --line3: #7c4dbd; --line4: #a16207; }
@media (prefers-color-scheme: dark) {
:root { --paper: #14181f; --ink: #e4e8ef; --faint: #98a2b3; --grid: #2b323d; --fine: #62aee8; --missed: #f0894f; --target: #e4e8ef;
        --line0: #62aee8; --line1: #f0894f; --line2: #68c495; --line3: #b494e6; --line4: #dcb44a; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
h1, h2, h3 { line-height: 1.2; } code { font-size: 0.9em; color: var(--faint); }
table { border-collapse: collapse; width: 100%; font-size: 14px; } td, th { text-align: left; padding: 3px 10px 3px 0; vertical-align: top; border-top: 1px solid var(--grid); }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } .scroll { overflow-x: auto; }
.faint { color: var(--faint); } .missed-word { color: var(--missed); font-weight: 600; } svg { width: 100%; height: auto; min-width: 700px; }
svg text { fill: var(--ink); font: 12.5px system-ui, sans-serif; } svg .tick, svg .value { fill: var(--faint); font-size: 11.5px; }
.grid { stroke: var(--grid); } .one { stroke: var(--ink); stroke-width: 1.5; } .target { stroke: var(--target); stroke-width: 2.5; }
.spread { stroke-width: 1.2; } .quartiles { stroke-width: 6; stroke-opacity: 0.4; } line.fine { stroke: var(--fine); } line.missed { stroke: var(--missed); }
circle.fine { fill: var(--fine); } circle.missed { fill: var(--missed); } polyline { fill: none; stroke-width: 2; }
polyline.line0 { stroke: var(--line0); } polyline.line1 { stroke: var(--line1); } polyline.line2 { stroke: var(--line2); }
polyline.line3 { stroke: var(--line3); } polyline.line4 { stroke: var(--line4); } circle.line0 { fill: var(--line0); }
circle.line1 { fill: var(--line1); } circle.line2 { fill: var(--line2); } circle.line3 { fill: var(--line3); } circle.line4 { fill: var(--line4); }
)";

bench::Summary summary_of(const Json& json) {
    return {json["least"], json["lower_quartile"], json["median"], json["upper_quartile"], json["most"]};
}

std::optional<double> target_of(const Json& json) {
    if (!json.contains("target")) return std::nullopt;
    return json["target"].get<double>();
}

std::string text(const Json& json, const char* key) { return json[key].get<std::string>(); }

std::string figure(const Json& side, const std::string& unit) {
    return fmt::format("{:.4g} {}", side["median"].get<double>(), unit);
}

// Each row beside each of its peers.
std::string peers_plot(const Json& suite) {
    std::vector<bench::Dot> dots;
    for (const Json& row : suite["rows"])
        for (const Json& peer : row["peers"])
            if (peer.contains("ratio"))
                dots.push_back({text(row, "name") + " : " + text(peer, "name"), summary_of(peer["ratio"]),
                                target_of(peer),
                                fmt::format("{:.3g}   {}", peer["ratio"]["median"].get<double>(),
                                            figure(row["ours"], text(row, "unit")))});
    if (dots.empty()) return {};
    return "<h3>Beside the peers</h3><p class='faint'>Ratio of ours to the peer's within each turn; right of 1 ours is "
           "better. Dot: median; bar: quartiles; thin line: least and most; tick: target.</p><div class='scroll'>" +
           bench::dot_plot(dots) + "</div>";
}

// Each figure that has a target of its own: right of 1 it is reached.
std::string targets_plot(const Json& suite) {
    std::vector<bench::Dot> dots;
    for (const Json& row : suite["rows"]) {
        const Json& ours = row["ours"];
        if (!ours.contains("target") || !ours.contains("median")) continue;
        const double target = ours["target"];
        bench::Summary share = summary_of(ours);
        const bool lower = row["better"] == "lower";
        constexpr double least = 1e-3, most = 1e3;  // a figure may be 0
        for (double* value : {&share.least, &share.lower_quartile, &share.median, &share.upper_quartile, &share.most}) {
            const double ratio = lower ? target / std::max(*value, 1e-300) : *value / target;
            *value = std::clamp(ratio, least, most);
        }
        if (lower) {
            std::swap(share.least, share.most);
            std::swap(share.lower_quartile, share.upper_quartile);
        }
        dots.push_back(
            {text(row, "name"), share, 1.0, fmt::format("{} (target {:g})", figure(ours, text(row, "unit")), target)});
    }
    if (dots.empty()) return {};
    return "<h3>Beside the targets</h3><p class='faint'>Right of 1 the target is reached.</p><div class='scroll'>" +
           bench::dot_plot(dots) + "</div>";
}

// Rows of one series as lines over x, one plot for each unit.
std::string series_plots(const Json& suite) {
    std::map<std::string, std::map<std::string, bench::Line>> by_unit;
    for (const Json& row : suite["rows"]) {
        if (!row.contains("series") || !row["ours"].contains("median")) continue;
        const std::string series = text(row, "series");
        const auto bar = series.find('|');  // "what lies along x|name of the line"
        const std::string key = text(row, "unit") + "|" + series.substr(0, bar);
        bench::Line& line = by_unit[key][series];
        line.label = bar == std::string::npos ? series : series.substr(bar + 1);
        line.points.emplace_back(row["x"].get<double>(), std::max(1e-9, row["ours"]["median"].get<double>()));
    }
    std::string html;
    for (const auto& [key, lines] : by_unit) {
        std::vector<bench::Line> list;
        for (const auto& [name, line] : lines) list.push_back(line);
        const auto bar = key.find('|');
        html += "<div class='scroll'>" + bench::line_plot(key.substr(bar + 1), key.substr(0, bar), list) + "</div>";
    }
    return html.empty() ? html : "<h3>Growth</h3>" + html;
}

std::string verdict(const Json& side) {
    if (!side.contains("reached")) return {};
    return side["reached"].get<bool>()
               ? fmt::format("reached ({:g})", side["target"].get<double>())
               : fmt::format("<span class='missed-word'>missed</span> ({:g})", side["target"].get<double>());
}

std::string side_cells(const Json& side, const std::string& unit) {
    std::string name = bench::escaped(text(side, "name"));
    if (side.contains("command")) name += "<br><code>" + bench::escaped(text(side, "command")) + "</code>";
    if (side.contains("error"))
        return fmt::format("<td>{}</td><td colspan='4' class='missed-word'>{}</td>", name,
                           bench::escaped(text(side, "error")));
    std::string ratio, spread;
    if (side.contains("ratio")) {
        const auto share = summary_of(side["ratio"]);
        ratio = fmt::format("{:.3f}", share.median);
        spread = fmt::format("{:.3f} – {:.3f}; {:.3f} – {:.3f}", share.lower_quartile, share.upper_quartile,
                             share.least, share.most);
    }
    return fmt::format(
        "<td>{}</td><td class='number'>{}</td><td class='number'>{}</td><td class='number'>{}</td><td>{}</td>", name,
        bench::escaped(figure(side, unit)), ratio, spread, verdict(side));
}

std::string table(const Json& suite) {
    std::string html =
        "<details><summary>All figures and command lines</summary><div class='scroll'><table><tr><th>row</th><th></th>"
        "<th>median</th><th>ratio</th><th>quartiles; least – most</th><th>target</th></tr>";
    for (const Json& row : suite["rows"]) {
        const std::string unit = text(row, "unit");
        html +=
            fmt::format("<tr><td rowspan='{}'>{}<br><code>{}</code><br><span class='faint'>{} turns</span></td>{}</tr>",
                        1 + row["peers"].size(), bench::escaped(text(row, "name")),
                        bench::escaped(text(row, "command")), row["turns"].get<int>(), side_cells(row["ours"], unit));
        for (const Json& peer : row["peers"]) html += "<tr>" + side_cells(peer, unit) + "</tr>";
    }
    return html + "</table></div></details>";
}

std::string facts(const Json& machine) {
    std::string html = "<table>";
    for (const auto& [name, value] : machine.items())
        html += fmt::format("<tr><td class='faint'>{}</td><td>{}</td></tr>", bench::escaped(name),
                            bench::escaped(value.get<std::string>()));
    return html + "</table>";
}

std::string inner_loops(const Json& file) {
    std::string html = "<table><tr><th>inner loop</th><th>time</th><th>iterations</th></tr>";
    for (const Json& loop : file["benchmarks"])
        html += fmt::format("<tr><td>{}</td><td class='number'>{:.3g} {}</td><td class='number'>{}</td></tr>",
                            bench::escaped(text(loop, "name")), loop["real_time"].get<double>(),
                            text(loop, "time_unit"), loop["iterations"].get<long long>());
    return html + "</table>";
}

std::string page(const std::vector<Json>& files) {
    std::string html = std::string(
                           "<!doctype html><html lang='en'><meta charset='utf-8'><title>multiprocessing: "
                           "benchmarks</title><meta name='viewport' content='width=device-width'><style>") +
                       style + "</style><h1>multiprocessing: benchmarks</h1>";
    for (const Json& file : files)
        if (file.contains("machine")) {
            html += facts(file["machine"]);
            if (file["quick"].get<bool>())
                html += "<p class='faint'>A quick run: few turns, without the long rows.</p>";
            break;
        }
    for (const Json& file : files) {
        if (file.contains("suite"))
            html += "<h2>" + bench::escaped(text(file, "suite")) + "</h2>" + targets_plot(file) + peers_plot(file) +
                    series_plots(file) + table(file);
        else
            html += "<h2>Inner loops</h2>" + inner_loops(file);
    }
    return html;
}

void print_markdown(const std::vector<Json>& files) {
    for (const Json& file : files) {
        if (!file.contains("suite")) continue;
        fmt::print("\n## {}\n\n| row | ours | peer | ratio (quartiles) | target |\n|---|---|---|---|---|\n",
                   text(file, "suite"));
        for (const Json& row : file["rows"]) {
            if (!row["ours"].contains("median")) continue;
            const std::string unit = text(row, "unit");
            auto target = [](const Json& side) {
                return side.contains("reached") ? fmt::format("{:g} {}", side["target"].get<double>(),
                                                              side["reached"].get<bool>() ? "reached" : "**missed**")
                                                : std::string();
            };
            std::string own_target = target(row["ours"]);
            if (row["peers"].empty() || !own_target.empty())
                fmt::print("| {} | {} | | | {} |\n", text(row, "name"), figure(row["ours"], unit), own_target);
            for (const Json& peer : row["peers"]) {
                if (!peer.contains("ratio")) continue;
                const auto ratio = summary_of(peer["ratio"]);
                fmt::print("| {} | {} | {}: {} | {:.3g} ({:.3g} – {:.3g}) | {} |\n", text(row, "name"),
                           figure(row["ours"], unit), text(peer, "name"), figure(peer, unit), ratio.median,
                           ratio.lower_quartile, ratio.upper_quartile, target(peer));
            }
        }
    }
}

bool write(const std::string& name, const std::string& content) {
    std::ofstream file(name);
    file << content;
    if (file.flush()) return true;
    std::cerr << "cannot write " << name << '\n';
    return false;
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> names;
    std::string html_file, json_file;
    bool markdown = false;
    CLI::App arguments("one page of what the benchmark programs measured");
    arguments.add_option("file", names, "what they wrote with --json")->required()->check(CLI::ExistingFile);
    arguments.add_option("--html", html_file, "the page");
    arguments.add_option("--json", json_file, "all figures in one file");
    arguments.add_flag("--markdown", markdown, "print tables");
    CLI11_PARSE(arguments, argc, argv);
    std::vector<Json> files;
    for (const auto& name : names) {
        std::ifstream in(name);
        files.push_back(Json::parse(in, nullptr, false));
        if (!files.back().is_object()) {
            std::cerr << name << " is not a file of a benchmark program\n";
            return 1;
        }
    }
    if (markdown) print_markdown(files);
    return (html_file.empty() || write(html_file, page(files))) &&
                   (json_file.empty() || write(json_file, Json(files).dump(1)))
               ? 0
               : 1;
}
