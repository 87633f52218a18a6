#include "primes/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

namespace primes {
namespace {

constexpr std::chrono::milliseconds interval(100);

unsigned columns_of_terminal() {
    winsize size = {};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

bool terminal_can_redraw() {
    if (!::isatty(STDERR_FILENO)) return false;
    const char* term = std::getenv("TERM");
    return term && std::string_view(term) != "dumb";
}

/// One write, so that the terminal never shows half a line. A bar that cannot be drawn is no reason to stop.
void draw(const std::string& text) {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

std::string duration_text(double seconds) {
    if (!(seconds < 100 * 365.0 * 86400)) return "for ever";
    const auto whole = static_cast<long long>(std::ceil(std::max(0.0, seconds)));
    const auto days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60, rest = whole % 60;
    if (days > 0) return fmt::format("{} d {:02}:{:02}", days, hours, minutes);
    if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, rest);
    return fmt::format("{}:{:02}", minutes, rest);
}

std::string progress_line(double fraction, double elapsed_seconds, std::uint64_t count, unsigned columns) {
    fraction = fraction > 0 ? std::min(fraction, 1.0) : 0;  // not a number: 0
    // Rounded down: 100 % is for the end.
    const std::string eta = fraction > 0 ? duration_text(elapsed_seconds / fraction * (1 - fraction)) : "-:--";
    const std::string text =
        fmt::format(" {:3} %  ETA {}  {} primes so far", static_cast<int>(fraction * 100), eta, count);
    const unsigned room = columns > text.size() + 1 ? columns - static_cast<unsigned>(text.size()) - 1 : 0;
    if (room < 12) return text.substr(1, columns > 1 ? columns - 1 : 0);
    const unsigned width = std::min(room - 2, 40u);
    const auto full = static_cast<unsigned>(fraction * width);
    return fmt::format("[{:#<{}}{: <{}}]{}", "", full, "", width - full, text);
}

Progress::Progress(bool wanted, double total) : visible_(wanted && terminal_can_redraw()), total_(total) {}

void Progress::update(double done, std::uint64_t count) {
    if (!visible_) return;
    const auto now = Clock::now();
    if (now < next_) return;
    next_ = now + interval;
    const std::chrono::duration<double> elapsed = now - begin_;
    std::string line = progress_line(total_ > 0 ? done / total_ : 0, elapsed.count(), count, columns_of_terminal());
    if (line == last_) return;
    draw("\r" + line + "\x1b[K");
    last_ = std::move(line);
    drawn_ = true;
}

void Progress::clear() {
    if (!drawn_) return;
    draw("\r\x1b[K");
    drawn_ = false;
}

}  // namespace primes
