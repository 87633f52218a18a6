// The frequency of primes as a picture.
#pragma once

#include <string>

#include "primes/result.hpp"

namespace primes {

/// A complete SVG document: a bar for each part of the range, axes with numbers, a title.
std::string svg_text(const Result& result);

/// Whether `path` can be written, before hours of counting: \throws BadInput with the reason. Changes no file.
void check_writable(const std::string& path);

/// Writes all of `text` beside `path` and renames it there. \throws std::system_error
void write_file(const std::string& path, const std::string& text);

}  // namespace primes
