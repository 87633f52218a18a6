// What a notebook session includes first: how the statements of a cell are run, and what the kernel hears of it.
#pragma once

#include <cxxabi.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <typeinfo>

#include <multiprocessing/multiprocessing.hpp>

namespace notebook {

/// Where the kernel listens: one line for each thing that it should know.
constexpr int kernel = 3;

inline bool failed = false;  // the rest of the cell is left out

inline void tell(const std::string& line) {
    static_cast<void>(!::write(kernel, (line + '\n').data(), line.size() + 1));
}

inline void flush() {
    std::cout.flush();
    std::cerr.flush();
    std::fflush(nullptr);
}

inline std::string type_of_current_exception() {
    const std::type_info* type = abi::__cxa_current_exception_type();
    if (!type) return "exception";
    char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, nullptr);
    std::string text = name ? name : type->name();
    std::free(name);
    return text;
}

inline void one_line(std::string& text) {
    for (char& c : text)
        if (c == '\n') c = '\v';
}

/// Runs statements of a cell. What they throw ends the cell, and not the session. Returns a value to initialise something
/// with, which is what runs code at file scope.
inline bool run(void (*statements)()) {
    if (failed) return false;
    std::string what;
    try {
        statements();
        return true;
    } catch (const std::exception& error) {
        what = type_of_current_exception() + ": " + error.what();
    } catch (...) {
        what = type_of_current_exception();
    }
    failed = true;
    one_line(what);
    tell("threw " + what);
    return false;
}

/// The last line of a cell, when it is an expression.
template <class T>
void show(const T& value) {
    if constexpr (requires { std::cout << value; }) {
        const auto before = std::cout.setf(std::ios::boolalpha);
        std::cout << value << '\n';
        std::cout.flags(before);
    }
}

inline bool compiled() {
    tell("compiled");
    return true;
}

/// After each cell, whether it was compiled or not.
inline void end(int cell) {
    flush();
    failed = false;
    tell("end " + std::to_string(cell));
}

inline bool begin() {
    // The program at hand is the compiler, of which a fresh copy would know none of the notebook's functions.
    mp::set_start_method(mp::StartMethod::fork);
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    // What stands in stdin are the kernel's next commands: a cell that reads finds nothing.
    static std::stringbuf nothing;
    std::cin.rdbuf(&nothing);
    tell("end 0");
    return true;
}

}  // namespace notebook
