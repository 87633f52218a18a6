#include "screen.hpp"

#define NCURSES_NOMACROS  // its names may then be written with ::
#include <ncurses.h>

#include <algorithm>
#include <clocale>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <stdexcept>

#include <fmt/format.h>

#include "text.hpp"

namespace top {
namespace {

// ncurses owns the terminal as long as this lives.
class Terminal {
  public:
    Terminal() {
        std::setlocale(LC_CTYPE, "");
        screen_ = ::newterm(nullptr, stdout, stdin);
        if (!screen_) throw std::runtime_error("this terminal is not known: set TERM, or use --once");
        ::cbreak();
        ::noecho();
        ::curs_set(0);
        ::keypad(stdscr, TRUE);
        if (::has_colors() && ::start_color() == OK && ::use_default_colors() == OK) {
            ::init_pair(1, COLOR_GREEN, -1);
            ::init_pair(2, COLOR_RED, -1);
            ::init_pair(3, COLOR_YELLOW, -1);
        }
    }
    ~Terminal() {
        ::endwin();
        ::delscreen(screen_);
    }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

  private:
    SCREEN* screen_;
};

chtype attributes(Style style) {
    switch (style) {
        case Style::plain:
            return A_NORMAL;
        case Style::title:
            return A_BOLD;
        case Style::head:
            return A_UNDERLINE;
        case Style::busy:
            return COLOR_PAIR(1);
        case Style::idle:
            return A_DIM;
        case Style::bad:
            return COLOR_PAIR(2);
        case Style::note:
            return COLOR_PAIR(3);
    }
    return A_NORMAL;
}

void put(int row, const Line& line) {
    ::attrset(static_cast<int>(attributes(line.style)));
    ::mvaddstr(row, 0, line.text.c_str());
    ::attrset(A_NORMAL);
}

}  // namespace

int watch(Arguments arguments) {
    const Terminal terminal;
    Watcher watcher;
    std::size_t first = 0;
    ::timeout(static_cast<int>(std::lround(arguments.interval * 1000)));
    // The first look has no rates: the second comes soon.
    bool early = true;
    while (true) {
        const auto lines =
            lines_of(watcher.look(arguments.pid, arguments.order), static_cast<std::size_t>(std::max(COLS, 1)));
        const auto room = static_cast<std::size_t>(std::max(LINES - 1, 1));
        first = std::min(first, lines.size() > room ? lines.size() - room : 0);
        ::erase();
        for (std::size_t i = 0; i < room && first + i < lines.size(); ++i) put(static_cast<int>(i), lines[first + i]);
        put(LINES - 1, {Style::idle,
                        fmt::format("q quit   s sort: {}   every {} s", name_of(arguments.order), arguments.interval)});
        ::refresh();
        if (early) ::timeout(200);
        const int key = ::getch();
        if (early) ::timeout(static_cast<int>(std::lround(arguments.interval * 1000)));
        early = false;
        if (key == 'q' || key == 'Q') return 0;
        if (key == 's') arguments.order = next(arguments.order);
        if (key == KEY_DOWN || key == KEY_NPAGE) first += key == KEY_DOWN ? 1 : room;
        if (key == KEY_UP || key == KEY_PPAGE) first -= std::min(first, key == KEY_UP ? 1 : room);
    }
}

}  // namespace top
