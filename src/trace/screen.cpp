#include "trace/screen.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace mp::trace {
namespace {

// A display that cannot be drawn is no reason to stop.
void write_to_standard_error(std::string_view text) {
    while (!text.empty()) {
        const auto written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace

Screen& Screen::standard_error() {
    // Never destroyed: calls may still report their progress while the program ends.
    static auto* const screen = new Screen(write_to_standard_error);  // NOLINT(cppcoreguidelines-owning-memory)
    return *screen;
}

Screen::Block* Screen::add() {
    const std::lock_guard guard(mutex_);
    return &blocks_.emplace_back();
}

void Screen::remove(Block* block, bool keep) {
    const std::lock_guard guard(mutex_);
    std::string text = erase();
    if (keep)
        for (const std::string& line : block->lines) text += line + '\n';
    blocks_.remove_if([&](const Block& other) { return &other == block; });
    text += draw();
    if (!text.empty()) write_(text);
}

void Screen::show(Block* block, std::vector<std::string> lines) {
    const std::lock_guard guard(mutex_);
    if (block->lines == lines) return;
    const bool same_height = block->lines.size() == lines.size();
    block->lines = std::move(lines);
    if (!same_height || drawn_ == 0) {
        std::string text = erase();
        text += draw();
        write_(text);
        return;
    }
    // Over what is there, each line with the rest of the old one wiped: no moment in which the terminal is empty.
    std::string text = "\r";
    if (drawn_ > 1) text += "\x1b[" + std::to_string(drawn_ - 1) + 'A';
    bool first = true;
    for (const Block& other : blocks_)
        for (const std::string& line : other.lines) {
            text += (first ? "" : "\n\r") + line + "\x1b[K";
            first = false;
        }
    write_(text);
}

void Screen::print(const std::function<void()>& print) {
    const std::lock_guard guard(mutex_);
    if (drawn_ > 0) write_(erase());
    print();
    const std::string text = draw();
    if (!text.empty()) write_(text);
}

void Screen::write_line(std::string_view line) {
    print([&] { write_(line); });
}

// The cursor is left where the block began.
std::string Screen::erase() {
    if (drawn_ == 0) return {};
    std::string text = "\r";
    if (drawn_ > 1) text += "\x1b[" + std::to_string(drawn_ - 1) + 'A';
    drawn_ = 0;
    return text + "\x1b[J";
}

// The cursor is left at the end of the last line.
std::string Screen::draw() {
    std::string text;
    for (const Block& block : blocks_)
        for (const std::string& line : block.lines) text += (drawn_++ > 0 ? "\n\r" : "\r") + line + "\x1b[K";
    return text;
}

Terminal terminal() {
    Terminal result;
    const char* kind = std::getenv("TERM");
    result.can_redraw = ::isatty(STDERR_FILENO) == 1 && kind && std::string_view(kind) != "dumb";
    winsize size = {};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0) {
        if (size.ws_col > 0) result.columns = size.ws_col;
        if (size.ws_row > 0) result.lines = size.ws_row;
    }
    return result;
}

}  // namespace mp::trace
