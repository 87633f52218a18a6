#include "primes/arguments.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <utility>

#include "primes/number.hpp"

namespace primes {
namespace {

constexpr std::uint64_t most_workers = 4096;
constexpr std::uint64_t most_parts = 10'000;

template <class Value>
using Names = std::vector<std::pair<std::string, Value>>;

const Names<Mode>& mode_names() {
    static const Names<Mode> names{{"serial", Mode::serial},
                                   {"process", Mode::process},
                                   {"shared", Mode::shared},
                                   {"pool", Mode::pool},
                                   {"own", Mode::own}};
    return names;
}

template <class Value>
Value one_of(const std::string& option, const std::string& text, const Names<Value>& names) {
    std::string known;
    for (const auto& [name, value] : names) {
        if (name == text) return value;
        known += (known.empty() ? "" : &name == &names.back().first ? " or " : ", ") + name;
    }
    throw BadInput(fmt::format("{} cannot be '{}'; it is {}", option, text, known));
}

unsigned small_number(const std::string& option, const std::string& text, std::uint64_t most) {
    std::uint64_t value = 0;
    try {
        value = parse_number(text);
    } catch (const BadInput& error) {
        throw BadInput(fmt::format("{}: {}", option, error.what()));
    }
    if (value < 1) throw BadInput(fmt::format("{} must be at least 1", option));
    if (value > most) throw BadInput(fmt::format("{} can be at most {}", option, most));
    return static_cast<unsigned>(value);
}

void read_range(const std::vector<std::string>& numbers, Job& job) {
    job.end = parse_number(numbers.back());
    job.start = numbers.size() == 2 ? parse_number(numbers.front()) : std::min<std::uint64_t>(1, job.end);
    if (job.end < job.start)
        throw BadInput(fmt::format("the range ends before it starts: END {} is below START {}", job.end, job.start));
}

void check_combinations(const Arguments& a, bool crash) {
    if (!a.svg.empty() && !a.frequency) throw BadInput("--svg draws what --frequency counts; give both");
    if (a.compare && (a.frequency || crash))
        throw BadInput("--compare only compares times; leave out --frequency and --crash-worker");
    if (crash && a.mode == Mode::serial) throw BadInput("--crash-worker needs a worker; --mode serial has none");
    if (crash && a.crash_worker > a.job.workers)
        throw BadInput(fmt::format("--crash-worker {}: there {} only {}", a.crash_worker,
                                   a.job.workers == 1 ? "is" : "are", a.job.workers));
    const std::uint64_t less_one = a.job.end - a.job.start;
    if (a.frequency && a.job.parts - 1 > less_one)
        throw BadInput(fmt::format("--frequency {}: the range has only {} numbers", a.job.parts, less_one + 1));
}

}  // namespace

std::string name_of(Mode mode) { return mode_names()[static_cast<std::size_t>(mode)].first; }

std::variant<Arguments, Exit> parse_arguments(const std::vector<std::string>& words, unsigned cpus) {
    std::vector<std::string> numbers;
    std::string workers, method = "trial", mode = "pool", start = "forkserver", frequency, crash;
    bool no_progress = false;
    Arguments a;

    CLI::App app("Counts the primes of a range, both bounds included, on all CPUs.", "primes");
    app.add_option("range", numbers, "END, or START and END: 80000, 1_000_000, 1e9, 2^20, up to 2^64-1")
        ->type_name("[START] END");
    app.add_option("--method", method, "trial: divide by everything below (slow on purpose); sieve: libprimesieve")
        ->type_name("trial|sieve")
        ->capture_default_str();
    app.add_option("--mode", mode,
                   "how to use processes: none; one each; with a shared value and a queue; a pool; "
                   "long-lived workers on pipes")
        ->type_name("serial|process|shared|pool|own")
        ->capture_default_str();
    app.add_option("--workers", workers, fmt::format("number of worker processes [{}]", cpus))->type_name("N");
    app.add_option("--start-method", start, "how worker processes come to be")
        ->type_name("forkserver|fork|spawn")
        ->capture_default_str();
    app.add_flag("--compare", a.compare, "run every mode and print the times side by side");
    app.add_option("--frequency", frequency, "also chart the frequency of primes in N equal parts of the range")
        ->type_name("N");
    app.add_option("--svg", a.svg, "write that chart as a picture")->type_name("FILE");
    app.add_option("--report", a.report, "write what the pool did as a page for any browser")->type_name("FILE.html");
    app.add_option("--trace", a.trace, "write it as trace events, for ui.perfetto.dev")->type_name("FILE.json");
    app.add_flag("--json", a.json, "print one JSON object instead of text");
    app.add_flag("--quiet", a.quiet, "print the count alone, and no progress");
    app.add_flag("--no-progress", no_progress, "draw no progress bar");
    app.add_option("--crash-worker", crash, "kill worker K once in mid-run; the count is right all the same")
        ->type_name("K");

    try {
        // To CLI11 "-5" is an option.
        for (const std::string& word : words)
            if (word.size() > 1 && word[0] == '-' && word[1] >= '0' && word[1] <= '9') parse_number(word);
        app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
        if (numbers.empty()) throw BadInput("up to which number? Say for example: primes 80000");
        if (numbers.size() > 2)
            throw BadInput(fmt::format("a range is one number or two, not {}: [START] END", numbers.size()));
        read_range(numbers, a.job);
        const auto given = [&](const char* option) { return app.count(option) > 0; };
        a.job.workers = !given("--workers") ? cpus : small_number("--workers", workers, most_workers);
        a.job.method = one_of<Method>("--method", method, {{"trial", Method::trial}, {"sieve", Method::sieve}});
        a.mode = one_of("--mode", mode, mode_names());
        a.start_method = one_of<mp::StartMethod>("--start-method", start,
                                                 {{"forkserver", mp::StartMethod::forkserver},
                                                  {"fork", mp::StartMethod::fork},
                                                  {"spawn", mp::StartMethod::spawn}});
        a.frequency = given("--frequency");
        if (a.frequency) a.job.parts = small_number("--frequency", frequency, most_parts);
        if (given("--crash-worker")) a.crash_worker = small_number("--crash-worker", crash, most_workers);
        if (a.mode == Mode::serial) a.job.workers = 1;
        if (given("--svg") && a.svg.empty()) throw BadInput("--svg needs the name of a file");
        for (const auto& [option, file] : {std::pair("--report", a.report), std::pair("--trace", a.trace)}) {
            if (!given(option)) continue;
            if (file.empty()) throw BadInput(fmt::format("{} needs the name of a file", option));
            if (a.mode != Mode::pool || a.compare)
                throw BadInput(fmt::format("{} shows a pool; leave out --mode and --compare", option));
        }
        if (given("--report") && !a.report.ends_with(".html")) throw BadInput("--report writes a page; its name must end in .html");
        if (given("--trace") && a.trace.ends_with(".html")) throw BadInput("--trace writes trace events; for a page say --report");
        check_combinations(a, given("--crash-worker"));
        a.progress = !a.quiet && !no_progress;
        return a;
    } catch (const CLI::CallForHelp&) {
        return Exit{0, app.help()};
    } catch (const CLI::ExtrasError&) {
        return Exit{2, fmt::format("primes: there is no option '{}'; --help lists all\n", app.remaining().front())};
    } catch (const CLI::ArgumentMismatch& error) {  // "--workers: 1 required N missing"
        const std::string what = error.what();
        return Exit{2, fmt::format("primes: {} needs a value\n", what.substr(0, what.find(':')))};
    } catch (const CLI::ParseError& error) {
        return Exit{2, fmt::format("primes: {}\n", error.what())};
    } catch (const BadInput& error) {
        return Exit{2, fmt::format("primes: {}\n", error.what())};
    }
}

}  // namespace primes
