// The exception types that the program registered (register_exception.hpp).
#pragma once

#include <exception>

#include <multiprocessing/remote_error.hpp>

#include "serial/exception_record.hpp"

namespace mp::serial {

/// When `exception` is of a registered type or derives from one: notes the type and its value in `level`.
void pack_registered(const std::exception_ptr& exception, ExceptionLevel& level);

/// The registered exception that `level` holds; null when it holds none, or it cannot be made.
std::exception_ptr make_registered(const ExceptionLevel& level, const RemoteError::Details& details,
                                   const std::exception_ptr& nested);

}  // namespace mp::serial
