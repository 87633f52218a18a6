// Memory for a message whose length another process has told.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include <multiprocessing/detail/serial_run.hpp>

namespace mp::channel {

/// Uninitialised. Throws SystemError (ENOMEM) when the system has not that much left.
std::unique_ptr<std::byte[]> message_memory(std::size_t size);

constexpr std::size_t run_count = 8;  // bytes in front of a run's elements

/// Where the elements go of a run that is a message of `size` bytes and begins with `beginning`; null when it is no run,
/// or has no place. Throws as message_memory.
std::byte* place_run(serial::detail::RunPlace* place, std::span<const std::byte> beginning, std::size_t size);

}  // namespace mp::channel
