/// \file
/// Where a program was: the frames of a crash or of a throw, possibly in a process that no longer exists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>

#include <multiprocessing/export.hpp>

namespace mp {

/// One frame of a Stack. What could not be found out is empty or zero.
struct StackFrame {
    std::string function;      ///< demangled and qualified, without parameters: `table::read_row`
    std::string file;          ///< source file, as the compiler wrote it
    int line = 0;              ///< line in `file`, 0 when unknown
    bool inlined = false;      ///< inlined into the frame that follows
    bool internal = false;     ///< start-up code, or the library's way of calling you: left out of texts
    std::string module;        ///< path of the program or shared library
    std::uint64_t offset = 0;  ///< address within the module, as `addr2line -e module` takes it

    /// `read_row (table.cpp:88)`, `read_row (libtable.so+0x1f30)` without debug information.
    MP_EXPORT std::string to_string() const;
};

namespace detail {
struct StackData;
struct StackAccess;
}  // namespace detail

/// The calls that led to a point, innermost first. A cheap value: copies share what they hold. Addresses become names
/// and lines when frames or text are first asked for (milliseconds, read from debug information through libdw where
/// that is installed, from symbol tables otherwise), so an error nobody prints costs nothing. Safe to use from several
/// threads. No function of it fails for want of debug information: it then knows less.
class Stack {
  public:
    Stack() = default;

    /// The calls that led here, without the innermost `skip` of them.
    MP_EXPORT static Stack capture(std::size_t skip = 0);

    /// Whether nothing is known.
    bool empty() const { return data_ == nullptr; }

    /// All frames, inlined and internal ones included. Valid as long as any copy of this stack.
    MP_EXPORT std::span<const StackFrame> frames() const;

    /// The innermost frame of the program's own code, not of the C or C++ library: what one wants to read first. Null
    /// for an empty stack.
    MP_EXPORT const StackFrame* top() const;

    /// One indented, numbered line a frame, without internal frames, each ended by a newline; empty for an empty stack.
    MP_EXPORT std::string to_string() const;

  private:
    friend struct detail::StackAccess;
    std::shared_ptr<detail::StackData> data_;
};

/// Writes to_string().
MP_EXPORT std::ostream& operator<<(std::ostream& out, const Stack& stack);

}  // namespace mp
