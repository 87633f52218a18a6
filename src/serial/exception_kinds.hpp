// The exception types that are made again as what they were: the standard ones and the library's own.
#pragma once

#include <cstdint>
#include <exception>

#include <multiprocessing/remote_error.hpp>

#include "serial/exception_record.hpp"

namespace mp::serial {

/// The most derived known type of `error`; notes in `level` what that type needs besides its text.
void describe(const std::exception& error, ExceptionLevel& level);

/// The exception of the kind that `level` names.
std::exception_ptr make_known(const ExceptionLevel& level, RemoteError::Details details, const std::exception_ptr& nested);

}  // namespace mp::serial
