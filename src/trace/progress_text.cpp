#include "trace/progress_text.hpp"

#include <algorithm>
#include <cmath>

#include "trace/units.hpp"

namespace mp::trace {
namespace {

constexpr std::size_t widest_bar = 40, narrowest_bar = 10;

double fraction(const Progress& progress) {
    if (!progress.total) return 0;
    if (*progress.total == 0) return 1;
    return std::min(1.0, static_cast<double>(progress.done) / static_cast<double>(*progress.total));
}

// Rounded down: 100 % is for the end.
int percent(const Progress& progress) { return static_cast<int>(fraction(progress) * 100); }

double seconds(std::chrono::nanoseconds duration) { return static_cast<double>(duration.count()) / 1e9; }

std::string time_part(const Progress& progress) {
    if (progress.finished || !progress.total) return eta_text(std::floor(seconds(progress.elapsed)));
    return "ETA " + (progress.left ? eta_text(seconds(*progress.left)) : "-:--");
}

// What stands beside the bar, the most important first.
std::vector<std::string> parts(const Progress& progress) {
    std::vector<std::string> list;
    if (progress.total) {
        const std::string number = std::to_string(percent(progress));
        list.push_back(std::string(3 - std::min<std::size_t>(3, number.size()), ' ') + number + " %");
    } else {
        list.push_back(count_text(progress.done) + " done");
    }
    list.push_back(rate_text(progress.rate));
    list.push_back(time_part(progress));
    if (progress.failed > 0) list.push_back(count_text(progress.failed) + " failed");
    return list;
}

std::string worker_line(const WorkerStats& worker, std::size_t columns) {
    std::string state = to_string(worker.state);
    state.resize(std::max<std::size_t>(13, state.size()), ' ');
    std::string number = std::to_string(worker.number);
    number.insert(0, 4 - std::min<std::size_t>(4, number.size()), ' ');
    const std::string begin = number + "  " + state;
    if (worker.state != WorkerState::working) return shortened(begin, columns);
    const std::string time = "  " + duration_text(worker.task_time);
    const std::size_t taken = begin.size() + mp::trace::columns(time);
    if (taken >= columns) return shortened(begin, columns);
    return begin + shortened(worker.task, columns - taken) + time;
}

}  // namespace

std::string progress_line(const Progress& progress, std::size_t columns) {
    if (columns == 0) return {};
    std::string text;
    std::size_t width = 0;
    for (const std::string& part : parts(progress)) {
        const std::size_t more = mp::trace::columns(part) + (text.empty() ? 0 : 2);
        if (width + more > columns) break;
        text += (text.empty() ? "" : "  ") + part;
        width += more;
    }
    std::string label = progress.label.empty() ? "" : shortened(progress.label, 24) + ' ';
    if (!progress.total) return width + mp::trace::columns(label) <= columns ? label + text : text;
    std::size_t room = columns > width ? columns - width : 0;
    if (room < mp::trace::columns(label) + narrowest_bar + 3) label.clear();
    room -= std::min(room, mp::trace::columns(label));
    if (room < narrowest_bar + 3) return text.substr(std::min(text.find_first_not_of(' '), text.size()));
    const std::size_t bar = std::min(widest_bar, room - 3);
    const auto full = std::min(bar, static_cast<std::size_t>(fraction(progress) * static_cast<double>(bar)));
    return label + '[' + std::string(full, '#') + std::string(bar - full, ' ') + "] " + text;
}

std::vector<std::string> progress_lines(const Progress& progress, std::size_t columns, std::size_t lines) {
    std::vector<std::string> list{progress_line(progress, columns)};
    if (lines < 2) return list;
    const std::size_t room = lines - 1;
    const bool all = progress.workers.size() <= room;
    const std::size_t shown = all ? progress.workers.size() : room - 1;
    for (std::size_t i = 0; i < shown; ++i) list.push_back(worker_line(progress.workers[i], columns));
    if (!all)
        list.push_back(shortened("      and " + std::to_string(progress.workers.size() - shown) + " more", columns));
    return list;
}

std::string progress_sentence(const Progress& progress) {
    std::string text = progress.label.empty() ? "" : progress.label + ": ";
    if (progress.total)
        text += std::to_string(percent(progress)) + " % (" + count_text(progress.done) + " of " +
                count_text(*progress.total) + ")";
    else
        text += count_text(progress.done) + " done";
    text += ", " + rate_text(progress.rate) + ", ";
    text += progress.finished ? "in " + duration_text(progress.elapsed) : time_part(progress);
    if (progress.failed > 0) text += ", " + count_text(progress.failed) + " failed";
    return text;
}

void RateMeter::look(double done, double seconds) {
    constexpr double memory = 4;  // seconds in which a measurement loses two thirds of its weight
    const double since = seconds - seconds_;
    if (!(since > 0)) return;
    const double now = std::max(0.0, done - done_) / since;
    // At first the mean of all.
    const double weight = any_ ? std::max(1 - std::exp(-since / memory), since / seconds) : 1;
    rate_ += weight * (now - rate_);
    any_ = true;
    done_ = done;
    seconds_ = seconds;
}

}  // namespace mp::trace
