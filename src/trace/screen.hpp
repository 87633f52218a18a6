// The progress displays of a process on its standard error, and what is printed between them.
//
// All displays share one block of lines at the bottom of the terminal. Whoever prints a line while they are shown does
// it through print(): the block makes room and is drawn anew below.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace mp::trace {

class Screen {
  public:
    /// Lines of one display. Empty: it takes no room.
    struct Block {
        std::vector<std::string> lines;
    };

    /// `write` puts bytes to the terminal, in one piece.
    explicit Screen(std::function<void(std::string_view)> write) : write_(std::move(write)) {}

    /// The one of this process, on standard error.
    static Screen& standard_error();

    Block* add();
    /// Its last lines stay when `keep`, above what is still shown.
    void remove(Block* block, bool keep);
    void show(Block* block, std::vector<std::string> lines);

    /// Writes whole lines somewhere, by `print`, with nothing of the displays in between. With no display shown it only
    /// calls `print`.
    void print(const std::function<void()>& print);
    /// One line of its own, with its newline, where the displays are.
    void write_line(std::string_view line);

  private:
    std::string erase();
    std::string draw();

    std::mutex mutex_;  // guards what follows
    std::function<void(std::string_view)> write_;
    std::list<Block> blocks_;
    std::size_t drawn_ = 0;  // lines that are on the terminal now
};

/// Of standard error.
struct Terminal {
    bool can_redraw = false;  ///< a terminal that is not dumb
    std::size_t columns = 80, lines = 24;
};
Terminal terminal();

}  // namespace mp::trace
