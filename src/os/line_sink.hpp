// Where lines that other processes printed reach this process's own standard output and error.
#pragma once

#include <string_view>

namespace mp::os {

/// Writes all of it, and waits while the reader does not read. What a closed or broken stream cannot take is lost, as it
/// would be for a program that does not look at errors.
void write_lines(int stream, std::string_view lines);

/// Writes out what this program itself has printed with stdio to standard output and what still waits in the buffer, so
/// that it comes before what is written next. Does nothing when another thread is printing.
void flush_own_output();

}  // namespace mp::os
