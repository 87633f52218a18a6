// Memory for a message whose length another process has told.
#pragma once

#include <cstddef>
#include <memory>

namespace mp::channel {

/// Throws SystemError (ENOMEM) when the system has not that much left.
void check_message_memory(std::size_t size);

/// Uninitialised. Throws SystemError (ENOMEM) when the system has not that much left.
std::unique_ptr<std::byte[]> message_memory(std::size_t size);

}  // namespace mp::channel
