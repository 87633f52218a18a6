// primes [START] END: counts primes on all CPUs.
#include <sys/ioctl.h>
#include <unistd.h>
#include <multiprocessing/cpu_count.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/trace.hpp>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <variant>
#include <vector>

#include "primes/arguments.hpp"
#include "primes/chart.hpp"
#include "primes/interrupt.hpp"
#include "primes/json.hpp"
#include "primes/modes.hpp"
#include "primes/number.hpp"
#include "primes/report.hpp"
#include "primes/svg.hpp"

namespace primes {
namespace {

constexpr int interrupted = 130;  // as shells report a death by SIGINT

void print(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
        throw std::system_error(errno, std::system_category(), "cannot write to standard output");
}

unsigned columns_of_stdout() {
    winsize size = {};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

Result count_by(Mode mode, const Job& job, const Settings& settings, Progress& progress) {
    switch (mode) {
        case Mode::serial:
            return count_serially(job, progress);
        case Mode::process:
            return count_in_processes(job, settings, progress);
        case Mode::pool:
            return count_in_pool(job, settings, progress);
        case Mode::own:
            return count_with_own_workers(job, settings, progress);
        case Mode::shared:
            return count_with_shared_state(job, settings, progress);
    }
    throw std::logic_error("a mode that nobody knows");
}

Result count(Mode mode, const Arguments& arguments) {
    Job job = arguments.job;
    if (mode == Mode::serial) job.workers = 1;
    const auto begin = std::chrono::steady_clock::now();
    Progress progress(arguments.progress, cost_of(job.method, job.start, job.end));
    Result result = count_by(mode, job, {arguments.start_method, arguments.crash_worker}, progress);
    progress.clear();
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return result;
}

int compare(const Arguments& arguments) {
    std::vector<Result> results;
    for (const Mode mode : {Mode::serial, Mode::process, Mode::shared, Mode::pool, Mode::own}) {
        results.push_back(count(mode, arguments));
        if (results.back().partial) break;
    }
    print(arguments.json ? comparison_json(results) : comparison_text(results));
    return results.back().partial ? interrupted : 0;
}

// Two files of one recording, either, or none.
void begin_session(std::optional<mp::trace::Session>& session, const Arguments& arguments) {
    namespace fs = std::filesystem;
    try {
        if (!arguments.report.empty() && !arguments.trace.empty())
            session.emplace(std::initializer_list<fs::path>{arguments.report, arguments.trace});
        else if (!arguments.report.empty() || !arguments.trace.empty())
            session.emplace(fs::path(arguments.report + arguments.trace));
    } catch (const mp::SystemError& error) {
        throw BadInput(error.what());
    }
}

int count_once(const Arguments& arguments) {
    if (!arguments.svg.empty()) check_writable(arguments.svg);
    std::optional<mp::trace::Session> session;
    begin_session(session, arguments);
    const Result result = count(arguments.mode, arguments);
    if (session) session->finish();
    if (arguments.json) {
        print(json_text(result, arguments.frequency));
    } else if (arguments.quiet) {
        print(std::to_string(result.count) + (result.partial ? " (partial)\n" : "\n"));
    } else {
        print(report_text(result));
        if (arguments.frequency) print("\n" + chart_text(result, columns_of_stdout(), locale_is_utf8()));
    }
    if (!arguments.svg.empty() && !result.partial) write_file(arguments.svg, svg_text(result));
    return result.partial ? interrupted : 0;
}

int run(const std::vector<std::string>& words) {
    const auto parsed = parse_arguments(words, mp::cpu_count());
    if (const auto* exit = std::get_if<Exit>(&parsed)) {
        std::fputs(exit->text.c_str(), exit->code == 0 ? stdout : stderr);
        return exit->code;
    }
    const auto& arguments = std::get<Arguments>(parsed);
    const Interrupt interrupt;
    return arguments.compare ? compare(arguments) : count_once(arguments);
}

}  // namespace
}  // namespace primes

int main(int argc, char** argv) {
    try {
        return primes::run({argv + 1, argv + argc});
    } catch (const primes::BadInput& error) {
        std::fprintf(stderr, "primes: %s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "primes: %s\n", error.what());
        return 1;
    }
}
