// An exception as data: what a worker makes of what its task threw, and the caller makes an exception of again.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include <multiprocessing/remote_error.hpp>

#include "os/raw_stack.hpp"

namespace mp::serial {

/// One exception; those it was nested on follow it in ExceptionRecord::levels.
struct ExceptionLevel {
    std::string type_name;        ///< demangled
    std::string message;          ///< its text
    os::RawStack stack;           ///< where it was thrown; empty when not known
    std::uint16_t kind = 0;       ///< which known type it becomes again: index into the table in exception_kinds.cpp
    std::string registered;       ///< mangled name of its registered type; empty when it has none
    std::vector<std::byte> value; ///< what the registered type packed of itself
    std::int32_t code = 0;        ///< of a std::error_code; of WorkerLost the exit code
    std::string category;         ///< `generic`, `system`, `iostream`, `future`, or another's name
    std::vector<std::string> details; ///< paths of a filesystem_error, memory evidence of a WorkerLost
    std::uint64_t number = 0;     ///< pid of a WorkerLost
};

struct ExceptionRecord {
    std::vector<ExceptionLevel> levels; ///< at least one
    pid_t pid = 0;                      ///< the process that threw it
};

/// What is known of an exception, taken in the thread that caught it. Never throws but bad_alloc: an exception whose
/// what() or serialisation fails is recorded with what remains.
ExceptionRecord capture_exception(const std::exception_ptr& exception);

/// The exception again: remote<T>, or T itself where T is final. Does not read debug information. `task`: which task it
/// was. Whatever a damaged record says, the result is some exception.
std::exception_ptr to_exception(const ExceptionRecord& record, const TaskInfo& task);

/// The record as bytes, and back. Decoding throws SerializationError for what is no record.
std::vector<std::byte> encode_exception(const ExceptionRecord& record);
ExceptionRecord decode_exception(std::span<const std::byte> bytes);

}  // namespace mp::serial
